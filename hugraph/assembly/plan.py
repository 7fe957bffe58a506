"""What a fit will take, before it runs: memory, disk and time."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from hugraph.assembly import memory
from hugraph.assembly.demand import Demand, least_demand, require_memory
from hugraph.assembly.experiment import Experiment
from hugraph.assembly.options import options, runtime
from hugraph.assembly.propagation import kept_bytes
from hugraph.assembly.runs import begin
from hugraph.assembly.sections import Spec
from hugraph.errors import DataError, HugraphError, ResourceError
from hugraph.graph.edge_estimate import EdgeEstimate, estimate_edges
from hugraph.interfaces import Interactions, Recommender, Scorer
from hugraph.nn.adjacency import diagonal, num_edges
from hugraph.seed import stream
from hugraph.train import BatchDone, EpochDone, Fitted, RunDir, fit
from hugraph.train.batches import Batches
from hugraph.train.checkpoint import MOST_FILES
from hugraph.train.run_dir import require_unbegun
from hugraph.train.threads import fitting_threads

_clock = time.perf_counter
_ENOUGH = 0.3  # seconds of validation from which the rest follows
_EPOCHS = 2  # the first is not like the others


Display = Callable[[Experiment, Recommender, RunDir, dict[str, Any]], None]


class StagePlan(NamedTuple):
    """How long the epochs of a stage take.

    Attributes:
        name: The stage.
        steps: Steps of an epoch.
        begin: Seconds before the first step: batches are drawn, and what an epoch begins with.
        step: Seconds of a step.
        validation: Seconds.
        saving: Seconds in which an epoch is committed.
        epochs: The most that there will be.
    """

    name: str
    steps: int
    begin: float
    step: float
    validation: float
    saving: float
    epochs: int

    def epoch(self) -> float:
        """Seconds of an epoch."""
        return self.begin + self.steps * self.step + self.validation + self.saving


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fit will take. Sizes are bytes, times seconds; None is what is not known.

    Attributes:
        model: The model's name.
        parameters: How many numbers are learned.
        parameter_bytes: Their size.
        edges: Of the item graph, for a model that takes one.
        least_memory: What no fit of the spec can do without, on top of the data.
        memory: The most memory that the process holds.
        memory_free: What the process may hold.
        gpu_memory: The most that torch reserves on the GPU, if that is where the model trains.
        gpu_free: What was free there.
        disk: Of the run directory, at most, while it is written.
        disk_free: Where the run directory will be.
        begin: From reading the data to the first step.
        stages: The stages of training, in order.
        end: Tests of the model and of the baseline.
        display: What is shown of the finished run, if anything.
        refusal: Why `fit` will not run, if it will not.
    """

    model: str | None
    parameters: int | None = None
    parameter_bytes: int | None = None
    edges: EdgeEstimate | None = None
    least_memory: int | None = None
    memory: int | None = None
    memory_free: int | None = None
    gpu_memory: int | None = None
    gpu_free: int | None = None
    disk: int | None = None
    disk_free: int
    begin: float | None = None
    stages: tuple[StagePlan, ...] = ()
    end: float | None = None
    display: float | None = None
    refusal: HugraphError | None = None

    def seconds(self) -> float | None:
        """From reading the data to the result, if nothing stops training early."""
        if self.begin is None or self.end is None:
            return None
        trained = sum(stage.epochs * stage.epoch() for stage in self.stages)
        return self.begin + trained + self.end + (self.display or 0.0)

    def tree(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        refusal = self.refusal
        return {
            **asdict(self),
            "edges": self.edges and self.edges._asdict(),
            "stages": [{**s._asdict(), "epoch": s.epoch()} for s in self.stages],
            "refusal": refusal and {"what": refusal.what, "at": refusal.at, "fix": refusal.fix},
            "seconds": self.seconds(),
        }


def make_plan(
    spec: Spec, path: Path, *, seconds: float = 2.0, display: Display | None = None
) -> tuple[Plan, Experiment]:
    """Finds out what fitting `spec` in the run directory `path` will take, by doing a little of it.

    Data, graphs and model are made as `fit` makes them, steps are taken on batches of training
    interactions, some users validated, and an epoch is committed to a directory, shown, and then
    removed. If the least that the model takes exceeds the memory that is free, nothing is made.

    Args:
        spec: What to fit.
        path: Where the run will be.
        seconds: How long to take steps.
        display: What `fit` does with a finished run: called with the experiment, the model, the
            run, and the `epochs` and `best_epoch` of its result.

    Raises:
        SpecError: As when fitting.
        DataError: As when fitting, but for a graph, whose fault is the plan's `refusal`.
        DivergedError: If training diverges already here.
        RunError: If `path` holds anything.
        ResourceError: If the temporary directory cannot be written.
    """
    require_unbegun(path)
    home = next(place for place in path.absolute().parents if place.exists())
    held, room = memory.resident(), memory.room()
    began = _clock()
    experiment = Experiment.prepare(spec)
    plan = Plan(
        model=spec.model.name,
        memory_free=room and held + room.free,
        disk_free=shutil.disk_usage(home).free,
    )
    on_gpu = experiment.device.type == "cuda"
    if on_gpu:
        plan = replace(plan, gpu_free=torch.cuda.mem_get_info(experiment.device)[0])
        torch.cuda.reset_peak_memory_stats(experiment.device)
    try:
        demand = require_memory(experiment)
        model = experiment.build_model()
    except (DataError, ResourceError) as refusal:
        return replace(_unbuilt(plan, experiment), refusal=refusal), experiment
    prepared = _clock() - began
    plan = replace(_built(plan, experiment, model, demand), begin=prepared)
    with _directory_in(home) as directory:
        watch, fitted, run_path = _calibrated(experiment, model, Path(directory), seconds)
        with fitting_threads(cast(nn.Module, model)):
            validations = _validations(experiment, model)
        files, shown = _sizes(run_path), 0
        if display is not None:
            result = {"epochs": fitted.epochs, "best_epoch": fitted.best_epoch}
            with RunDir.resume(run_path) as run:
                displaying, _ = _timed(lambda: display(experiment, model, run, result))
            shown = sum(_sizes(run_path).values()) - sum(files.values())
            plan = replace(plan, display=displaying)
    stages = _stages(experiment, model, watch, validations)
    plan = replace(
        plan,
        memory=memory.peak(),
        gpu_memory=torch.cuda.max_memory_reserved(experiment.device) if on_gpu else None,
        disk=_disk(experiment, files, stages) + shown + kept_bytes(model),
        stages=stages,
        end=(2 if stages else 3) * validations[-1],
    )
    return plan, experiment


def _directory_in(home: Path) -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix=".hugraph-plan-", dir=home)
    except OSError as error:
        raise ResourceError(
            f"no run can be written there ({error.strerror})",
            at=str(home),
            fix="mend the permissions, or choose another --run",
        ) from error


