"""Points of many dimensions in two or three, for a picture."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

_FEWEST = 4  # t-SNE has nothing to say of fewer points


def tsne(
    points: NDArray[np.floating], num_dimensions: Literal[2, 3] = 3, *, seed: int = 0
) -> NDArray[np.float32]:
    """Places points in few dimensions so that near ones stay near, by t-SNE.

    Args:
        points: `(num_points, dim)`.
        num_dimensions: Of the places.
        seed: Of what is random in it.

    Returns:
        `(num_points, num_dimensions)`.

    Raises:
        ValueError: If there are fewer than 4 points.

    Source:
        [van der Maaten and Hinton 2008](https://jmlr.org/papers/v9/vandermaaten08a.html), as
        scikit-learn has it; Figure 4 of HUIGN,
        [Wei et al. 2021](https://arxiv.org/abs/2110.14925).
    """
    if len(points) < _FEWEST:
        raise ValueError(f"t-SNE needs at least {_FEWEST} points, got {len(points)}")
    placed = TSNE(
        n_components=num_dimensions,
        perplexity=min(30.0, (len(points) - 1) / 3),
        init="pca" if min(points.shape) >= num_dimensions else "random",
        random_state=seed,
    ).fit_transform(points)
    return np.asarray(placed, dtype=np.float32)
