"""The format of a spec: its sections, and what must hold between them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import product
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, Predicate

from hugraph.assembly.annotation import Options
from hugraph.assembly.catalog import GRAPHS, REGISTRIES, SPLITS
from hugraph.assembly.faults import Fault
from hugraph.assembly.options import call, options
from hugraph.assembly.registry import Bound
from hugraph.assembly.schema import Schema
from hugraph.checks import distinct
from hugraph.data.split import PARTS
from hugraph.errors import hint
from hugraph.interfaces import Component
from hugraph.metrics import METRICS
from hugraph.models.huign import HUIGN
from hugraph.models.pairwise import PairwiseModel
from hugraph.nn import BPRLoss
from hugraph.train import evaluator
from hugraph.train.config import TrainConfig
from hugraph.train.objective import Objective


def readable(version: int) -> bool:
    """This hugraph reads version 1; a later one needs an upgrade."""
    return version == 1


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """Where interactions and features come from, and what is done to them before training.

    Args:
        source: Where the data come from; the options of the source stand beside this key.
        k_core: Fewest interactions of a user and of an item that stays; 0 for no limit.
        min_rating: Lowest rating that counts as an interaction.
        scaling: Scale of the features: as they are, standardized by column, or of unit length.
        project: Most columns of a modality. Wider features are turned into the directions in which
            they are longest, and keep as many: a step of training costs in proportion. Null for
            all columns.
        split: How the interactions are divided into training, validation and test.
    """

    source: Annotated[Bound, Component("source")]
    k_core: Annotated[int, Ge(0)] = 0
    min_rating: float | None = None
    scaling: Literal["raw", "standardize", "unit"] = "standardize"
    project: Annotated[int, Ge(1)] | None = None
    split: Annotated[Bound, Component("split")] = field(
        default_factory=lambda: SPLITS.bind("random")
    )


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One experiment.

    Args:
        version: Version of this format.
        seed: Seed of every random number, but for those of a synthetic source.
        data: Interactions, features and their split.
        graph: How the item graph is made, for models that use one.
        model: What is trained.
        objective: What is minimised.
        train: How the model is trained.
        evaluate: How the model is judged.
    """

    version: Annotated[int, Predicate(readable)]
    seed: Annotated[int, Interval(ge=0, lt=2**32)] = 0
    data: DataSection
    graph: Annotated[Bound, Component("graph")] = field(
        default_factory=lambda: GRAPHS.bind("co_interaction")
    )
    model: Annotated[Bound, Component("model")]
    objective: Annotated[Bound, Options(Objective)] = field(
        default_factory=lambda: Bound(Objective, {})
    )
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: Annotated[Bound, Options(evaluator.evaluate)] = field(
        default_factory=lambda: Bound(evaluator.evaluate, {})
    )


def early_stopping_watches_an_evaluated_metric(spec: Spec) -> Iterator[Fault]:
    """The metric that ends training is computed, and the higher it is, the better."""
    metric = spec.train.early_stopping.metric
    options = spec.evaluate.options
    raised = [name for name in options["metrics"] if name in METRICS]
    evaluated = [f"{name}@{k}" for name, k in product(raised, options["k"])]
    name = metric.partition("@")[0]
    if name in options["metrics"] and name not in raised:
        yield Fault(
            [("train", "early_stopping", "metric")],
            f"train.early_stopping.metric {metric!r} is not better the higher it is",
            f"write {evaluated[0] if evaluated else 'recall@10'}",
        )
    elif metric not in evaluated:
        near = get_close_matches(metric, evaluated, n=1) or evaluated or ["recall@10"]
        yield Fault(
            [
                ("train", "early_stopping", "metric"),
                ("evaluate", "metrics"),
                ("evaluate", "k"),
            ],
            f"train.early_stopping.metric {metric!r} is not evaluated "
            f"({', '.join(evaluated) or 'nothing is that is better the higher it is'})",
            f"write {near[0]}, or add to evaluate.metrics and evaluate.k",
        )


