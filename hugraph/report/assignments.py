"""How a model assigns items to its intents, as arrays."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hugraph.interfaces import IntentModel


def assignment_steps(model: IntentModel) -> dict[str, list[NDArray[np.float64]]]:
    r"""By modality, $\Gamma^{(l)}$ of each level of a model, the finest first."""
    with torch.no_grad():
        return {
            modality: [step.double().cpu().numpy() for step in steps]
            for modality, steps in model.assignments().items()
        }


def item_assignments(steps: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    r"""The items' assignments to the intents of each level, $\Gamma^{(1)} \cdots \Gamma^{(l)}$.

    Args:
        steps: $\Gamma^{(l)}$ of each level, the finest first.
    """
    chained = [steps[0]]
    for step in steps[1:]:
        chained.append(chained[-1] @ step)
    return chained
