"""Trains any recommender, stage by stage, to the same bits whether or not it was interrupted."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from typing import Annotated, Any, NamedTuple, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.checks import check_options
from hugraph.errors import DivergedError, RunError, SpecError, hint
from hugraph.interfaces import Interactions, Recommender, Scorer, Stage
from hugraph.seed import deterministic, seed_torch
from hugraph.train import atomic
from hugraph.train.batches import Batches
from hugraph.train.checkpoint import MOST_FILES, file_bytes, table_bytes
from hugraph.train.config import TrainConfig
from hugraph.train.objective import Objective
from hugraph.train.optimizer import StageOptimizer
from hugraph.train.processes import Processes
from hugraph.train.run_dir import RunDir
from hugraph.train.signals import Stopped, stop_at_safe_moments
from hugraph.train.threads import fitting_threads

Validate = Callable[[Scorer], Mapping[str, float]]
Weights = dict[str, Tensor]
_Count = Annotated[int, Ge(0)]


class BatchDone(NamedTuple):
    """Progress within an epoch, after each step."""

    stage: str
    epoch: int  # of the whole run, from 1
    last_epoch: int  # of this stage, if nothing stops it before
    step: int  # of this epoch, from 1
    num_steps: int


class EpochDone(NamedTuple):
    """An epoch that is trained, validated and, with a run directory, committed."""

    stage: str
    epoch: int  # of the whole run, from 1
    lr: float
    terms: dict[str, float]  # unweighted, mean over the epoch's rows
    validation: dict[str, float]
    best_epoch: int
    best_validation: dict[str, float]
    seconds: float  # training and validation of this epoch
    rows_per_second: float  # of training alone; rows are triples, users or items


OnProgress = Callable[[BatchDone | EpochDone], None]


@dataclass(frozen=True)
class Fitted:
    """How training went.

    Attributes:
        best_epoch: The epoch whose weights the model now has; 0 for a model that is not trained.
        validation: The validation metrics of that epoch.
        epochs: Epochs trained, over all stages.
        seconds: Wall time of all epochs, those before a resumption included.
    """

    best_epoch: int
    validation: dict[str, float]
    epochs: int
    seconds: float


@dataclass(frozen=True)
class _Position:
    """Where training stands between two epochs; with the tensors, all that a resumption needs."""

    stage: _Count = 0
    stage_start: _Count = 0  # epochs done when the stage began
    epoch: _Count = 0  # epochs done
    best_epoch: _Count = 0
    best_validation: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    metrics_bytes: _Count = 0  # committed size of metrics.jsonl

    @classmethod
    def read(cls, state: Mapping[str, Any], num_stages: int) -> "_Position":
        """A position out of a checkpoint, which may come from anywhere."""
        try:
            if state.keys() != {f.name for f in fields(cls)}:
                raise ValueError(f"its keys are {', '.join(sorted(state)) or 'none'}")
            check_options(cls, **state)
            position = cls(**state)
            if position.stage >= max(num_stages, 1):
                raise ValueError(f"stage is {position.stage}, of {num_stages} stages")
        except ValueError as error:
            raise RunError(
                f"the training state of the checkpoint cannot be used: {error}",
                fix="use the version of hugraph and the spec that the run was made with",
            ) from error
        return position

    def is_the_end(self, num_stages: int, config: TrainConfig) -> bool:
        if not num_stages:
            return bool(self.best_validation)
        return self.stage == num_stages - 1 and self.stage_is_over(config)

    def stage_is_over(self, config: TrainConfig) -> bool:
        return (
            self.epoch - self.stage_start >= config.epochs
            or self.epoch - self.best_epoch >= config.early_stopping.patience
        )

    def next_stage(self) -> "_Position":
        return replace(
            self,
            stage=self.stage + 1,
            stage_start=self.epoch,
            best_epoch=self.epoch,
            best_validation={},
        )

    def is_gain(self, validation: Mapping[str, float], metric: str) -> bool:
        return validation[metric] > self.best_validation.get(metric, -math.inf)


def fit(
    model: Recommender,
    train: Interactions,
    validate: Validate,
    *,
    seed: int,
    config: TrainConfig | None = None,
    objective: Objective | None = None,
    run: RunDir | None = None,
    on_progress: OnProgress | None = None,
    processes: Processes | None = None,
) -> Fitted:
    """Optimises `model` and leaves it with the weights of its best epoch.

    Each stage runs to its own early stopping, and its best weights are restored before the next
    begins. Every random number is a function of seed, stage and epoch. So a run that goes on from
    its last committed epoch, wherever it was stopped, ends with the same weights bit for bit, on
    the same machine. After SIGINT or SIGTERM the current step is finished, then `Stopped` raised.
    The caller's own random numbers stay as they were. A small model takes one thread, unless
    `OMP_NUM_THREADS` is set.

    Args:
        model: A `torch.nn.Module` with a side of training; moved to the device of `config`.
        train: Training interactions.
        validate: Measures a scorer on held-out data; higher is better. Called once before the
            first step too, so that a wrong name of the early-stopping metric costs no epoch.
        seed: The run's seed.
        config: How to train.
        objective: What to minimise.
        run: Where to record metrics and commit checkpoints. If it holds any, training goes on from
            there; `model` must then be made by the same spec, data and seed. None writes nothing.
        on_progress: Called after each step and each epoch.
        processes: Those that train this model together, each on its part of every batch. All call
            this with the same arguments, but for `run` and `on_progress`, which are the first
            one's; it validates. Up to rounding, the result is that of one process.

    Raises:
        DivergedError: If a loss, gradient, score or metric is not finite; the model keeps the
            weights it had before.
        SpecError: If `objective` or the early-stopping metric does not fit the model, or several
            processes would not train it as one does.
        RunError: If the checkpoint of `run` is damaged or lost, or belongs to another model.
        ResourceError: If the disk is full, or another process has ended; the last committed epoch
            is safe.
        ValueError: If rows of the model's tables lie in several processes.
        Stopped: After a signal.
    """
    config = config or TrainConfig()
    if any(hasattr(table, "device_mesh") for table in cast(nn.Module, model).parameters()):
        raise ValueError("fit writes and ranks with whole tables, got some that are sharded")
    with (
        _determinism(config.torch_device()),
        fitting_threads(cast(nn.Module, model)),
        stop_at_safe_moments() as check_stop,
    ):
        fitting = _Fitting(
            model,
            train,
            validate,
            seed=seed,
            config=config,
            objective=objective or Objective(),
            run=run,
            report=on_progress or (lambda event: None),
            check_stop=check_stop,
            processes=processes,
        )
        return fitting.to_the_end()


def restore_best(model: Recommender, run: RunDir) -> None:
    """Gives `model` the weights of the best epoch of `run`, and leaves it ready to rank.

    Args:
        model: Made by the same spec and data as the one that was fitted.
        run: Where `fit` has committed at least one epoch.

    Raises:
        RunError: If there is no checkpoint, it is damaged, or belongs to another model.
    """
    if (best := run.checkpoints.load_best()) is None:
        raise RunError(
            "the run has no checkpoint yet", at=str(run.path), fix="let it fit, or resume it"
        )
    _load_weights(cast(nn.Module, model).eval(), _part(best, "model/"))


class _Fitting:
    """The state of one call of `fit`."""

    def __init__(
        self,
        model: Recommender,
        train: Interactions,
        validate: Validate,
        *,
        seed: int,
        config: TrainConfig,
        objective: Objective,
        run: RunDir | None,
        report: OnProgress,
        check_stop: Callable[[], None],
        processes: Processes | None,
    ) -> None:
        self._device = config.torch_device()
        self._module = cast(nn.Module, model).to(self._device)
        self._model = model
        self._stages = model.stages()
        self._weights = objective.weights(self._stages)
        self._batches = Batches(
            train, model.num_users, model.num_items, batch_size=config.batch_size, seed=seed
        )
        self._validate = validate
        self._seed = seed
        self._config = config
        self._run = run
        self._report = report
        self._check_stop_alone = check_stop
        self._processes = processes

        self._position = _Position()
        self._best = _copy_weights(self._module)
        self._moments: Weights = {}  # of Adam, where a stage goes on that was begun before
        if run is not None:
            if (saved := run.checkpoints.load()) is None:
                run.require_not_begun()
            else:
                self._position = _Position.read(saved.state, len(self._stages))
                self._best = _part(saved.best, "model/")
                self._moments = _part(saved.tensors, "adam/")
                _load_weights(self._module, _part(saved.tensors, "model/"))
            run.cut_metrics(self._position.metrics_bytes)
            if not self._position.is_the_end(len(self._stages), config):
                one = file_bytes(*table_bytes(self._module, self._stages))
                most = MOST_FILES * one
                atomic.require_space(run.path, max(one, most - run.checkpoints.occupied()))
        if processes is not None:
            self._start_together(processes, train)

    def to_the_end(self) -> Fitted:
        if not self._stages and not self._position.best_validation:
            self._position = replace(
                self._position, best_validation=self._validated(self._model.scorer)
            )
            self._save(None, best=True)
        if self._stages and not self._position.epoch:
            with _located("validation before the first step"):
                self._validated(self._stages[0].scorer or self._model.scorer)
        for index in range(self._position.stage, len(self._stages)):
            self._train_stage(index)
        self._module.eval()
        position = self._position
        return Fitted(
            position.best_epoch, position.best_validation, position.epoch, position.seconds
        )

    def _train_stage(self, index: int) -> None:
        stage = self._stages[index]
        optimizer = StageOptimizer(
            stage,
            self._weights[index],
            clip_norm=self._config.clip_norm,
            precision=self._config.precision,
            processes=self._processes,
        )
        if index > self._position.stage:
            self._position = self._position.next_stage()
        else:
            optimizer.load(self._moments)
            self._moments = {}
        while not self._position.stage_is_over(self._config):
            self._run_epoch(stage, optimizer)
        _load_weights(self._module, self._best)

    def _run_epoch(self, stage: Stage, optimizer: StageOptimizer) -> None:
        began = time.monotonic()
        epoch = self._position.epoch + 1
        lr = self._config.lr_at(epoch - self._position.stage_start)
        terms, num_rows = self._train_epoch(stage, optimizer, lr)
        trained = time.monotonic()
        with _located(f"validation after epoch {epoch}"):
            validation = self._validated(stage.scorer or self._model.scorer)
        ended = time.monotonic()
        self._position = replace(
            self._position, epoch=epoch, seconds=self._position.seconds + ended - began
        )
        if self._position.is_gain(validation, self._config.early_stopping.metric):
            self._position = replace(self._position, best_epoch=epoch, best_validation=validation)
            self._best = _copy_weights(self._module)
        done = EpochDone(
            stage.name,
            epoch,
            lr,
            terms,
            validation,
            self._position.best_epoch,
            self._position.best_validation,
            ended - began,
            num_rows / max(trained - began, 1e-9),
        )
        self._commit(done, stage, optimizer)
        self._report(done)
        self._check_stop()

    def _train_epoch(
        self, stage: Stage, optimizer: StageOptimizer, lr: float
    ) -> tuple[dict[str, float], int]:
        """One pass over the data: the mean of each term, and the number of rows."""
        position = self._position
        epoch, stage_epoch = position.epoch + 1, position.epoch + 1 - position.stage_start
        batches = self._batches.epoch(stage.batches, position.stage, stage_epoch, self._device)
        self._module.train()
        seed_torch(self._seed, "epoch", position.stage, stage_epoch)  # for dropout and the like
        if stage.begin_epoch is not None:
            stage.begin_epoch()
        sums: Counter[str] = Counter()
        for step, batch in enumerate(batches, start=1):
            self._check_stop()
            with _located(f"epoch {epoch}, step {step} of stage {stage.name!r}"):
                terms = optimizer.step(batch, lr)
            sums.update({name: value * len(batch[0]) for name, value in terms.items()})
            last_epoch = position.stage_start + self._config.epochs
            self._report(BatchDone(stage.name, epoch, last_epoch, step, len(batches)))
        num_rows = sum(len(batch[0]) for batch in batches)
        return {name: value / num_rows for name, value in sums.items()}, num_rows

    def _start_together(self, processes: Processes, train: Interactions) -> None:
        """Makes sure that all processes can train this model, from the state of the first one."""
        for stage in self._stages:
            if not stage.separable:
                raise SpecError(
                    f"{processes.size} processes would not train stage {stage.name!r} as one does: "
                    "its terms compare the rows of a batch, or draw random numbers for each",
                    at="model",
                    fix="train this model by one process; docs/scaling.md lists the others",
                )
        task = sha256(repr((self._seed, self._config, self._weights)).encode())
        for column in train:
            task.update(column.cpu().numpy().tobytes())
        processes.require_same(task.hexdigest())
        position = processes.from_first(asdict(self._position))
        tensors = processes.tensors_from_first(
            {f"model/{name}": t for name, t in self._module.state_dict().items()}
            | {f"best/{name}": t for name, t in self._best.items()}
            | {f"adam/{name}": t for name, t in self._moments.items()}
        )
        if processes.rank:
            self._position = _Position.read(position, len(self._stages))
            _load_weights(self._module, _part(tensors, "model/"))
            self._best, self._moments = _part(tensors, "best/"), _part(tensors, "adam/")

    def _check_stop(self) -> None:
        """Raises `Stopped` in every process if one of them has had a signal."""
        if self._processes is None:
            self._check_stop_alone()
            return
        signum = 0
        try:
            self._check_stop_alone()
        except Stopped as stopped:
            signum = stopped.signum
        if signum := self._processes.highest(signum):
            raise Stopped(signum)

    def _validated(self, make_scorer: Callable[[], Scorer]) -> dict[str, float]:
        if self._processes is None:
            return self._measured(make_scorer)
        signum, metrics = 0, {}
        if self._processes.rank == 0:
            try:
                metrics = self._measured(make_scorer)
            except Stopped as stopped:
                signum = stopped.signum
        signum, metrics = self._processes.from_first((signum, metrics))
        if signum:
            raise Stopped(signum)
        return dict(metrics)

    def _measured(self, make_scorer: Callable[[], Scorer]) -> dict[str, float]:
        self._module.eval()
        with torch.no_grad():
            metrics = {name: float(v) for name, v in self._validate(make_scorer()).items()}
        metric = self._config.early_stopping.metric
        if metric not in metrics:
            raise SpecError(
                f"validation has no metric {metric!r}{hint(metric, metrics)}",
                at="train.early_stopping.metric",
                fix="evaluate it, or stop by one that is evaluated",
            )
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(f"{name} is {value}", fix="lower train.lr")
        return metrics

    def _commit(self, done: EpochDone, stage: Stage, optimizer: StageOptimizer) -> None:
        if self._run is None:
            return
        row = {
            "epoch": done.epoch,
            "stage": done.stage,
            "lr": done.lr,
            "terms": done.terms,
            "validation": done.validation,
        }
        self._position = replace(self._position, metrics_bytes=self._run.append_metrics(row))
        self._save(optimizer, best=done.best_epoch == done.epoch)
        scalars = {
            "train/lr": done.lr,
            "speed/seconds": done.seconds,
            f"speed/{stage.batches}_per_second": done.rows_per_second,
            **{f"terms/{name}": value for name, value in done.terms.items()},
            **{f"validation/{name}": value for name, value in done.validation.items()},
        }
        with torch.no_grad():
            histograms = {f"model/{name}": v for name, v in self._model.histograms().items()}
        self._run.events.write(done.epoch, scalars, histograms)

    def _save(self, optimizer: StageOptimizer | None, *, best: bool) -> None:
        if self._run is None:
            return
        tensors = {f"model/{name}": t for name, t in self._module.state_dict().items()}
        if optimizer is not None:
            tensors |= {f"adam/{name}": t for name, t in optimizer.tensors().items()}
        self._run.checkpoints.save(self._position.epoch, asdict(self._position), tensors, best=best)


@contextmanager
def _determinism(device: torch.device) -> Iterator[None]:
    """Holds torch's settings and generators for training, and gives them back as they were."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    seeds_gpus = device.type == "cuda" or torch.cuda.is_initialized()
    gpus = range(torch.cuda.device_count()) if seeds_gpus else ()
    with torch.random.fork_rng(gpus):
        deterministic()
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


@contextmanager
def _located(at: str) -> Iterator[None]:
    """Says where training was when it diverged."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(error.what, at=error.at or at, fix=error.fix) from None


def _copy_weights(module: nn.Module) -> Weights:
    return {name: t.detach().clone() for name, t in module.state_dict().items()}


def _load_weights(module: nn.Module, weights: Weights) -> None:
    shapes = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    given = {name: tuple(t.shape) for name, t in weights.items()}
    different = sorted(n for n in shapes | given if shapes.get(n) != given.get(n))
    if different:
        listed = ", ".join(
            f"{n} {given.get(n, 'absent')} instead of {shapes.get(n, 'absent')}"
            for n in different[:5]
        )
        raise RunError(
            f"{len(different)} tensors of the checkpoint do not fit the model: {listed}",
            fix="use the spec and the dataset that the run was made with",
        )
    module.load_state_dict(weights)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> Weights:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
