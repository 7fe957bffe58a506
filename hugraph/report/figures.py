"""Pictures for a paper: arrays in, a figure of matplotlib out. No window is ever opened."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

# Okabe and Ito's, which most colour-blind readers can tell apart, without its yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dvp*"
_DASHES = ("-", "--", "-.", ":")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.constrained_layout.wspace": 0.06,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "hugraph",  # equal pictures are equal files
}


class Line(NamedTuple):
    """A line with error bars; where nothing was measured, it has NaN."""

    means: Sequence[float]
    deviations: Sequence[float]  # of zeros, no bars


class Cloud(NamedTuple):
    """Points in three dimensions, each of a group."""

    points: NDArray[np.floating]  # (num_points, 3)
    groups: NDArray[np.integer]  # (num_points,), from 0; shown from 1
    legend: str  # what a group is


def by_threshold(
    thresholds: Sequence[int],
    panels: Mapping[str, Mapping[str, Line]],
    edges: Sequence[int],
) -> Figure:
    """Metrics over the threshold of the item graph, and how many edges it leaves.

    Args:
        thresholds: Least numbers of common users, ascending.
        panels: By metric, then by name, a line over the thresholds; the same names in each.
        edges: For each threshold.
    """
    with _style():
        figure = Figure(figsize=(2.6 * (len(panels) + 1), 2.5), layout="constrained")
        *axes, last = figure.subplots(1, len(panels) + 1, squeeze=False)[0]
        for axis, (metric, lines) in zip(axes, panels.items(), strict=True):
            _draw_lines(axis, thresholds, lines)
            axis.set_ylabel(metric)
        last.bar([str(one) for one in thresholds], edges, color="#999999", width=0.7)
        last.set_ylabel("edges")
        last.grid(axis="x", visible=False)
        last.yaxis.set_major_formatter(FuncFormatter(_in_thousands))
        figure.supxlabel("least number of common users", fontsize="medium")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 4))
    return figure


def clouds(panels: Mapping[str, Cloud]) -> Figure:
    """Points in three dimensions, coloured by their groups; small groups share a grey.

    Args:
        panels: By name.
    """
    with _style():
        figure = Figure(figsize=(3.0 * len(panels), 3.7))
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.22, top=0.94, wspace=0.04)
        for index, (name, cloud) in enumerate(panels.items(), start=1):
            axis = figure.add_subplot(1, len(panels), index, projection="3d")
            _draw_cloud(axis, cloud)
            axis.set_title(name, fontsize="medium")
    return figure


def image(figure: Figure, form: Literal["png", "svg"]) -> bytes:
    """The file of a figure; of equal figures it is the same to the last byte."""
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def _draw_lines(axis: Axes, x: Sequence[int], lines: Mapping[str, Line]) -> None:
    nudge = 0.04 * (len(lines) - 1)  # so that error bars stand beside each other
    for index, (name, line) in enumerate(lines.items()):
        several = bool(np.nansum(line.deviations))
        shift = np.linspace(-nudge, nudge, len(lines))[index] if several else 0.0
        axis.errorbar(
            np.asarray(x) + shift,
            line.means,
            line.deviations if several else None,
            color=COLORS[index % len(COLORS)],
            marker=_MARKERS[index % len(_MARKERS)],
            linestyle=_DASHES[index % len(_DASHES)],
            elinewidth=0.8,
            capsize=2,
            label=name,
        )
    axis.set_xticks(x)
    axis.yaxis.set_major_locator(MaxNLocator(5))


def _draw_cloud(axis: Any, cloud: Cloud) -> None:
    size = float(np.clip(9000 / len(cloud.points), 1, 9))
    groups, counts = np.unique(cloud.groups, return_counts=True)
    largest = groups[np.argsort(-counts, kind="stable")][: len(COLORS) - 1]
    rest = ~np.isin(cloud.groups, largest)
    marked = [(cloud.groups == one, COLORS[i], str(one + 1)) for i, one in enumerate(largest)]
    for mine, color, label in [*marked, (rest, "#999999", "other")]:
        if mine.any():
            axis.scatter(*cloud.points[mine].T, s=size, c=color, label=label, lw=0, alpha=0.7)
    for edge in (axis.xaxis, axis.yaxis, axis.zaxis):
        edge.set_ticks([])
        edge.set_pane_color("#f7f7f7")
        edge.line.set_color("#999999")
    axis.set_box_aspect((1, 1, 1), zoom=1.05)
    axis.legend(
        title=cloud.legend,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=4,
        markerscale=2,
        handletextpad=0,
        columnspacing=0.8,
    )


def _in_thousands(number: float, _: int) -> str:
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield
