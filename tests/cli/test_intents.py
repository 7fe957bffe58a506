import json
import re
import shutil
import sys

import networkx as nx
import polars as pl
import pytest

from hugraph.assembly.runs import reopen, trained_model
from hugraph.cli.main import run
from hugraph.data.export import write_directory
from hugraph.data.synthetic import planted
from hugraph.report.intents import describe_intents
from hugraph.train import RunDir
from tests.assembly.small import MODELS, write_small_spec
from tests.cli.terminals import on_a_terminal


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Two runs that differ in their seeds, one with other levels, one on other data."""
    directory = tmp_path_factory.mktemp("fitted")
    spec = write_small_spec(directory)
    changes = {
        "a": [],
        "b": ["seed=4"],
        "levels": ["model.levels=[3, 2]"],
        "data": ["data.seed=1"],
        "bpr_mf": MODELS["bpr_mf"],
    }
    for name, overrides in changes.items():
        out = str(directory / name)
        assert run(["fit", "--spec", spec, "--run", out, "-q", "train.epochs=1", *overrides]) == 0
    return directory


@pytest.fixture
def runs(fitted, hugraph, monkeypatch, capsys):
    capsys.readouterr()
    monkeypatch.chdir(fitted)
    return fitted


def test_each_level_is_a_table_under_its_numbers(hugraph, runs):
    code, out, err = hugraph("intents", "a")
    assert (code, err) == (0, "")
    head, *levels = out.split("\n\n")
    assert (
        head == "huign on planted (synthetic): 4 + 2 intents in each of visual, acoustic, textual"
    )
    assert [level.splitlines()[0] for level in levels] == [
        f"{modality}, level {level}: {count} intents"
        for modality in ("visual", "acoustic", "textual")
        for level, count in ((1, 4), (2, 2))
    ]
    numbers = levels[0].splitlines()[1]
    assert re.match(r"entropy 0\.\d{3}; information 0\.\d{3}; ", numbers)
    assert re.search(r"NMI with planted level_1 0\.\d{3} \(shuffled 0\.\d{3}\), ARI", numbers)
    assert re.search(r"^ +name +share +items +taste +popular +keyword +parent", levels[0], re.M)


def test_a_level_says_what_the_intents_that_have_items_are_named_by(hugraph, runs):
    args = ("intents", "a", "--level", "1")
    said = re.findall(
        r"^some item's strongest: (\d) intents?, named (.*)$", hugraph(*args).out, re.M
    )
    levels = json.loads(hugraph(*args, "--json").out)["levels"]
    assert len(said) == len(levels) == 3
    for (number, kinds), level in zip(said, levels, strict=True):
        named_by = [one["named_by"] for one in level["intents"] if one["strongest_of"]]
        assert int(number) == len(named_by)
        told = {kind: int(times) for times, kind in re.findall(r"(\d) by (\w+)", kinds)}
        assert told == {kind: named_by.count(kind) for kind in named_by}


def test_a_level_and_a_modality_can_be_chosen(hugraph, runs):
    out = hugraph("intents", "a", "--level", "2", "--modality", "acoustic").out
    assert re.findall(r", level \d", out) == [", level 2"]
    assert "acoustic, level 2: 2 intents" in out


def test_details_show_what_an_intent_consists_of(hugraph, runs):
    out = hugraph("intents", "a", "--level", "1", "--details", "--top", "2").out
    items = re.findall(r"^  items: (.*)$", out, flags=re.MULTILINE)
    assert items
    assert all(len(line.split("; ")) == 2 for line in items)
    for kind in ("keywords", "parents", "siblings", "labels"):
        assert re.search(rf"^  {kind}: .*\d\.\d\d", out, flags=re.MULTILINE), kind
    assert "  children: " in hugraph("intents", "a", "--level", "2", "--details").out


def test_json_holds_everything(hugraph, runs):
    tree = json.loads(hugraph("intents", "a", "--json").out)
    assert (tree["runs"], tree["model"], tree["synthetic"]) == (["a"], "huign", True)
    assert [len(level["intents"]) for level in tree["levels"]] == [4, 2] * 3
    level = tree["levels"][0]
    assert level["agreement"]["planted level_1"]["items"] == 60
    assert level["stability"] is None
    assert sum(intent["share"] for intent in level["intents"]) == pytest.approx(1)
    assert sum(intent["strongest_of"] for intent in level["intents"]) == 60
    assert sum(intent["taste"] for intent in level["intents"]) == pytest.approx(1)
    assert len({intent["name"] for intent in level["intents"]}) == 4
    assert {"item", "title", "weight"} == set(level["intents"][0]["items"][0])


def test_chance_is_drawn_by_the_seed_of_the_run_as_in_figures_and_reports(hugraph, runs):
    experiment = reopen(runs / "b")
    model = trained_model(experiment, RunDir(runs / "b"))
    told = describe_intents(model, experiment.dataset, seed=4)
    levels = json.loads(hugraph("intents", "b", "--json").out)["levels"]
    assert [[one["chance"] for one in level["intents"]] for level in levels] == [
        [one.chance for one in level.intents] for level in told
    ]


def test_other_seeds_say_how_stable_each_intent_is(hugraph, runs):
    out = hugraph("intents", "a", "b", "--level", "1").out
    assert "of a; stable: the agreement of 1 other run\n" in out
    assert len(re.findall(r"; stable -?\d\.\d\d \(shuffled 0\.\d\d\)", out)) == 3
    assert re.search(r"^ +name .* keyword +stable +parent", out, flags=re.MULTILINE)
    tree = json.loads(hugraph("intents", "a", "a", "--json").out)
    for level in tree["levels"]:
        assert level["stability"]["mean"] == pytest.approx(1)
        assert [intent["stability"] for intent in level["intents"]] == pytest.approx(
            [1] * len(level["intents"])
        )


def test_graphml_has_the_names(hugraph, runs, tmp_path):
    out = tmp_path / "intents.graphml"
    done = hugraph("intents", "a", "--modality", "visual", "--graphml", str(out), "--json")
    names = [
        intent["name"] for level in json.loads(done.out)["levels"] for intent in level["intents"]
    ]
    graph = nx.read_graphml(out)
    titles = nx.get_node_attributes(graph, "title")
    assert [titles[f"1/{k}"] for k in range(4)] + [titles[f"2/{k}"] for k in range(2)] == names
    assert titles["0/0"] == planted_title(0)
    assert done.err == f"66 nodes and {graph.size()} edges in {out}\n"


def planted_title(item):
    return str(planted(num_users=90, num_items=60, levels=(4, 2), dim=8).item_table["title"][item])


def test_a_graph_shows_one_modality_and_never_lies_in_a_run(hugraph, runs, tmp_path):
    code, _, err = hugraph("intents", "a", "--graphml", str(tmp_path / "x.graphml"))
    assert code == 2
    assert "choose it by --modality: visual, acoustic, textual" in err
    code, _, err = hugraph("intents", "a", "--modality", "visual", "--graphml", "a/x.graphml")
    assert (code, "is inside the run directory" in err) == (2, True)
    code, _, err = hugraph("intents", "a", "--graphml", "nowhere/x.graphml")
    assert (code, "there is no directory nowhere" in err) == (7, True)
    assert "fix: give --graphml in a directory" in err
    code, _, err = hugraph("intents", "a", "--graphml", "intents.xml")
    assert (code, "--graphml 'intents.xml' must end in .graphml." in err) == (2, True)


def test_a_level_or_modality_that_is_not_there_is_wrong_usage(hugraph, runs):
    code, _, err = hugraph("intents", "a", "--level", "3")
    assert (code, "the run has 2 levels, not 3" in err) == (2, True)
    code, _, err = hugraph("intents", "a", "--modality", "visal")
    assert (code, "no modality 'visal'; did you mean 'visual'?" in err) == (2, True)


def test_a_model_without_intents_says_which_one_to_fit(hugraph, runs):
    code, out, err = hugraph("intents", "bpr_mf")
    assert (code, out) == (5, "")
    assert err == (
        "error[5]: bpr_mf has no intents that items are distributed over\n"
        "  at: bpr_mf\n  fix: fit huign\n"
    )


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("data", "it was fitted on other data than a"),
        ("levels", "it has intents {'visual': [3, 2], "),
        ("small.yaml", "small.yaml"),
    ],
)
def test_runs_that_cannot_be_matched_are_refused(hugraph, runs, other, said):
    code, out, err = hugraph("intents", "a", other)
    assert (code, out) == (5, "")
    assert said in err


def test_a_run_without_weights_is_no_run_to_describe(hugraph, runs, tmp_path):
    shutil.copytree("a", tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "checkpoints")
    assert hugraph("intents", str(tmp_path / "begun")).code == 5


def test_without_scikit_learn_it_says_what_to_install(hugraph, runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "hugraph.report.keywords", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    code, _, err = hugraph("intents", "a")
    assert code == 7
    assert "fix: pip install 'hugraph[figures]'" in err


def test_titles_cannot_act_on_a_terminal_and_lines_fit_it(hugraph, runs, tmp_path):
    write_items(tmp_path / "data", title="\x1b]0;1984", text="")
    spec, fitted = write_small_spec(tmp_path), str(tmp_path / "run")
    source = "data={source: directory, path: " + json.dumps(str(tmp_path / "data")) + "}"
    done = hugraph("fit", "--spec", spec, "--run", fitted, "-q", "train.epochs=1", source)
    assert done.code == 0, done.err
    out = hugraph("intents", fitted, "--details").out
    assert "\nthe items have no texts, so that no terms can name the intents\n" in out
    assert "\x1b" not in out
    assert "\\x1b]0;1984" in out
    code, shown = on_a_terminal("intents", fitted, "--level", "1")
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80


def write_items(directory, *, title, text):
    """The small planted data with one title and one text for all items."""
    dataset = planted(num_users=90, num_items=60, interactions_per_user=9, levels=(4, 2), dim=8)
    write_directory(dataset, directory)
    table = directory / "items.csv"
    pl.read_csv(table).with_columns(title=pl.lit(title), text=pl.lit(text)).write_csv(table)
    (directory / "SHA256SUMS").unlink()
