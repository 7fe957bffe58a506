"""The trials of a sweep, in a database that several processes share and any death leaves whole.

Optuna chooses the points and keeps the record. A process that works on a trial holds a lock, which
the kernel frees when it dies; whoever then takes the lock goes on with the trial.
"""

import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from hugraph.assembly.runs import differences, require_home
from hugraph.assembly.space import Point, Space
from hugraph.assembly.spec import write_inline
from hugraph.errors import BusyError, HugraphError, ResourceError, RunError
from hugraph.seed import stream
from hugraph.train import atomic
from hugraph.train.lock import locked

Search = Literal["grid", "tpe"]
State = Literal["running", "refused", "complete", "pruned", "failed"]

_DATABASE, _LOCK, _TRIALS, _CLAIM = "study.db", "study.lock", "trials", "claim"
_NAME, _PLAN = "sweep", "plan"
_PATIENCE = 60.0  # seconds that one process waits for the transaction of another
_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_OPEN = ("running", "refused")


class Fit(NamedTuple):
    """What the run of a trial came to for one seed."""

    seed: int
    validation: float  # the metric at the best epoch
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """One point of a sweep, and how far it has got.

    Attributes:
        number: From 0, in the order in which trials are begun.
        point: What it changes of the spec, as YAML texts by key.
        state: One that is `running` is worked on, or its process has died and the next command
            goes on with it. One that was `refused` had too little memory; the next command tries
            it again.
        value: The validation metric, its mean over the seeds, once the trial is complete.
        fits: The finished runs, one for each seed.
        reason: Why it was refused, pruned or failed, if it was.
    """

    number: int
    point: Point
    state: State
    value: float | None
    fits: tuple[Fit, ...]
    reason: str | None


class Claim(NamedTuple):
    """A trial that this process works on."""

    number: int
    point: Point
    handle: optuna.Trial


