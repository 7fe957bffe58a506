"""What all commands that draw have in common."""

from importlib import import_module
from typing import TYPE_CHECKING

import click

from hugraph.cli.terminal import say
from hugraph.errors import ResourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

figures_option = click.option(
    "--figures/--no-figures",
    default=True,
    show_default=True,
    envvar="HUGRAPH_FIGURES",
    show_envvar=True,
    help="Whether to draw curves and intents for TensorBoard at the end; needs hugraph[figures].",
)

MOST_ITEMS = 20_000  # in a figure of items; t-SNE of more takes very long


def require_drawing(*modules: str) -> None:
    """Says before anything is computed that a figure could not be drawn.

    Args:
        modules: Those of `hugraph.report` that are needed besides the ones for figures.
    """
    try:
        for name in ("figures", "projection", *modules):
            import_module(f"hugraph.report.{name}")
    except ModuleNotFoundError as error:
        raise ResourceError(
            f"drawing a figure needs {error.name}, which is not installed",
            fix="pip install 'hugraph[figures]'",
        ) from error


def drawn_items(num_items: int) -> "NDArray[np.int64]":
    """Which items a picture shows: all, or as many as it can, drawn at random, which is said."""
    from hugraph.report.sampling import sample

    chosen = sample(num_items, MOST_ITEMS)
    if len(chosen) < num_items:
        say(f"note: the figure shows {len(chosen):,} of {num_items:,} items, drawn at random")
    return chosen
