import io
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hugraph.errors import ResourceError
from tests.assembly.small import MODELS, write_small_spec

EVENTS = Path("mine/tensorboard")


@pytest.fixture
def fit(hugraph, tmp_path):
    spec = write_small_spec(tmp_path)

    def call(model="huign", *options):
        own = [*MODELS[model], "train.epochs=2"]
        return hugraph("fit", "--spec", spec, "--run", "mine", *options, *own)

    return call


def read_events():
    read = EventAccumulator(str(EVENTS), {"histograms": 0})
    read.Reload()
    return read


def labels():
    lines = (EVENTS / "items_labels.tsv").read_text().splitlines()
    header, *rows = (line.split("\t") for line in lines)
    return header, rows


def test_a_finished_run_shows_its_figures_and_its_items_with_named_intents(fit, hugraph):
    outcome = fit("huign", "--figures")
    assert outcome.code == 0 and "drawing figures for TensorBoard" in outcome.err
    read = read_events()
    names = ("curves", "heatmap", "histogram", "tree")
    assert sorted(read.Tags()["images"]) == [f"figures/{name}" for name in names]
    for name in names:
        (picture,) = read.Images(f"figures/{name}")
        assert picture.step == 2
        assert imread(io.BytesIO(picture.encoded_image_string))[..., :3].std() > 0.03
    assert [event.step for event in read.Scalars("terms/bpr")] == [1, 2]
    assert len(read.Histograms("model/assignment/visual/level_1")) == 2
    header, rows = labels()
    assert header == ["title", "item", *(f"{m} {level}" for m in MODALITIES for level in (1, 2))]
    assert len(rows) == 60 and rows[0][1] == "i0"
    assert not any(cell.startswith("intent ") for row in rows for cell in row[2:])
    assert np.loadtxt(EVENTS / "items.tsv").shape == (60, 8 + 3 * 6)
    before = Path("mine/result.json").read_bytes()
    assert hugraph("fit", "--resume", "mine", "--figures").code == 0
    assert Path("mine/result.json").read_bytes() == before
    assert [event.step for event in read_events().Scalars("terms/bpr")] == [1, 2]


MODALITIES = ("visual", "acoustic", "textual")


def test_without_figures_intents_go_by_their_numbers(fit):
    outcome = fit("huign", "--no-figures")
    assert outcome.code == 0 and "TensorBoard" not in outcome.err
    assert read_events().Tags()["images"] == []
    _, rows = labels()
    assert {cell for row in rows for cell in row[2:]} <= {f"intent {k}" for k in range(4)}


def test_who_stops_a_fit_that_draws_is_told_that_the_run_is_finished(fit, monkeypatch, capsys):
    def stop(*_):
        raise SystemExit(130)

    monkeypatch.setattr("hugraph.cli.board._named", stop)
    with pytest.raises(SystemExit, match="130"):
        fit("huign", "--figures")
    err = capsys.readouterr().err
    assert "stopped by SIGINT; the run is finished, but for what TensorBoard shows" in err
    assert "draw it with: hugraph fit --resume mine" in err and Path("mine/result.json").exists()


@pytest.mark.parametrize("library", ["matplotlib", "sklearn"])
def test_where_nothing_draws_a_fit_says_so_and_is_done(fit, monkeypatch, library):
    for name in [one for one in sys.modules if one.startswith("hugraph.report.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [one for one in sys.modules if one.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    outcome = fit("huign", "--figures")
    assert outcome.code == 0
    assert f"note: TensorBoard gets no figures: drawing a figure needs {library}" in outcome.err
    assert "pip install 'hugraph[figures]'" in outcome.err
    assert len(labels()[1]) == 60


@pytest.mark.parametrize(("model", "projected"), [("bpr_mf", True), ("popularity", False)])
def test_a_model_without_intents_shows_what_it_has(fit, model, projected):
    assert fit(model, "--figures").code == 0
    drawn = {"figures/histogram"} | ({"figures/curves"} if projected else set())
    assert set(read_events().Tags()["images"]) == drawn
    assert (EVENTS / "projector_config.pbtxt").exists() == projected
    assert not projected or labels()[0] == ["title", "item"]


def test_of_many_items_a_sample_is_shown_and_said(fit, monkeypatch):
    monkeypatch.setattr("hugraph.cli.board._POINTS", 7)
    monkeypatch.setattr("hugraph.cli.board.MOST_ITEMS", 50)
    err = fit("huign", "--figures").err
    assert "note: TensorBoard's projector shows 7 of 60 items, drawn at random" in err
    assert "note: intents of more than 50 items are named and drawn by hugraph figure alone" in err
    assert "7 of 60 items" in (EVENTS / "projector_config.pbtxt").read_text()
    assert len(labels()[1]) == 7
    assert "figures/tree" not in read_events().Tags()["images"]


FEW_PAIRS = ("--figures", "graph.max_pairs=10")
TOO_MANY = "the users' histories hold"


def test_a_fit_whose_item_graph_is_too_much_to_count_shows_its_result_and_other_figures(
    fit, hugraph
):
    first = fit("lightgcn", *FEW_PAIRS)
    again = hugraph("fit", "--resume", "mine", "--figures")
    for outcome in (first, again):
        assert outcome.code == 0 and "test metric" in outcome.out
        assert outcome.err.count(TOO_MANY) == 1
        assert f"note: TensorBoard gets no histogram of the item graph: {TOO_MANY}" in outcome.err
    assert read_events().Tags()["images"] == ["figures/curves"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (ResourceError("no room", fix="make some"), "no room"),
    ],
)
def test_what_keeps_a_finished_fit_from_being_drawn_takes_no_result_away(
    fit, monkeypatch, error, reason
):
    def refuse(*_):
        raise error

    monkeypatch.setattr("hugraph.cli.board._pictures", refuse)
    outcome = fit("bpr_mf", "--figures")
    assert outcome.code == 0 and "test metric" in outcome.out
    assert f"note: TensorBoard lacks items or figures of this run: {reason}\n" in outcome.err


def test_a_bug_in_drawing_is_told_as_one(fit, monkeypatch):
    monkeypatch.setattr("hugraph.cli.board._pictures", lambda *_: 1 / 0)
    assert fit("bpr_mf", "--figures").code == 1
