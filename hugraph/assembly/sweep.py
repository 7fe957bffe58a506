"""Many fits of one spec, each with other values of some keys, compared on validation alone."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from hugraph.assembly.demand import TooLargeError
from hugraph.assembly.experiment import load_data
from hugraph.assembly.runs import RESULT, complete, read_result
from hugraph.assembly.sections import SCHEMA, Spec
from hugraph.assembly.space import Point, Space
from hugraph.assembly.spec import gathered
from hugraph.assembly.study import Claim, Fit, Search, Study, Trial
from hugraph.checks import distinct
from hugraph.data.dataset import Dataset
from hugraph.errors import DataError, DivergedError, SpecError, is_out_of_memory
from hugraph.train import BatchDone, EpochDone, RunDir, atomic

_BEST = "best.yaml"
_TRIALS = 50  # of a search that could go on for ever


class Selected(NamedTuple):
    """The best trial, and what the test says of it."""

    trial: Trial
    spec: Path
    runs: tuple[Path, ...]  # one for each seed
    results: tuple[dict[str, Any], ...]  # of these runs, as `finish` returns them


@dataclass(frozen=True)
class Outcome:
    """How far a sweep has got.

    Attributes:
        trials: The complete ones, best first, then the others as they were begun.
        selected: The first, if it is complete.
    """

    trials: tuple[Trial, ...]
    selected: Selected | None


OnTrial = Callable[[Trial, tuple[Trial, ...]], None]


class Sweep:
    """What to vary in a spec, and how; everything is checked before anything runs.

    The value of a trial is the metric of `train.early_stopping` on validation, at the best epoch;
    with several seeds, its mean over them.

    Args:
        path: The spec.
        overrides: Changes of it that hold for every trial.
        space: What is varied.
        search: `grid` fits every combination, in random order; `tpe` looks near what was good.
            Neither fits a point twice.
        trials: How many to fit at most; by default every combination, or 50 with `tpe`.
        seeds: What `seed` of the spec is in turn, for each trial; by default what it is.
        prune: Whether to give up a trial whose first seed, at an epoch not before
            `train.early_stopping.patience`, has at its best been below the median that complete
            trials had at this epoch.

    Raises:
        SpecError: With every fault in `problems`: a spec that cannot be run at some point, or
            trials that could not be compared.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        overrides: Sequence[str] = (),
        *,
        space: Space,
        search: Search = "grid",
        trials: int | None = None,
        seeds: Sequence[int] = (),
        prune: bool = False,
    ) -> None:
        self._resolve = SCHEMA.reader(path)
        self._overrides = tuple(overrides)
        self.spec = self._resolve(self._overrides)
        self.space = space
        self.search = search
        wanted = trials or (len(space) if search == "grid" else _TRIALS)
        self.trials = min(wanted, space.size or wanted)
        self.seeds = tuple(seeds) or (self.spec.seed,)
        self.prune = prune
        if faults := {fault.what: fault for fault in self._faults()}:
            raise gathered(list(faults.values()), "the sweep")

    @property
    def metric(self) -> str:
        """The validation metric that trials are compared by."""
        return self.spec.train.early_stopping.metric

    def spec_at(self, point: Point, seed: int) -> Spec:
        """The spec of one run."""
        changes = [f"{key}={text}" for key, text in point.items()]
        return self._resolve([*self._overrides, *changes, f"seed={seed}"])

    def run(self, directory: Path, on_trial: OnTrial | None = None) -> Outcome:
        """Fits trials until none is left, beside other processes that do the same.

        What a process that died or was stopped has left goes on from its last epoch. A trial for
        which too little memory is free is left for the next call. The spec of the best trial is
        written to `best.yaml`.

        Args:
            directory: Of this sweep alone; made if it is missing.
            on_trial: Called with each trial that this process has ended, and all that there are.

        Raises:
            RunError: If another sweep was begun in the directory, or it holds something else.
            DataError: If the data cannot be used.
            ResourceError: If the system refuses.
        """
        dataset = load_data(self.spec)
        study = Study(
            directory,
            self.space,
            search=self.search,
            seed=self.spec.seed,
            warm_up=self.spec.train.early_stopping.patience,
        )
        study.keep({**self._tree(), "fingerprint of the data": dataset.fingerprint})
        refused: set[int] = set()
        while True:
            with study.claim(self.trials, refused) as claim:
                if claim is None:
                    return self._outcome(study, dataset)
                try:
                    self._carry_out(claim, study, dataset)
                except TooLargeError as error:
                    study.refuse(claim, f"{error.at}: {error.what}")
                    refused.add(claim.number)
            if on_trial:
                trials = _best_first(study.trials())
                on_trial(next(one for one in trials if one.number == claim.number), trials)

    def _carry_out(self, claim: Claim, study: Study, dataset: Dataset) -> None:
        fits: list[Fit] = []

        def give_up(event: BatchDone | EpochDone) -> None:
            if isinstance(event, EpochDone):
                value = event.validation[self.metric]
                if study.hopeless(claim, event.epoch, value):
                    raise _HopelessError(f"epoch {event.epoch}, {self.metric} {value:.4f}")

        try:
            for seed, path in self._runs(claim.number, study).items():
                watch = give_up if self.prune and not fits else None
                result = complete(self.spec_at(claim.point, seed), path, dataset, watch)
                value = result["validation"][self.metric]
                fits.append(Fit(seed, value, result["epochs"], result["seconds"]))
        except _HopelessError as stopped:
            study.prune(claim, str(stopped))
        except (DataError, DivergedError, SpecError) as error:
            study.fail(claim, f"{error.at}: {error.what}" if error.at else error.what)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            study.fail(claim, "out of memory")
        else:
            study.complete(claim, fits)

    def _runs(self, number: int, study: Study) -> dict[int, Path]:
        """The runs of a trial, by seed."""
        directory = study.trial_directory(number)
        return {seed: directory / f"seed-{seed}" for seed in self.seeds}

    def _outcome(self, study: Study, dataset: Dataset) -> Outcome:
        trials = _best_first(study.trials())
        if not trials or trials[0].state != "complete":
            return Outcome(trials, None)
        best = trials[0]
        spec = study.directory / _BEST
        atomic.write(spec, SCHEMA.dump(self.spec_at(best.point, self.seeds[0])).encode())
        runs = self._runs(best.number, study)
        results = tuple(
            read_result(RunDir(path))
            if (path / RESULT).exists()
            else complete(self.spec_at(best.point, seed), path, dataset)  # it was deleted
            for seed, path in runs.items()
        )
        return Outcome(trials, Selected(best, spec, tuple(runs.values()), results))

    def _tree(self) -> dict[str, Any]:
        """What makes it this sweep; where the data are does not matter, what they are does."""
        spec = SCHEMA.tree(self.spec)
        spec["data"].pop("path", None)
        varied = {"search": self.search, "seeds": list(self.seeds), **self.space.tree()}
        return {"spec": spec, **varied}

    def _faults(self) -> Iterator[SpecError]:
        if not distinct(self.seeds):
            yield SpecError("a seed is listed twice", at="seeds", fix="list each once")
        if self.search == "grid" and self.space.ranges:
            at = ", ".join(self.space.ranges)
            yield SpecError("a range cannot be searched by grid", at=at, fix="add --search tpe")
        set_by_hand = {override.partition("=")[0] for override in self._overrides}
        for key in self.space:
            if key == "seed":
                yield SpecError("seed is nothing to choose by its value", at=key, fix="use --seeds")
            if key in set_by_hand:
                yield SpecError(f"{key} is varied and also set", at=key, fix="drop one of the two")
        for seed in self.seeds:
            yield from self._faults_at({}, seed)
        for point in self.space.points() if self.search == "grid" else self.space.star():
            yield from self._faults_at(point, self.seeds[0])

    def _faults_at(self, point: Point, seed: int) -> Iterator[SpecError]:
        try:
            spec = self.spec_at(point, seed)
        except SpecError as error:
            yield from error.problems or [error]
            return
        for name, value in _judgement(spec).items():
            if value != _judgement(self.spec)[name]:
                at = ", ".join(key for key in point if key.split(".")[0] in name)
                what = f"trials with different {name} cannot be compared"
                yield SpecError(what, at=at, fix="sweep once for each")


class _HopelessError(Exception):
    """Ends the training of a trial that is pruned."""


def _judgement(spec: Spec) -> dict[str, Any]:
    """What a trial is judged on and by."""
    return {
        "data": replace(spec.data, scaling="raw"),
        "evaluate": spec.evaluate,
        "train.early_stopping.metric": spec.train.early_stopping.metric,
    }


def _best_first(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    def rank(trial: Trial) -> tuple[bool, float]:
        return trial.value is None, -(trial.value or 0)

    return tuple(sorted(trials, key=rank))
