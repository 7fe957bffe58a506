"""Dense layers: the parts of a small network over content."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def linear(fan_in: int, fan_out: int) -> nn.Linear:
    """Makes an affine map, its weight Xavier initialised and its bias zero."""
    layer = nn.Linear(fan_in, fan_out)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def hidden_layers(dim: int, sizes: Sequence[int], *, dropout: float = 0.0) -> nn.Sequential:
    """Makes an affine map, a ReLU and dropout for each size.

    Args:
        dim: Size of the features.
        sizes: Size of each layer, in order.
        dropout: Share of the units that is left out while training.

    Returns:
        Maps `(n, dim)` to `(n, sizes[-1])`; the identity, if there are no sizes.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise((dim, *sizes)):
        layers += [linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