def ratios_sum_to_one(spec: Spec) -> Iterator[Fault]:
    """Shares of a split are shares of all interactions; each part gets some."""
    key = ("data", "split", "ratios")
    ratios = spec.data.split.options.get("ratios")
    if ratios is None:
        return
    if abs(sum(ratios) - 1) > 1e-6:
        yield Fault([key], f"data.split.ratios sum to {sum(ratios):g}, not 1", "[0.8, 0.1, 0.1]")
    elif not all(ratios):
        empty = " and for ".join(
            part for part, share in zip(PARTS, ratios, strict=True) if not share
        )
        what = f"data.split.ratios {list(ratios)} leave nothing for {empty}"
        yield Fault([key], what, "[0.8, 0.1, 0.1]")


def nothing_is_evaluated_twice(spec: Spec) -> Iterator[Fault]:
    """Each metric and each cut-off is listed once."""
    for key in ("metrics", "k"):
        values = list(spec.evaluate.options[key])
        if not distinct(values):
            once = ", ".join(map(str, dict.fromkeys(values)))
            what = f"evaluate.{key} lists something twice: {', '.join(map(str, values))}"
            yield Fault([("evaluate", key)], what, f"write [{once}]")


def the_objective_names_terms_of_the_model(spec: Spec) -> Iterator[Fault]:
    """What is minimised is what the model emits, as far as that is known before it is made."""
    loss, penalties = spec.objective.options["loss"], spec.objective.options["penalties"]
    losses = [loss] if isinstance(loss, str) else list(loss or ())
    penalties = penalties if isinstance(penalties, dict) else {}
    key = ("objective", "penalties")
    for name in penalties:
        if name in losses:
            what = f"objective: {name!r} is both a loss and a penalty"
            yield Fault([(*key, name), ("objective", "loss")], what, "remove one of the two")
    constructor, _ = call(spec.model.constructor)
    if not (isinstance(constructor, type) and issubclass(constructor, PairwiseModel)):
        return
    ranking = spec.model.options.get("ranking")
    ranked_by: Any = call(ranking.constructor)[0] if ranking else BPRLoss
    known = (ranked_by.name, "l2", *constructor.penalty_names)
    named = [(("objective", "loss"), name) for name in losses]
    for path, name in named + [((*key, name), name) for name in penalties]:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            yield Fault(
                [path, ("model", "component")],
                f"{'.'.join(path)}: {spec.model.name} has no term {name!r}{hint(name, known)}",
                f"write {near[0]}" if near else "name a term of this model, or remove it",
            )


def a_final_rate_has_a_schedule(spec: Spec) -> Iterator[Fault]:
    """A final learning rate is reached only by a rate that falls."""
    default = type(spec.train)().final_lr
    if spec.train.lr_schedule == "constant" and spec.train.final_lr != default:
        yield Fault(
            [("train", "final_lr"), ("train", "lr_schedule")],
            "train.final_lr has no effect while train.lr_schedule is constant",
            "write lr_schedule: cosine, or remove final_lr",
        )


def options_of_huign_go_together(spec: Spec) -> Iterator[Fault]:
    """Each option of HUIGN has an effect beside the others."""
    constructor, _ = call(spec.model.constructor)
    if constructor is not HUIGN:
        return
    chosen, default = spec.model.options, options(HUIGN)["sampled_edges"].default
    if chosen["hierarchy"] == "exact" and chosen["sampled_edges"] != default:
        yield Fault(
            [("model", "sampled_edges"), ("model", "hierarchy")],
            "model.sampled_edges has no effect while model.hierarchy is exact",
            "write hierarchy: sampled, or remove sampled_edges",
        )
    if chosen["sparse_gradients"] and chosen["propagation"] is not None:
        yield Fault(
            [("model", "sparse_gradients"), ("model", "propagation")],
            "model.propagation takes every row, so gradients cannot be sparse",
            "remove one of the two",
        )


SCHEMA = Schema(
    Spec,
    REGISTRIES,
    rules=[
        early_stopping_watches_an_evaluated_metric,
        ratios_sum_to_one,
        nothing_is_evaluated_twice,
        the_objective_names_terms_of_the_model,
        a_final_rate_has_a_schedule,
        options_of_huign_go_together,
    ],
    belongings={"model": ("objective", "penalties")},
)
