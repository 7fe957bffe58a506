import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from hugraph.report.figures import Cloud, Line, by_threshold, clouds, image


def pixels(content):
    return imread(io.BytesIO(content))[..., :3]


def threshold_figure(num_lines, deviation=0.0):
    means = [0.1, float("nan"), 0.3]
    lines = {f"line {i}": Line([m + i for m in means], [deviation] * 3) for i in range(num_lines)}
    return by_threshold([3, 4, 5], {"recall@10": lines, "ndcg@10": lines}, [5000, 400, 30])


def cloud_figure(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    points = np.random.default_rng(0).normal(size=(len(groups), 3))
    return clouds({"visual": Cloud(points, groups, "intent")})


@pytest.mark.parametrize("num_lines", [1, 6])
def test_a_panel_has_a_line_for_each_name_with_a_gap_where_nothing_was_measured(num_lines):
    figure = threshold_figure(num_lines)
    recall, ndcg, edges = figure.axes
    assert [axis.get_ylabel() for axis in figure.axes] == ["recall@10", "ndcg@10", "edges"]
    assert [len(axis.lines) for axis in (recall, ndcg)] == [num_lines] * 2
    for index, line in enumerate(recall.lines):
        np.testing.assert_array_equal(line.get_xdata(), [3, 4, 5])
        np.testing.assert_array_equal(
            np.array(line.get_ydata(), float), [0.1 + index, np.nan, 0.3 + index]
        )
    looks = {(line.get_color(), line.get_marker()) for line in recall.lines}
    assert len(looks) == num_lines
    assert [bar.get_height() for bar in edges.patches] == [5000, 400, 30]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(
        f"line {i}" for i in range(num_lines)
    )


def test_deviations_are_bars_around_the_means_beside_each_other():
    (recall, *_) = threshold_figure(2, deviation=0.05).axes
    first, second = (bars.lines[2][0].get_segments() for bars in recall.containers)
    assert first[0][:, 1] == pytest.approx([0.05, 0.15])
    assert first[0][0, 0] < 3 < second[0][0, 0]


def test_the_largest_groups_have_colours_and_the_others_share_a_grey():
    (axis,) = cloud_figure([3, 30, 4, 20, 5, 40, 6, 2, 10]).axes
    _, labels = axis.get_legend_handles_labels()
    assert labels == ["6", "2", "4", "9", "7", "5", "other"]
    drawn = [len(cloud.get_offsets()) for cloud in axis.collections]
    assert drawn == [40, 30, 20, 10, 6, 5, 3 + 4 + 2]


def test_a_cloud_without_small_groups_has_no_grey():
    (axis,) = cloud_figure([3, 4]).axes
    assert axis.get_legend_handles_labels()[1] == ["2", "1"]


@pytest.mark.parametrize("draw", [lambda: threshold_figure(3), lambda: cloud_figure(range(1, 10))])
def test_the_files_of_a_figure_show_something_and_are_the_same_each_time(draw):
    png, svg = image(draw(), "png"), image(draw(), "svg")
    shown = pixels(png)
    assert shown.std() > 0.05
    for edge in (shown[0], shown[-1], shown[:, 0], shown[:, -1]):
        assert (edge == 1).all()  # nothing is cut off
    assert b"<svg" in svg and re.search(rb"<(path|use) ", svg)
    assert (image(draw(), "png"), image(draw(), "svg")) == (png, svg)
