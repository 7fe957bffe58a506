"""Pictures for a paper: arrays in, a figure of matplotlib out. No window is ever opened."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from hugraph.report.exposure import Exposure
from hugraph.report.tree import Branch
from hugraph.report.views import Heat, Series

# Okabe and Ito's, which most colour-blind readers can tell apart, without its yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^Dvp*"
_DASHES = ("-", "--", "-.", ":")
_GREY = "#999999"
_LONGEST = 44  # characters of a name
_LONGEST_BESIDE = 28  # of one beside which another stands
_BANDS = 240  # rows of a heat map; more are averaged
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
    "legend.edgecolor": "none",
    "legend.framealpha": 0.7,
    "figure.constrained_layout.wspace": 0.06,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "hugraph",  # equal pictures are equal files
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a title may hold dollars
}


class Line(NamedTuple):
    """A line with error bars; where nothing was measured, it has NaN."""

    means: Sequence[float]
    deviations: Sequence[float]  # of zeros, no bars


class Cloud(NamedTuple):
    """Points in two or three dimensions, each of a group."""

    points: NDArray[np.floating]  # (num_points, 2) or (num_points, 3)
    groups: NDArray[np.integer]  # (num_points,), from 0
    legend: str  # what a group is; empty for points of one kind
    names: Sequence[str] = ()  # of the groups; if there are none, their numbers from 1 are shown


class Band(NamedTuple):
    """A line with the interval around each of its points."""

    x: Sequence[float]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


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
        last.bar([str(one) for one in thresholds], edges, color=_GREY, width=0.7)
        last.set_ylabel("edges")
        last.grid(axis="x", visible=False)
        last.yaxis.set_major_formatter(FuncFormatter(lambda n, _: _rounded(n)))
        figure.supxlabel("least number of common users", fontsize="medium")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 4))
    return figure


def clouds(panels: Mapping[str, Cloud]) -> Figure:
    """Points coloured by their groups; small groups share a grey.

    Args:
        panels: By name; at most four stand in a row.
    """
    columns = min(len(panels), 4)
    rows = math.ceil(len(panels) / columns)
    named = any(cloud.names for cloud in panels.values())
    height = 4.4 if named else 3.7
    with _style():
        figure = Figure(figsize=(3.0 * columns, height * rows))
        figure.subplots_adjust(
            left=0.01,
            right=0.99,
            bottom=(0.36 if named else 0.22) / rows,
            top=1 - 0.06 / rows,
            wspace=0.04,
            hspace=0.62 if named else 0.4,
        )
        for index, (name, cloud) in enumerate(panels.items(), start=1):
            projection = "3d" if cloud.points.shape[1] == 3 else None
            axis = figure.add_subplot(rows, columns, index, projection=projection)
            _draw_cloud(axis, cloud)
            axis.set_title(_shown(name), fontsize="medium")
    return figure


def tree(panels: Mapping[str, Sequence[Branch]]) -> Figure:
    """Intents and their parents, the coarsest to the left; a dot's area is the intent's size.

    Args:
        panels: By name, the coarsest intents.
    """
    deepest = max(map(_depth, panels.values())) - 1
    columns = 1 if deepest else min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    taken = [sum(map(_height, branches)) for branches in panels.values()]
    shown = taken if columns == 1 else [max(taken)] * len(taken)  # names beside each other
    heights = [0.21 * max(count, 2) + 0.35 for count in shown[:rows]]
    with _style():
        figure = Figure(figsize=(7.2, sum(heights)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (name, branches), count in zip(axes, panels.items(), shown, strict=False):
            _draw_tree(axis, branches)
            axis.set_xlim(-0.15, deepest + (0.85 if deepest else 1.6))
            axis.set_ylim(max(count, 2) - 0.4, -0.6 - 0.6 * bool(deepest))
            axis.set_title(_shown(name), fontsize="medium", loc="left")
    return figure


def curves(panels: Mapping[str, Mapping[str, Series]], best_epoch: int | None = None) -> Figure:
    """What was measured epoch by epoch.

    Args:
        panels: By name, then by the name of a line.
        best_epoch: Marked, if there is one.
    """
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    with _style():
        figure = Figure(figsize=(2.5 * columns, 2.0 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (name, lines) in zip(axes, panels.items(), strict=False):
            for index, (label, series) in enumerate(lines.items()):
                color, dashes = COLORS[index % len(COLORS)], _DASHES[index % len(_DASHES)]
                axis.plot(*series, color=color, linestyle=dashes, label=_shown(label))
            if best_epoch:
                axis.axvline(best_epoch, color=_GREY, linewidth=0.8, linestyle=":")
            axis.set_title(_shown(name), fontsize="medium")
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.yaxis.set_major_locator(MaxNLocator(4))
            if len(lines) > 1:
                axis.legend(fontsize="small")
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        figure.supxlabel("epoch", fontsize="medium")
    return figure


def histogram(edges: Mapping[int, int], chosen: int | None = None) -> Figure:
    """How many edges an item graph has at each threshold, the bars of the paper's Figure 3.

    Args:
        edges: By least number of common users.
        chosen: The threshold of the run, which stands out.
    """
    with _style():
        figure = Figure(figsize=(4.2, 2.6), layout="constrained")
        axis = figure.subplots()
        colors = [COLORS[0] if threshold == chosen else _GREY for threshold in edges]
        bars = axis.bar([str(one) for one in edges], list(edges.values()), color=colors, width=0.7)
        counts = [_rounded(n) for n in edges.values()]
        axis.bar_label(bars, counts, fontsize=7)
        axis.set_xlabel("least number of common users")
        axis.set_ylabel("edges between items")
        axis.grid(axis="x", visible=False)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda n, _: _rounded(n)))
    return figure


def exposures(groups: Mapping[str, Exposure]) -> Figure:
    """How lists, and interactions, are spread over items: by popularity, and at all.

    Args:
        groups: By name.
    """
    with _style():
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        tenths, lorenz = figure.subplots(1, 2)
        width = 0.8 / len(groups)
        for index, (name, group) in enumerate(groups.items()):
            color = COLORS[index % len(COLORS)]
            places = np.arange(len(group.tenths)) + (index - (len(groups) - 1) / 2) * width
            tenths.bar(places, group.tenths, width=width, color=color, label=_shown(name))
            dashes = _DASHES[index % len(_DASHES)]
            lorenz.plot(range(101), group.curve, color=color, linestyle=dashes)
        lorenz.plot([0, 100], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
        tenths.set_xticks(range(10), range(1, 11))
        tenths.set_xlabel("tenth of the items, most popular first")
        tenths.set_ylabel("share")
        tenths.grid(axis="x", visible=False)
        tenths.legend(fontsize="small")
        lorenz.set_xlabel("% of the items, least shown first")
        lorenz.set_ylabel("share that they have")
    return figure


def bands(panels: Mapping[str, Mapping[str, Band]], x: str) -> Figure:
    """Lines with the intervals around them.

    Args:
        panels: By name, then by the name of a line.
        x: What the horizontal axis counts.
    """
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    with _style():
        figure = Figure(figsize=(3.6 * columns, 2.3 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (name, lines) in zip(axes, panels.items(), strict=False):
            for index, (label, band) in enumerate(lines.items()):
                color, dashes = COLORS[index % len(COLORS)], _DASHES[index % len(_DASHES)]
                axis.plot(band.x, band.means, color=color, linestyle=dashes, label=_shown(label))
                axis.fill_between(band.x, band.lows, band.highs, color=color, alpha=0.2, lw=0)
            axis.set_title(_shown(name), fontsize="medium")
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axis.yaxis.set_major_locator(MaxNLocator(4))
        axes[0].legend(fontsize="small")
        figure.supxlabel(x, fontsize="medium")
    return figure


def heatmap(panels: Mapping[str, Sequence[Heat]]) -> Figure:
    """Matrices of weights, dark for none and bright for the largest; long ones in bands of rows.

    Args:
        panels: By the name of a row of them.
    """
    columns = max(map(len, panels.values()))
    with _style():
        widths = [3.4] * columns
        for heats in panels.values():
            for index, heat in enumerate(heats):
                widths[index] = max(widths[index], 0.1 * len(heat.columns) + 1.8)
        size = (sum(widths), 4.0 * len(panels))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(len(panels), columns, width_ratios=widths)
        for place, (name, heats) in enumerate(panels.items()):
            for index, heat in enumerate(heats):
                axis = figure.add_subplot(grid[place, index])
                _draw_heat(axis, heat)
                axis.set_title(_shown(f"{name}: {heat.title}"), fontsize="medium", loc="left")
    return figure


def image(figure: Figure, form: Literal["png", "svg", "pdf"], *, dpi: int = 200) -> bytes:
    """The file of a figure; of equal figures it is the same to the last byte.

    Args:
        figure: What to save.
        form: As what.
        dpi: Dots an inch, where the file holds dots.
    """
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # of a title
        figure.savefig(buffer, format=form, dpi=dpi, metadata=dates.get(form))
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
    labels = [_shown(cloud.names[one]) if cloud.names else str(one + 1) for one in largest]
    marked = [(cloud.groups == one, COLORS[i], labels[i]) for i, one in enumerate(largest)]
    for mine, color, label in [*marked, (rest, _GREY, "other")]:
        if mine.any():
            axis.scatter(*cloud.points[mine].T, s=size, c=color, label=label, lw=0, alpha=0.7)
    if cloud.points.shape[1] == 3:
        for edge in (axis.xaxis, axis.yaxis, axis.zaxis):
            edge.set_ticks([])
            edge.set_pane_color("#f7f7f7")
            edge.line.set_color(_GREY)
        axis.set_box_aspect((1, 1, 1), zoom=1.05)
    else:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_box_aspect(1)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.set_facecolor("#f7f7f7")
    if cloud.legend:
        axis.legend(
            title=cloud.legend,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=1 if cloud.names else 4,
            fontsize="small" if cloud.names else "medium",
            markerscale=2,
            handletextpad=0,
            columnspacing=0.8,
        )


def _height(branch: Branch) -> int:
    """Rows that a branch takes: the name of one with others below it stands above its dot."""
    return max(sum(map(_height, branch.children)), 2) if branch.children else 1


def _depth(branches: Sequence[Branch]) -> int:
    return 1 + max((_depth(branch.children) for branch in branches), default=-1)


def _draw_tree(axis: Axes, branches: Sequence[Branch]) -> None:
    deepest, row = _depth(branches) - 1, 0

    def draw(branch: Branch, depth: int, color: str) -> float:
        nonlocal row
        if len(branch.children) == 1 and not branch.children[0].children:
            row += 1
        heights = [draw(child, depth + 1, color) for child in branch.children]
        if heights:
            y = (heights[0] + heights[-1]) / 2
        else:
            y, row = float(row), row + 1
        x = float(depth if heights else deepest)
        for child, below in zip(branch.children, heights, strict=True):
            end = float(depth + 1 if child.children else deepest)
            middle = (x + end) / 2
            path = Path(
                [(x, y), (middle, y), (middle, below), (end, below)],
                [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
            )
            width = 0.4 + 2.6 * child.weight
            axis.add_patch(PathPatch(path, fc="none", ec=color, lw=width, alpha=0.45, zorder=1))
        axis.scatter([x], [y], s=8 + 700 * branch.intent.soft_size, c=color, lw=0, zorder=2)
        longest = _LONGEST if deepest < 2 or not heights else _LONGEST_BESIDE
        text = f"{_shown(branch.intent.name, longest)}  {branch.intent.soft_size:.1%}"
        if heights:
            axis.annotate(
                text,
                (x, y),
                (0, 9),
                textcoords="offset points",
                fontsize=7.5,
                fontweight="bold",
                va="bottom",
                bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.5},
                zorder=3,
            )
        else:
            axis.annotate(
                text, (x, y), (9, 0), textcoords="offset points", fontsize=7.5, va="center"
            )
        return y

    for index, branch in enumerate(branches):
        draw(branch, 0, COLORS[index % len(COLORS) if deepest else 0])


def _draw_heat(axis: Axes, heat: Heat) -> None:
    weights = heat.weights
    if len(weights) > _BANDS:
        bands = np.array_split(weights, _BANDS)
        weights = np.stack([band.mean(axis=0) for band in bands])
    shown = axis.imshow(weights, aspect="auto", cmap="cividis", vmin=0, interpolation="nearest")
    size = 6 if len(heat.columns) <= 24 else 5
    axis.set_xticks(range(len(heat.columns)), _brief(heat.columns), rotation=90, fontsize=size)
    if heat.rows:
        axis.set_yticks(range(len(heat.rows)), _brief(heat.rows), fontsize=6)
    else:
        axis.set_yticks([])
        axis.set_ylabel(f"{len(heat.weights):,} items")
    axis.grid(visible=False)
    colorbar = axis.figure.colorbar(shown, ax=axis, shrink=0.5, pad=0.02)
    colorbar.ax.tick_params(labelsize=6, width=0.5)
    colorbar.ax.grid(visible=False)


def _brief(names: Sequence[str]) -> list[str]:
    return [_shown(name, 22) for name in names]


def _shown(text: str, at_most: int = _LONGEST) -> str:
    """The text on one line, and short enough; a legend leaves out what begins with `_`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line if len(line) <= at_most else f"{line[: at_most - 1].rstrip(' ,;')}…"
    return f" {line}" if line.startswith("_") else line


def _rounded(number: float) -> str:
    """Three digits, with k for thousands and M for millions."""
    if abs(number) >= 999_500:
        return f"{number / 1e6:.3g}M"
    return f"{number / 1000:.3g}k" if abs(number) >= 999.5 else f"{number:.3g}"


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield
