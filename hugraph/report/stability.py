"""Do runs that differ in their seeds find the same intents?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hugraph.report.assignments import item_assignments

Steps = Mapping[str, Sequence[NDArray[np.float64]]]


@dataclass(frozen=True)
class LevelStability:
    """How far other runs agree with the intents of one level of one modality.

    Attributes:
        modality: Of which modality.
        level: Which one, 1 being the finest.
        intents: Agreement of each intent of the first run, the mean over the other runs.
        shuffled: Mean agreement if the other runs' items are shuffled: what matching alone gives.
    """

    modality: str
    level: int
    intents: tuple[float, ...]
    shuffled: float

    @property
    def mean(self) -> float:
        """Mean agreement of all intents."""
        return float(np.mean(self.intents))


def stability(runs: Sequence[Steps], *, seed: int = 0) -> tuple[LevelStability, ...]:
    r"""Matches the intents of the first run with those of each other one.

    The agreement of two intents is the correlation of the items' assignments to them, 0 where all
    items are assigned alike. Intents are matched one to one so that the sum of agreements is
    largest, by the Hungarian algorithm. A plain overlap would be high for any two intents of rows
    that are nearly uniform; the correlation is not.

    Args:
        runs: Of each run by modality, $\Gamma^{(l)}$ of each level, as
            [`IntentModel.assignments`][hugraph.interfaces.IntentModel] has them; two runs or more,
            over the same items.
        seed: Of the shuffles.

    Raises:
        ValueError: If the runs differ in modalities, levels or items, or there is only one.
    """
    if len(runs) < 2:
        raise ValueError(f"stability needs at least 2 runs, got {len(runs)}")
    shapes = [{name: [step.shape for step in steps] for name, steps in run.items()} for run in runs]
    for place, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(f"run {place} has intents {shape}, run 0 has {shapes[0]}")
    rng = np.random.default_rng(seed)
    found = []
    for modality in runs[0]:
        levels = zip(*(item_assignments(run[modality]) for run in runs), strict=True)
        for level, (first, *others) in enumerate(levels, start=1):
            agreements = np.mean([_matched(first, other) for other in others], axis=0)
            shuffled = [_matched(first, other[rng.permutation(len(other))]) for other in others]
            found.append(
                LevelStability(
                    modality, level, tuple(agreements.tolist()), float(np.mean(shuffled))
                )
            )
    return tuple(found)


def _matched(first: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    alike = _centred(first).T @ _centred(other)
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return np.asarray(alike[rows, columns], dtype=np.float64)


def _centred(assignment: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns as unit vectors that sum to 0, or zeros."""
    centred = assignment - assignment.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    flat = norms <= 1e-12 * np.linalg.norm(assignment, axis=0)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, norms)))
