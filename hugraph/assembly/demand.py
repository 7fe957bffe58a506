"""The least memory that fitting takes, known before a model is made."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hugraph.assembly.catalog import GRAPHS
from hugraph.assembly.experiment import Experiment
from hugraph.assembly.memory import Room, room
from hugraph.assembly.options import runtime
from hugraph.data.dataset import Dataset
from hugraph.data.features import stays_on_disk
from hugraph.data.split import Pairs, Split
from hugraph.errors import ResourceError, SpecError
from hugraph.interfaces import TokenBag
from hugraph.sizes import in_bytes
from hugraph.train.checkpoint import file_bytes, table_bytes
from hugraph.train.processes import Processes

log = logging.getLogger(__name__)

Sizes = Mapping[str, int]

_USERS, _ITEMS = "its users", "its items"  # no names of modalities
_FEW_USERS, _FEW_TOKENS = 8, 2
_FEW_ITEMS = (64, 1024, 4096)  # the most that are tried, since a model may have levels of intents


class TooLargeError(ResourceError):
    """More memory is asked for than is free."""


class Demand(NamedTuple):
    """Bytes that fitting takes on top of the data, at least.

    They are held all at once, when an epoch is committed; on a GPU all but the checkpoint.

    Attributes:
        weights: The weights, and the copy of the best.
        optimizer: Adam's two moments of every parameter.
        checkpoint: Weights and moments again, copied and as the bytes of a file.
        features: Features of the items, scaled and projected, but for those that stay on disk.
    """

    weights: int
    optimizer: int
    checkpoint: int
    features: int

    def total(self) -> int:
        """Bytes of all of it."""
        return sum(self)


def least_demand(experiment: Experiment) -> Demand | None:
    r"""Counts what fitting cannot do without: a bound from below, not an estimate.

    The model of the spec is made for a handful of users and items, with one user more, and with one
    item more. The tables of every model grow in proportion to each, so the sizes of all follow.
    What a model holds besides, the graphs, and what a step computes are not counted.

    Args:
        experiment: Spec and data.

    Returns:
        None if the model cannot be made for a handful.
    """
    dataset, spec = experiment.dataset, experiment.spec
    sizes = {_USERS: dataset.num_users, _ITEMS: dataset.num_items} | {
        name: bag.num_tokens for name, bag in dataset.features.items() if isinstance(bag, TokenBag)
    }
    try:
        weights, *trained = _grown(partial(_tables, experiment), sizes)
    except Exception as error:  # a model of another package may do as it likes
        log.debug("the least memory of %s is unknown: %s", spec.model.name, error)
        return None
    file = file_bytes(weights, *trained)
    takes_features = "modality_features" in runtime(spec.model.constructor)
    return Demand(
        weights=2 * weights,
        optimizer=file - weights,
        checkpoint=2 * file,
        features=_copied_features(experiment) if takes_features else 0,
    )


def require_memory(experiment: Experiment, processes: Processes | None = None) -> Demand | None:
    """Refuses what cannot be fitted in the memory that is free, before any of it is taken.

    What passes may still be too large: see [`least_demand`][hugraph.assembly.demand.least_demand].

    Args:
        experiment: Spec and data.
        processes: Those that train together. Each calls this, and waits for the others, so that all
            have asked before one of them takes any memory.

    Returns:
        What `least_demand` says.

    Raises:
        TooLargeError: With a setting that asks for less than is free, if there is one.
    """
    if (demand := least_demand(experiment)) is not None:
        own = demand._replace(checkpoint=0) if processes and processes.rank else demand
        beside = " beside what the other processes take" if processes else ""
        for needed, there in _lacking(experiment, own, processes):
            raise TooLargeError(
                f"fitting takes at least {in_bytes(needed)} of memory more than the data, "
                f"{in_bytes(there.free)} are free{beside}: {_listing(own)}",
                at=there.limit,
                fix=_way_out(experiment, processes),
            )
    if processes is not None:
        processes.highest(0)
    return demand


def _lacking(
    experiment: Experiment, demand: Demand, processes: Processes | None
) -> list[tuple[int, Room]]:
    """What is asked of each memory that has less, and what it has for this process."""
    held = demand.total() - demand.checkpoint  # by each process; the first one writes
    others = processes.size_here - 1 if processes else 0
    rooms = [(demand.total(), room(beside=others * held))]
    if experiment.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(experiment.device)
        rooms = [(held, Room(free, "the memory of the GPU")), (demand.checkpoint, room())]
    return [(needed, there) for needed, there in rooms if there and needed > there.free]


def _listing(demand: Demand) -> str:
    names = {
        "weights": "weights and their best copy",
        "optimizer": "moments of Adam",
        "checkpoint": "a checkpoint being written",
        "features": "scaled features",
    }
    parts = sorted(demand._asdict().items(), key=lambda part: -part[1])
    return ", ".join(f"{in_bytes(size)} for {names[name]}" for name, size in parts if size)


def _way_out(experiment: Experiment, processes: Processes | None) -> str:
    """Names the settings that would ask for less than is free."""
    found: list[str] = []
    for change, smaller in _smaller(experiment):
        if any(change.partition("=")[0] == key.partition("=")[0] for key in found):
            continue  # it needs no smaller value
        demand = least_demand(smaller)
        if demand is not None and not _lacking(smaller, demand, processes):
            found.append(f"{change} (at least {in_bytes(demand.total())})")
    if found:
        return f"set {' or '.join(found)}"
    return "fit on a machine with more memory, or on fewer users and items: raise data.k_core"


def _smaller(experiment: Experiment) -> Iterator[tuple[str, Experiment]]:
    """Changes of the spec that ask for less memory, for each key the largest value first."""
    spec, dataset, split = experiment.spec, experiment.dataset, experiment.split
    for key, value in spec.model.options.items():
        while type(value) is int and value > 1:
            value //= 2
            model = replace(spec.model, options={**spec.model.options, key: value})
            yield f"model.{key}={value}", Experiment(replace(spec, model=model), dataset, split)
    named = spec.model.options.get("modalities")
    if "modalities" in spec.data.source.options and named is None:
        kept = dict(sorted(dataset.features.items(), key=lambda part: _bytes(part[1])))
        while len(kept) > 1:
            kept.popitem()  # the largest
            fewer = replace(dataset, features=kept.copy())
            yield f"data.modalities=[{','.join(kept)}]", Experiment(spec, fewer, split)


def _copied_features(experiment: Experiment) -> int:
    """Bytes of the features that are not those of the dataset itself."""
    always = experiment.device.type == "cuda" or experiment.spec.data.scaling != "raw"
    copied = 0
    for features in experiment.dataset.features.values():
        if isinstance(features, np.ndarray) and not stays_on_disk(features):
            columns = _columns(experiment, features)
            if always or columns < features.shape[1]:
                copied += len(features) * columns * features.itemsize
    return copied


def _columns(experiment: Experiment, features: np.ndarray) -> int:
    """How many columns a model sees of these features."""
    most = experiment.spec.data.project
    return features.shape[1] if most is None else min(features.shape[1], most)


def _bytes(features: np.ndarray | TokenBag) -> int:
    return features.tokens.nbytes if isinstance(features, TokenBag) else features.nbytes


def _grown(measure: Callable[[Sizes], NDArray[np.int64]], sizes: Sizes) -> list[int]:
    """What `measure` would say of `sizes` if it grew in proportion to each, measured on a few."""
    few = {name: min(size, _FEW_TOKENS) for name, size in sizes.items()}
    few[_USERS] = min(sizes[_USERS], _FEW_USERS)
    for few[_ITEMS] in (min(sizes[_ITEMS], items) for items in _FEW_ITEMS):
        with suppress(SpecError):  # which may want more items
            base = measure(few)
            break
    else:
        base = measure(few)
    grown = base.copy()
    for name, size in sizes.items():
        if size > few[name]:
            grown += (size - few[name]) * (measure({**few, name: few[name] + 1}) - base)
    return [int(number) for number in grown]


def _tables(experiment: Experiment, sizes: Sizes) -> NDArray[np.int64]:
    """Bytes of a model's state and of each stage's parameters, were the data of these sizes."""
    spec = replace(
        experiment.spec,
        graph=GRAPHS.bind("co_interaction", min_common_users=1),
        train=replace(experiment.spec.train, device="cpu"),
    )
    with torch.random.fork_rng(devices=()):
        few = Experiment(spec, *_data(experiment, sizes))
        try:
            model = few.build_model(torch.device("meta"))  # takes no memory, however wide it is
        except Exception:  # it already computes with its tensors, or is told what is wrong
            model = few.build_model()
    return np.array(table_bytes(cast(nn.Module, model), model.stages()))


def _data(like: Experiment, sizes: Sizes) -> tuple[Dataset, Split]:
    """Data of a few users and items, with features as wide as the models of `like` see them."""
    num_users, num_items = sizes[_USERS], sizes[_ITEMS]
    turns = np.arange(max(num_users, num_items))
    users, items = np.tile(turns % num_users, 2), np.append(turns, turns + 1) % num_items
    users, items = np.unique([users, items], axis=1)
    rng = np.random.default_rng(0)
    features = {
        name: TokenBag(
            torch.arange(num_items) % sizes[name], torch.arange(num_items + 1), sizes[name]
        )
        if isinstance(part, TokenBag)
        else rng.random((num_items, _columns(like, part)), dtype=np.float32)
        for name, part in like.dataset.features.items()
    }
    dataset = Dataset(
        name=like.dataset.name,
        user_ids=turns[:num_users].astype(str).astype(object),
        item_ids=turns[:num_items].astype(str).astype(object),
        users=users,
        items=items,
        fingerprint="",
        features=features,
    )
    pairs = Pairs(users, items)
    return dataset, Split(pairs, pairs, pairs, hash="", counts={})
