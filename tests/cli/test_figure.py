import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from hugraph.cli.main import run as command
from tests.assembly.small import MODELS, write_small_spec


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Run directories of a model with intents, one without, and one without vectors."""
    directory = tmp_path_factory.mktemp("fitted")
    spec = write_small_spec(directory)
    for name in ("huign", "bpr_mf", "popularity"):
        options = [*MODELS[name], "train.epochs=2"]
        assert command(["fit", "--spec", spec, "--run", str(directory / name), "-q", *options]) == 0
    return directory


KINDS = ("tsne", "tree", "curves", "histogram", "heatmap")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn(hugraph, fitted, kind):
    code, out, err = hugraph("figure", kind, str(fitted / "huign"), "--out", "my.png")
    assert (code, out) == (0, ""), err
    assert err.splitlines()[-1] == f"{kind} in my.png"
    assert imread("my.png")[..., :3].std() > 0.03


def test_names_are_text_in_vector_graphics(hugraph, fitted):
    run = str(fitted / "huign")
    assert hugraph("figure", "tree", run, "--out", "t.svg", "-q", "--modality", "visual").code == 0
    shown = re.sub(r"<[^>]*>", "", Path("t.svg").read_text())
    assert "visual" in shown and "textual" not in shown
    assert len(re.findall(r"\d%", shown)) >= 2
    assert hugraph("figure", "curves", run, "--out", "c.pdf").code == 0
    assert Path("c.pdf").read_bytes().startswith(b"%PDF")


def test_items_of_a_model_without_intents_are_drawn_by_their_vectors(hugraph, fitted):
    run = str(fitted / "bpr_mf")
    assert hugraph("figure", "tsne", run, "--out", "t.svg", "-q").code == 0
    assert "strongest" not in Path("t.svg").read_text()


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("bpr_mf", "tree", "bpr_mf has no intents, so there is no tree"),
        ("bpr_mf", "heatmap", "bpr_mf has no intents, so there is no heatmap"),
        ("popularity", "tsne", "popularity has no vectors of items that could be placed"),
        ("popularity", "curves", "no epoch has been trained"),
        ("nowhere", "curves", "there is no run nowhere"),
    ],
)
def test_what_a_run_cannot_show_is_said(hugraph, fitted, model, kind, said):
    code, out, err = hugraph("figure", kind, str(fitted / model), "--out", "my.png")
    assert (code, out) == (5, "")
    assert said in err and "fix:" in err
    assert not Path("my.png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["tree", "--out", "my.jpg"], "--out 'my.jpg' must end in .png or .svg or .pdf."),
        (["tree", "--out", "{run}/my.png"], "is inside the run directory"),
        (["tree"], "Missing option '--out'"),
        (["flower", "--out", "my.png"], "'flower' is not one of"),
        (["curves", "--modality", "visual", "--out", "my.png"], "curves is not of a modality"),
        (["tree", "--level", "1", "--out", "my.png"], "tree is not of a level"),
        (["tree", "--modality", "visua", "--out", "my.png"], "no modality 'visua'; did you mean"),
        (["tsne", "--level", "9", "--out", "my.png"], "the levels that tell items apart are"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_drawn(hugraph, fitted, options, said):
    kind, *rest = options
    run = str(fitted / "huign")
    code, out, err = hugraph("figure", kind, run, *(one.replace("{run}", run) for one in rest))
    assert (code, out) == (2, "")
    assert said in err


def test_a_directory_that_is_not_there_is_said_at_once(hugraph, fitted):
    code, _, err = hugraph("figure", "tree", str(fitted / "huign"), "--out", "no/my.png")
    assert code == 7 and "there is no directory no" in err


def test_a_missing_library_is_named_with_what_installs_it(hugraph, fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "hugraph.report.figures", raising=False)
    code, _, err = hugraph("figure", "curves", str(fitted / "huign"), "--out", "my.png")
    assert code == 7 and "pip install 'hugraph[figures]'" in err


def test_a_histogram_that_is_too_much_to_count_is_refused_with_what_would_help(
    hugraph, fitted, tmp_path
):
    shutil.copytree(fitted / "popularity", tmp_path / "copy")
    spec = tmp_path / "copy" / "spec.yaml"
    spec.write_text(re.sub("max_pairs: .*", "max_pairs: 10", spec.read_text()))
    code, out, err = hugraph("figure", "histogram", "copy", "--out", "my.png")
    assert (code, out) == (4, "")
    assert "error[4]: the users' histories hold" in err and "\n  at: copy\n" in err
    assert re.search(r"fix: fit again with another graph: set max_items_per_user to \d", err)
    assert not Path("my.png").exists()


def test_a_damaged_record_of_epochs_is_said(hugraph, fitted, tmp_path):
    shutil.copytree(fitted / "huign", tmp_path / "copy")
    for wrong in ('{"epoch": 1}', "[", json.dumps({"epoch": 1, "stage": "a", "terms": 3})):
        (tmp_path / "copy" / "metrics.jsonl").write_text(wrong + "\n")
        code, _, err = hugraph("figure", "curves", "copy", "--out", "my.png")
        assert code == 5 and "metrics.jsonl is damaged" in err
