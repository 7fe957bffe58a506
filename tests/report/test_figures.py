import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from hugraph.report.figures import (
    Cloud,
    Heat,
    Line,
    Series,
    by_threshold,
    clouds,
    curves,
    heatmap,
    histogram,
    image,
    tree,
)
from hugraph.report.tree import intent_tree
from tests.report.test_tree import level


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


def test_names_of_groups_stand_in_the_legend_as_they_are():
    points = np.random.default_rng(0).normal(size=(6, 2))
    names = ["_private $x$", "a\nb", "c" * 60]
    (axis,) = clouds({"$": Cloud(points, np.array([0, 0, 0, 1, 1, 2]), "intent", names)}).axes
    assert axis.get_legend_handles_labels()[1] == [" _private $x$", "a b", "c" * 43 + "…"]
    assert axis.name == "rectilinear" and axis.get_title() == "$"


def test_points_of_one_kind_have_no_legend():
    (axis,) = clouds({"items": Cloud(np.eye(3), np.zeros(3, int), "")}).axes
    assert axis.get_legend() is None and len(axis.collections) == 1


def intents_figure():
    fine = level(1, [0.1, 0.4, 0.2, 0.3], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    return tree({"visual": intent_tree([fine, level(2, [0.45, 0.55])])})


def test_a_tree_has_a_dot_for_each_intent_and_a_line_to_each_child_as_wide_as_its_weight():
    (axis,) = intents_figure().axes
    texts = [text.get_text() for text in axis.texts]
    assert sorted(text.split()[0] for text in texts) == ["1.0", "1.1", "1.2", "1.3", "2.0", "2.1"]
    assert "2.1  55.0%" in texts
    widths = {round(float(line.get_linewidth()), 6) for line in axis.patches}
    assert widths == {round(0.4 + 2.6 * weight, 6) for weight in (0.8, 0.7, 0.6, 0.9)}
    rows = {text.get_text().split()[0]: text.xy[1] for text in axis.texts}
    assert rows["1.1"] < rows["2.1"] < rows["1.3"] < rows["1.2"] < rows["2.0"] < rows["1.0"]


def test_flat_trees_stand_beside_each_other():
    panels = {name: intent_tree([level(1, [0.5, 0.3, 0.2])]) for name in "abc"}
    axes = [axis for axis in tree(panels).axes if axis.texts]
    assert [axis.get_title(loc="left") for axis in axes] == ["a", "b", "c"]
    assert all(len(axis.texts) == 3 for axis in axes)


def test_curves_have_a_panel_for_each_kind_and_mark_the_best_epoch():
    loss = {"bpr": Series([1, 2, 3], [0.7, 0.5, 0.4])}
    recall = {"recall@5": Series([1, 2], [0.1, 0.2]), "recall@10": Series([1, 2], [0.2, 0.3])}
    first, second = (a for a in curves({"bpr": loss, "recall": recall}, 2).axes if a.lines)
    np.testing.assert_array_equal(first.lines[0].get_xydata(), [[1, 0.7], [2, 0.5], [3, 0.4]])
    assert first.lines[1].get_xdata() == [2, 2]
    assert first.get_legend() is None
    assert [t.get_text() for t in second.get_legend().get_texts()] == ["recall@5", "recall@10"]


def test_the_bar_of_the_chosen_threshold_stands_out():
    (axis,) = histogram({1: 183_654, 2: 84_278, 3: 7}, 2).axes
    assert [bar.get_height() for bar in axis.patches] == [183_654, 84_278, 7]
    assert [text.get_text() for text in axis.texts] == ["184k", "84.3k", "7"]
    first, second, third = (bar.get_facecolor() for bar in axis.patches)
    assert first == third != second


def test_a_long_heat_map_is_shown_in_bands_that_keep_the_mean():
    weights = np.random.default_rng(0).random((1000, 2))
    heats = [Heat("items", weights, [], ["a", "b"]), Heat("up", np.eye(2), ["a", "b"], ["c", "d"])]
    figure = heatmap({"visual": heats})
    items, up = (axis for axis in figure.axes if axis.images)
    shown = items.images[0].get_array()
    np.testing.assert_allclose(shown[0], weights[:5].mean(axis=0))
    np.testing.assert_allclose(shown[-1], weights[-4:].mean(axis=0))
    assert items.get_ylabel() == "1,000 items"
    np.testing.assert_array_equal(up.images[0].get_array(), np.eye(2))
    assert [text.get_text() for text in up.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_a_title_in_a_script_without_glyphs_warns_nobody_and_files_stay_equal(form):
    def draw():
        return image(curves({"ふるさと $": {"l": Series([1, 2], [1, 2])}}), form)

    assert draw() == draw()


def test_names_of_branches_with_one_child_each_keep_clear_of_each_other():
    parents = np.eye(4) * 0.7 + 0.1
    levels = [level(1, [0.4, 0.3, 0.2, 0.1], parents), level(2, [0.4, 0.3, 0.2, 0.1])]
    figure = tree({"visual": intent_tree(levels)})
    figure.canvas.draw()
    (axis,) = figure.axes
    boxes = [text.get_window_extent() for text in axis.texts]
    dots = axis.transData.transform([dots.get_offsets()[0] for dots in axis.collections])
    assert len(boxes) == 8
    for one, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[one + 1 :])
        assert not any(box.contains(*dot) for dot in dots)


def test_a_heat_map_of_many_columns_is_wide_enough_for_their_names():
    many = Heat("items to level 1", np.eye(60), (), [f"intent {k}" for k in range(60)])
    few = Heat("level 1 to level 2", np.eye(3), (), list("abc"))
    figure = heatmap({"visual": [many, few]})
    figure.canvas.draw()
    wide, narrow = (axis.get_window_extent().width for axis in figure.axes[:2])
    points = wide / figure.dpi * 72
    assert points / 60 > 5 and narrow < wide / 2


def test_bars_are_counted_in_thousands_and_millions():
    edges = {1: 3_950_000, 2: 999_600, 3: 934_000, 4: 1000, 5: 999, 6: 0}
    (axis,) = histogram(edges).axes
    assert [text.get_text() for text in axis.texts] == ["3.95M", "1M", "934k", "1k", "999", "0"]
    assert axis.yaxis.get_major_formatter()(4_000_000, None) == "4M"
