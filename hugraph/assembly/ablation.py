"""What the parts of a model are worth: a spec beside others that each lack one thing."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from hugraph.assembly.experiment import load_data
from hugraph.assembly.options import call
from hugraph.assembly.runs import complete, require_home
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.assembly.spec import gathered, write_inline
from hugraph.checks import distinct
from hugraph.errors import DataError, DivergedError, SpecError, hint
from hugraph.train.objective import penalty_weight

FULL = "full"
_WITHOUT = "without-"

# Takes a spec and the modalities that it uses; gives the overrides that take a part away, or raises
# a ValueError that says why there is nothing to take.
Without = Callable[[Spec, Sequence[str]], list[str]]


def fusion(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """Every modality counts alike: the plain mean takes the place of the fusion."""
    if len(modalities) < 2:
        raise ValueError("there are no two modalities to fuse")
    return ["model.fusion=mean"]


def conv(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """No node learns from its neighbours: content is not refined by the item graph."""
    return ["model.conv={}", "model.conv={component: intra_level, hops: 0}"]


def pooling(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """No hierarchy: of the levels of intents only the finest is left."""
    return [f"model.levels=[{spec.model.options['levels'][0]}]"]


def entropy(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """Items may belong a little to every intent: `assignment_entropy` has weight 0."""
    return _without_penalty(spec, "assignment_entropy")


def independence(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """Intents may be alike: `intent_independence` has weight 0."""
    return _without_penalty(spec, "intent_independence")


def id_embeddings(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """No ID embeddings: only content tells items apart."""
    return ["model.id_dim=0"]


def propagation(spec: Spec, modalities: Sequence[str]) -> list[str]:
    """Nothing is smoothed over the user-item graph."""
    return ["model.propagation=null"]


def modality(name: str, spec: Spec, modalities: Sequence[str]) -> list[str]:
    """One modality less."""
    others = [other for other in modalities if other != name]
    if not others:
        raise ValueError("it is the only modality")
    return [f"model.modalities={write_inline(others)}"]


PARTS: dict[str, tuple[str, Without]] = {  # by name: what a model with this part has, and the way
    "fusion": ("fusion", fusion),
    "conv": ("conv", conv),
    "pooling": ("levels", pooling),
    "entropy": ("assignment_entropy", entropy),
    "independence": ("intent_independence", independence),
    "id": ("id_dim", id_embeddings),
    "propagation": ("propagation", propagation),
}


@dataclass(frozen=True)
class Variant:
    """A spec that lacks one thing, or nothing.

    Attributes:
        name: What it lacks; `full` if nothing.
        changes: The overrides that take it away.
        specs: By seed.
    """

    name: str
    changes: tuple[str, ...]
    specs: Mapping[int, Spec]


@dataclass(frozen=True)
class Tested:
    """How the runs of a variant ended.

    Attributes:
        variant: What was run.
        runs: The run directories, one for each seed.
        results: Of these runs, as `finish` returns them; none if one failed.
        failure: Why it failed, if it did.
    """

    variant: Variant
    runs: tuple[Path, ...]
    results: tuple[dict[str, Any], ...]
    failure: str | None = None

    def values(self, metric: str) -> list[float]:
        """A test metric of every run."""
        return [result["test"][metric] for result in self.results]

    def difference(self, other: "Tested", metric: str) -> float | None:
        """How much the mean of a test metric is above that of `other`, in percent of the latter."""
        if not self.results or not any(other.values(metric)):
            return None
        return 100 * (fmean(self.values(metric)) / fmean(other.values(metric)) - 1)


class Ablation:
    """Which parts to take away from a spec, one at a time; all is checked before anything runs.

    Args:
        path: The spec.
        overrides: Changes of it that hold for every variant.
        drop: Names of `PARTS`, or `modality:NAME`.
        seeds: What `seed` of the spec is in turn, for each variant; by default what it is.

    Attributes:
        variants: The full spec, then one for each part.

    Raises:
        SpecError: With every fault in `problems`: a name that is unknown or means nothing to the
            model of the spec, or a part that is not there.
        DataError: If the data cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        overrides: Sequence[str] = (),
        *,
        drop: Sequence[str],
        seeds: Sequence[int] = (),
    ) -> None:
        self._resolve = SCHEMA.reader(path)
        self._overrides = tuple(overrides)
        self.spec = self._resolve(self._overrides)
        self._seeds = tuple(seeds) or (self.spec.seed,)
        self._dataset = load_data(self.spec)
        used = self.spec.model.options.get("modalities")
        self._modalities = tuple(self._dataset.features if used is None else used)

        faults: list[SpecError] = []
        if not distinct(self._seeds):
            faults.append(SpecError("a seed is listed twice", at="seeds", fix="list each once"))
        self.variants: list[Variant] = []
        for name in (None, *dict.fromkeys(drop)):
            try:
                changes = [] if name is None else self._changes(name)
                self.variants.append(self._variant(name or FULL, changes))
            except SpecError as error:
                faults += error.problems or [error]
        if faults:
            raise gathered(faults, "the ablation")

    def run(self, directory: Path) -> Iterator[Tested]:
        """Fits and tests every variant; a finished run is not repeated, a stopped one goes on.

        Args:
            directory: Of this ablation.

        Raises:
            RunError: If the directory holds anything else, or runs of another spec or other data.
            BusyError: If another process is at the same run.
            ResourceError: If the system refuses.
        """
        require_home(directory, "ablation", lambda name: name == FULL or name.startswith(_WITHOUT))
        for variant in self.variants:
            name = variant.name if variant.name == FULL else f"{_WITHOUT}{variant.name}"
            home = directory / name.replace(":", "-")
            runs = {seed: home / f"seed-{seed}" for seed in variant.specs}
            try:
                results = [
                    complete(spec, runs[seed], self._dataset)
                    for seed, spec in variant.specs.items()
                ]
            except (DataError, DivergedError, SpecError) as error:
                if variant.name == FULL:
                    raise
                yield Tested(variant, tuple(runs.values()), (), error.what)
            else:
                yield Tested(variant, tuple(runs.values()), tuple(results))

    def _variant(self, name: str, changes: Sequence[str]) -> Variant:
        specs = {
            seed: self._resolve([*self._overrides, *changes, f"seed={seed}"])
            for seed in self._seeds
        }
        return Variant(name, tuple(changes), specs)

    def _changes(self, name: str) -> list[str]:
        known = self._known()
        if name not in known:
            raise SpecError(
                f"{self.spec.model.name} has no part {name!r}{hint(name, known)}",
                at="drop",
                fix="name parts of this model" if known else "name the spec of another model",
            )
        try:
            changes = known[name](self.spec, self._modalities)
            if self._resolve([*self._overrides, *changes]) == self.spec:
                raise ValueError("the spec does without it")
        except ValueError as error:
            raise SpecError(
                f"{name} cannot be taken away: {error}", at="drop", fix=f"leave {name} out"
            ) from None
        return changes

    def _known(self) -> dict[str, Without]:
        """The parts of the model of this spec, whether or not they are there to be taken away."""
        has = {*self.spec.model.options, *_penalties(self.spec)}
        known = {name: without for name, (of, without) in PARTS.items() if of in has}
        if "modalities" in has:
            known |= {f"modality:{one}": partial(modality, one) for one in self._modalities}
        return {name: without for name, without in known.items() if self._allows(without)}

    def _allows(self, without: Without) -> bool:
        """Whether the model can do without a part, as far as its options tell."""
        try:
            self._resolve([*self._overrides, *without(self.spec, self._modalities)])
        except SpecError:
            return False
        except ValueError:  # it does already
            return True
        return True


def _penalties(spec: Spec) -> tuple[str, ...]:
    return tuple(getattr(call(spec.model.constructor)[0], "penalty_names", ()))


def _without_penalty(spec: Spec, name: str) -> list[str]:
    given = spec.objective.options["penalties"]
    stated = getattr(call(spec.model.constructor)[0], "penalty_weights", {})
    if not penalty_weight(name, given, stated):
        raise ValueError("its weight is 0")
    if given is None or isinstance(given, Mapping):
        return [f"objective.penalties.{name}=0"]
    weights = dict.fromkeys(("l2", *_penalties(spec)), given)
    return [f"objective.penalties={write_inline({**weights, name: 0})}"]