def _unbuilt(plan: Plan, experiment: Experiment) -> Plan:
    """What is known of a model that is not made."""
    demand = least_demand(experiment)
    return replace(
        plan,
        least_memory=demand and demand.total(),
        disk=demand and MOST_FILES * demand.checkpoint // 2,
        edges=_estimated_edges(experiment),
    )


def _built(plan: Plan, experiment: Experiment, model: Recommender, demand: Demand | None) -> Plan:
    parameters, edges = list(cast(nn.Module, model).parameters()), None
    if _takes_item_graph(experiment):
        graph = experiment.item_adjacency
        loops = int(diagonal(graph, torch.ones(1, device=experiment.device)).count_nonzero())
        items = experiment.dataset.num_items
        edges = EdgeEstimate((num_edges(graph) - loops) // 2, items, items)
    return replace(
        plan,
        parameters=sum(p.numel() for p in parameters),
        parameter_bytes=sum(p.nbytes for p in parameters),
        least_memory=demand and demand.total(),
        edges=edges,
    )


def _disk(experiment: Experiment, files: dict[str, int], stages: tuple[StagePlan, ...]) -> int:
    """What a run directory takes at most, where one of a few epochs holds `files`."""

    def written(*names: str) -> list[int]:
        return [size for name, size in files.items() if name.startswith(names)]

    checkpoints = written("checkpoints/epoch-")
    by_epoch = sum(written("metrics.jsonl", "tensorboard/"))
    once = sum(files.values()) - sum(checkpoints) - by_epoch
    epochs, epochs_here = sum(stage.epochs for stage in stages), _EPOCHS * len(stages)
    evaluated = experiment.spec.evaluate.options
    scores = len(experiment.test.users) * len(evaluated["metrics"]) * len(evaluated["k"])
    grown = math.ceil(by_epoch * epochs / epochs_here) if stages else by_epoch
    return MOST_FILES * max(checkpoints) + grown + once + 8 * scores


def _estimated_edges(experiment: Experiment) -> EdgeEstimate | None:
    chosen = experiment.spec.graph.options
    if not _takes_item_graph(experiment) or "min_common_users" not in chosen:
        return None
    pairs = experiment.split.train
    limits = {key: chosen[key] for key in options(estimate_edges) if key in chosen}
    return estimate_edges(pairs.users, pairs.items, experiment.dataset.num_items, **limits)


def _takes_item_graph(experiment: Experiment) -> bool:
    return "item_adjacency" in runtime(experiment.spec.model.constructor)


class _Watch:
    """Notes when training takes its steps; in the place of validation, which is timed apart.

    Attributes:
        first: By stage, seconds until the end of the first step, in its last epoch.
        steps: By stage, those of the other steps, in all epochs.
        num_steps: By stage, how many an epoch had.
        saving: By stage, seconds of its last commit.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._last = 0.0
        self.first: dict[str, float] = {}
        self.steps: dict[str, list[float]] = {}
        self.num_steps: dict[str, int] = {}
        self.saving: dict[str, float] = {}
        self.stepping = 0.0  # seconds of all steps

    def validate(self, scorer: Scorer) -> dict[str, float]:
        self._lap()
        return {self._metric: 0.0}

    def __call__(self, event: BatchDone | EpochDone) -> None:
        lap = self._lap()
        if isinstance(event, EpochDone):
            self.saving[event.stage] = lap
            return
        self.stepping += lap
        self.num_steps[event.stage] = event.num_steps
        if event.step == 1:
            self.first[event.stage] = lap
        else:
            self.steps.setdefault(event.stage, []).append(lap)

    def _lap(self) -> float:
        last, self._last = self._last, _clock()
        return self._last - last


def _calibrated(
    experiment: Experiment, model: Recommender, directory: Path, seconds: float
) -> tuple[_Watch, Fitted, Path]:
    """Takes real steps for a while, and commits; also gives the directory of that run.

    The first time tells how many steps there is time for, and loads what is loaded on first use.
    """
    config, train = experiment.spec.train, experiment.train
    order = torch.from_numpy(stream(experiment.spec.seed, "plan").permutation(len(train.users)))
    order = order.to(experiment.device)
    rows = 3 * config.batch_size
    for trial in ("warm", "timed"):
        some = order[:rows]
        watch = _Watch(config.early_stopping.metric)
        with RunDir.create(directory / trial) as run:
            begin(experiment, run)
            fitted = fit(
                model,
                Interactions(train.users[some], train.items[some]),
                watch.validate,
                seed=experiment.spec.seed,
                config=replace(config, epochs=_EPOCHS),
                objective=experiment.spec.objective(),
                run=run,
                on_progress=watch,
            )
        if not watch.stepping or watch.stepping > seconds:
            break
        rows = min(len(order), math.ceil(rows * seconds / watch.stepping))
    return watch, fitted, run.path


def _sizes(directory: Path) -> dict[str, int]:
    """The bytes of all files below, by their path."""
    return {str(p.relative_to(directory)): p.lstat().st_size for p in directory.rglob("*")}


def _stages(
    experiment: Experiment, model: Recommender, watch: _Watch, validations: list[float]
) -> tuple[StagePlan, ...]:
    if not model.stages():
        return ()
    config, train = experiment.spec.train, experiment.train
    batches = Batches(
        train,
        model.num_users,
        model.num_items,
        batch_size=config.batch_size,
        seed=experiment.spec.seed,
    )
    stages = []
    for index, stage in enumerate(model.stages()):
        first, others = watch.first[stage.name], watch.steps.get(stage.name)
        step = sum(others) / len(others) if others else first
        drawing, drawn = _timed(partial(batches.epoch, stage.batches, index, 1, experiment.device))
        # The few batches were drawn, too; drawing takes time in proportion.
        drawing *= 1 - watch.num_steps[stage.name] / len(drawn)
        stages.append(
            StagePlan(
                name=stage.name,
                steps=len(drawn),
                begin=max(0.0, first - step) + drawing,
                step=step,
                validation=validations[index],
                saving=watch.saving[stage.name],
                epochs=config.epochs,
            )
        )
    return tuple(stages)


def _validations(experiment: Experiment, model: Recommender) -> list[float]:
    """Seconds of validation in each stage; in the end it is the model's own scorer."""
    cast(nn.Module, model).eval()
    scorers = [stage.scorer or model.scorer for stage in model.stages()] or [model.scorer]
    known: dict[Callable[[], Scorer], float] = {}
    with torch.no_grad():
        for scorer in scorers:
            if scorer not in known:
                known[scorer] = _validation(experiment, scorer)
    return [known[scorer] for scorer in scorers]


def _validation(experiment: Experiment, make_scorer: Callable[[], Scorer]) -> float:
    making, scorer = _timed(make_scorer)
    if making < _ENOUGH:  # the first time is not like the others
        making, scorer = _timed(make_scorer)
    users = experiment.validation.users.unique()
    order = torch.from_numpy(stream(experiment.spec.seed, "plan").permutation(len(users)))
    users = users[order.to(users.device)]

    def validate(number: int) -> float:
        chosen = torch.isin(experiment.validation.users, users[:number])
        some = Interactions(*(column[chosen] for column in experiment.validation))
        arguments = scorer, some, experiment.train, experiment.item_degrees
        return _timed(lambda: experiment.spec.evaluate(*arguments))[0]

    number, per_user = min(256, len(users)), 0.0
    validate(number)
    spent = validate(number)
    while number < len(users) and spent < _ENOUGH:
        before, fewer = spent, number
        number = min(4 * number, len(users))
        spent = validate(number)
        per_user = max(0.0, spent - before) / (number - fewer)
    return making + spent + (per_user or spent / number) * (len(users) - number)


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = _clock()
    result = call()
    return _clock() - began, result