class Study:
    """The trials in the directory of a sweep.

    Args:
        directory: Made if it is missing.
        space: What is varied.
        search: How points are chosen: every combination, or by a tree-structured Parzen estimator;
            either way no point twice.
        seed: Of that choice.
        warm_up: Epochs in which no trial is pruned.

    Raises:
        RunError: If the directory holds something else, or the database is damaged.
        ResourceError: If the system refuses.
    """

    def __init__(
        self, directory: Path, space: Space, *, search: Search, seed: int, warm_up: int
    ) -> None:
        self.directory = directory
        self._space, self._search, self._seed = space, search, seed
        if not (directory / _DATABASE).exists():
            require_home(directory, "sweep", (_LOCK, _TRIALS).__contains__)
        atomic.make_directory(directory / _TRIALS)
        path = directory.absolute() / _DATABASE
        connect = lambda: sqlite3.connect(path, timeout=_PATIENCE)
        with locked(directory / _LOCK, wait=True), self._explained(), _silence():
            self._storage = optuna.storages.RDBStorage(
                f"sqlite:///{_DATABASE}", engine_kwargs={"creator": connect, "poolclass": NullPool}
            )
            self._study = optuna.create_study(
                study_name=_NAME,
                storage=self._storage,
                direction="maximize",
                sampler=self._sampler(0),
                pruner=optuna.pruners.MedianPruner(n_warmup_steps=warm_up),
                load_if_exists=True,
            )

    def keep(self, plan: Mapping[str, Any]) -> None:
        """Records what the sweep is, or makes sure that it still is that.

        Raises:
            RunError: If something else was recorded before; it names what differs.
        """
        with locked(self.directory / _LOCK, wait=True), self._explained():
            kept = self._study.user_attrs.get(_PLAN)
            if kept is None:
                self._study.set_user_attr(_PLAN, plan)
        if kept is not None and (changes := differences(plan, kept)):
            raise RunError(
                f"this is not the sweep that was begun here ({'; '.join(changes)})",
                at=str(self.directory),
                fix="give the same command, or choose another --out",
            )

    @contextmanager
    def claim(self, most: int, besides: Container[int] = ()) -> Iterator[Claim | None]:
        """Takes a trial and holds it: one whose process has died, or else a new one.

        A trial that is not ended inside is left for the next to go on with.

        Args:
            most: How many trials there may be, at most as many as there are points; None is given
                if there are as many, and all of them have ended or are worked on.
            besides: Trials that this process does not take.
        """
        with ExitStack() as held:
            with locked(self.directory / _LOCK, wait=True), self._explained():
                handle = self._abandoned(held, besides) or self._new(most, held)
                point = self._point(handle) if handle else {}
            yield Claim(handle.number, point, handle) if handle else None

    def hopeless(self, claim: Claim, epoch: int, value: float) -> bool:
        """Records the metric of an epoch; tells whether it is below the median of other trials."""
        with self._explained():
            claim.handle.report(value, epoch)
            return claim.handle.should_prune()

    def complete(self, claim: Claim, fits: Sequence[Fit]) -> None:
        """Ends a trial that was fitted for every seed."""
        with self._explained():
            claim.handle.set_user_attr("fits", [fit._asdict() for fit in fits])
            self._study.tell(claim.handle, fmean(fit.validation for fit in fits))

    def prune(self, claim: Claim, reason: str) -> None:
        """Ends a trial that is hopeless."""
        self._give_up(claim, reason, TrialState.PRUNED)

    def fail(self, claim: Claim, reason: str) -> None:
        """Ends a trial that cannot be fitted."""
        self._give_up(claim, reason, TrialState.FAIL)

    def refuse(self, claim: Claim, reason: str) -> None:
        """Leaves a trial for a time when there is more memory."""
        with self._explained():
            claim.handle.set_user_attr("reason", reason)

    def trials(self) -> list[Trial]:
        """All trials that were begun, in order."""
        with self._explained():
            return [self._record(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def trial_directory(self, number: int) -> Path:
        """Where the runs of a trial are."""
        return self.directory / _TRIALS / f"{number:03d}"

    def _give_up(self, claim: Claim, reason: str, state: TrialState) -> None:
        with self._explained():
            claim.handle.set_user_attr("reason", reason)
            self._study.tell(claim.handle, state=state)

    def _abandoned(self, held: ExitStack, besides: Container[int]) -> optuna.Trial | None:
        for trial in self.trials():
            if trial.state in _OPEN and trial.number not in besides:
                try:
                    self._hold(trial.number, held)
                except BusyError:
                    continue
                if self.trials()[trial.number].state in _OPEN:  # it may just have ended
                    find = self._storage.get_trial_id_from_study_id_trial_number
                    study = self._storage.get_study_id_from_name(_NAME)
                    handle = optuna.Trial(self._study, find(study, trial.number))
                    handle.set_user_attr("reason", None)
                    return handle
        return None

    def _new(self, most: int, held: ExitStack) -> optuna.Trial | None:
        number = len(self.trials())
        if number >= most:
            return None
        self._study.sampler = self._sampler(number)
        handle = self._study.ask()
        self._hold(handle.number, held)
        return handle

    def _hold(self, number: int, held: ExitStack) -> None:
        directory = self.trial_directory(number)
        atomic.make_directory(directory)
        held.enter_context(locked(directory / _CLAIM))

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """What chooses the point of trial `number`, whichever process begins it."""
        if self._search == "grid":
            return _Grid(self._space.choices, seed=self._seed)
        seed = int(stream(self._seed, "sweep", number).integers(2**32))
        return _Unseen(_distributions(self._space), seed)

    def _point(self, handle: optuna.Trial) -> Point:
        point = {
            key: handle.suggest_categorical(key, texts)
            for key, texts in self._space.choices.items()
        }
        for key, between in self._space.ranges.items():
            suggest: Any = handle.suggest_int if between.integers else handle.suggest_float
            number = suggest(key, between.low, between.high, log=between.log)
            point[key] = write_inline(number)
        return point

    def _record(self, frozen: FrozenTrial) -> Trial:
        texts = {
            key: value if isinstance(value, str) else write_inline(value)
            for key, value in frozen.params.items()
        }
        state, reason = _STATES[frozen.state], frozen.user_attrs.get("reason")
        return Trial(
            number=frozen.number,
            point={key: texts[key] for key in self._space if key in texts},
            state="refused" if reason and state == "running" else state,
            value=frozen.value if frozen.state is TrialState.COMPLETE else None,
            fits=tuple(Fit(**fit) for fit in frozen.user_attrs.get("fits", ())),
            reason=reason,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise _fault(error, self.directory / _DATABASE) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps Optuna from announcing a study, which it does by default."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class _Grid(optuna.samplers.GridSampler):
    def after_trial(self, *_: Any) -> None:
        """Does not stop the study: there is no `optimize` that would stop."""


class _Unseen(optuna.samplers.TPESampler):
    """A tree-structured Parzen estimator; where it would repeat a point, the search goes on beside.

    Args:
        distributions: The keys that have more than one value.
        seed: Of every draw.
    """

    def __init__(self, distributions: dict[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed)
        self._distributions = distributions
        self._random = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
        """A point is drawn as a whole."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Redraws key after key of a known point until it is none."""
        if trial.params:  # it was drawn by a process that has died
            return {}
        draw = lambda key: self._random.sample_independent(study, trial, key, search_space[key])
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        known = [{key: one.params.get(key) for key in search_space} for one in others]
        point = super().sample_relative(study, trial, search_space) or {
            key: draw(key) for key in search_space
        }
        for key in cycle(search_space):
            if point not in known:
                break
            point[key] = draw(key)
        return point


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {
        key: CategoricalDistribution(texts)
        for key, texts in space.choices.items()
        if len(texts) > 1
    }
    for key, between in space.ranges.items():
        numbers: Any = IntDistribution if between.integers else FloatDistribution
        found[key] = numbers(between.low, between.high, log=between.log)
    return found


def _fault(error: Exception, path: Path) -> HugraphError:
    database = error if isinstance(error, DBAPIError) else error.__cause__
    cause = database.orig if isinstance(database, DBAPIError) else database
    what = f"{path.name} cannot be used ({cause})"
    if isinstance(cause, sqlite3.OperationalError):
        return ResourceError(what, at=str(path), fix="free space or mend the permissions")
    return RunError(what, at=str(path), fix="restore the file, or sweep in a new directory")
