import json
import re
import sys

import pytest

from hugraph.cli.main import run
from tests.assembly.small import MODELS, write_small_spec
from tests.cli.terminals import on_a_terminal

SMOOTHED = "{component: huign, levels: [4, 2], propagation: light, ranking: sampled_softmax}"
FITS = {
    "huign": [],
    "propagated": [f"model={SMOOTHED}", "objective={}"],
    "bpr_mf": MODELS["bpr_mf"],
    "popularity": MODELS["popularity"],
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of each model by its name."""
    directory = tmp_path_factory.mktemp("fits")
    spec = write_small_spec(directory)
    for name, overrides in FITS.items():
        where = str(directory / name)
        assert run(["fit", "--spec", spec, "--run", where, "-q", *overrides]) == 0
    return {name: str(directory / name) for name in FITS}


@pytest.mark.parametrize("name", ["huign", "propagated"])
def test_the_items_that_recommend_lists_are_taken_apart_exactly(hugraph, fitted, name):
    out = hugraph("recommend", fitted[name], "-u", "u3", "-k", "3", "--json").out
    recommended = [json.loads(line) for line in out.splitlines()]
    code, out, err = hugraph("explain", fitted[name], "-u", "u3", "-k", "3", "--json")
    assert (code, err) == (0, "")
    tree = json.loads(out)
    assert tree["user"] == "u3"
    for listed, one in zip(recommended, tree["explanations"], strict=True):
        assert {key: one[key] for key in ("item", "title", "rank")} == {
            key: listed[key] for key in ("item", "title", "rank")
        }
        assert len(one["intents"]) == 3 * (4 + 2)
        effects = [intent["effect"] for intent in one["intents"]]
        whole = one["average"] + sum(effects) + one["amount"] + one["rest"]
        assert abs(whole - listed["score"]) < 1e-5


def test_a_sentence_and_a_table_say_why(hugraph, fitted):
    code, out, err = hugraph("explain", fitted["huign"], "--user", "u3", "--k", "2")
    assert (code, err) == (0, "")
    head, first, second = out.split("\n\n")
    assert head == "for user u3 (synthetic data)"
    title, sentence, *table = first.splitlines()
    assert re.fullmatch(r"\w.* \(i\d+\)", title)
    assert sentence.startswith(f"{title.rpartition(' ')[0]} ranks 1st ")
    assert " ranks 2nd " in second
    assert re.split("  +", table[0]) == (
        ["part", "level", "modality", "your taste", "its share", "adds", "as in your"]
    )
    first, *named, others, weight, ids, score = [line.split("  ")[0] for line in table[1:]]
    assert (first, len(named), others) == ("the average item", 5, "13 more intents")
    assert (weight, ids, score) == ("weight on all intents", "ID embeddings", "score")
    *parts, score = [float(re.findall(r"[+-]?\d+\.\d{4}\b", line)[0]) for line in table[1:]]
    assert abs(sum(parts) - score) < 5e-4  # of roundings


def test_intents_go_by_the_names_of_their_items_or_by_numbers(hugraph, fitted, monkeypatch):
    ask = ("explain", fitted["huign"], "-u", "u3", "-k", "1")
    [one] = json.loads(hugraph(*ask, "--json").out)["explanations"]
    strongest = max(one["intents"], key=lambda intent: abs(intent["effect"]))
    assert strongest["name"]
    out = hugraph(*ask).out
    assert f"\n{strongest['name']} " in out
    monkeypatch.setitem(sys.modules, "hugraph.report.intents", None)
    code, out, err = hugraph(*ask)
    assert code == 0
    assert "note: intents go by their numbers" in err
    assert f"\nintent {strongest['intent']} " in out


def test_one_item_is_explained_also_if_the_user_has_it(hugraph, fitted):
    tree = json.loads(hugraph("explain", fitted["huign"], "-u", "u3", "--json").out)
    history = tree["explanations"][0]["history"]
    own = history[0]["item"]
    out = hugraph("explain", fitted["huign"], "-u", "u3", "-i", own).out
    assert f"({own})\n" in out
    assert ", which you have, scores as it does " in out
    tree = json.loads(hugraph("explain", fitted["huign"], "-u", "u3", "-i", own, "--json").out)
    [one] = tree["explanations"]
    assert (one["item"], one["rank"]) == (own, None)
    assert own not in [item["item"] for item in one["history"]]


def test_other_models_give_what_they_have_and_a_plain_sentence(hugraph, fitted):
    out, err = hugraph("explain", fitted["bpr_mf"], "-u", "u3", "-k", "1")[1:]
    assert "note: bpr_mf has no intents" in err and "fit huign" in err
    assert "because its vector " in out
    assert re.search(r"^above the average +[+-]", out, flags=re.MULTILINE)
    assert "weight on all intents" not in out
    out, err = hugraph("explain", fitted["popularity"], "-u", "u3", "-k", "1")[1:]
    assert "are no products of vectors" in err
    assert "because" not in out
    assert re.search(r"^score +\d+\.0000$", out, flags=re.MULTILINE)


def test_fidelity_comes_as_curves_with_intervals(hugraph, fitted):
    code, out, err = hugraph("explain", fitted["huign"], "--fidelity", "--users", "20")
    assert (code, err) == (0, "")
    assert out.startswith("over 20 users (synthetic data); means with 95 % intervals\n")
    assert out.count("better than random by") == 4
    assert re.search(r"^18 +0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) ", out, flags=re.MULTILINE)
    text = hugraph("explain", fitted["huign"], "--fidelity", "--users", "20", "--json").out
    tree = json.loads(text)
    assert (tree["users"], tree["k"], len(tree["curves"])) == (20, 10, 4)
    deletion = tree["curves"][0]
    assert deletion["steps"] == [0, 1, 2, 4, 8, 16, 18]
    assert deletion["explained"][0] == {"mean": 1.0, "interval": [1.0, 1.0]}
    assert deletion["explained"][-1] == deletion["random"][-1]
    assert f"by {deletion['gain']['mean']:.3f} (" in out
    one = json.loads(
        hugraph("explain", fitted["huign"], "--fidelity", "--users", "1", "--json").out
    )
    assert one["curves"][0]["gain"]["interval"] is None


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["-u", "u33333"], 4, "user 'u33333' is not in this dataset (90 users)\n  fix: .*'u33'"),
        (
            ["-u", "u3", "-i", "i7x"],
            4,
            "item 'i7x' is not in this dataset (60 items)\n  fix: .*'i7'",
        ),
        ([], 2, "Give either --user ID or --fidelity"),
        (["-u", "u3", "--fidelity"], 2, "Give either --user ID or --fidelity"),
        (["--fidelity", "-i", "i3"], 2, "--item ID needs --user ID"),
        (["-u", "u3", "-k", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_answered_is_said(hugraph, fitted, args, code, said):
    outcome = hugraph("explain", fitted["huign"], *args)
    assert (outcome.code, outcome.out) == (code, "")
    assert re.search(said.replace("(", r"\(").replace(")", r"\)"), outcome.err)


def test_fidelity_needs_intents_and_a_run_is_needed(hugraph, fitted, tmp_path):
    code, _, err = hugraph("explain", fitted["bpr_mf"], "--fidelity")
    assert code == 5 and "bpr_mf has no intents whose fidelity could be measured" in err
    assert hugraph("explain", str(tmp_path), "-u", "u3").code == 5


def test_a_user_without_history_is_told_apart_from_an_unknown_one(hugraph, tmp_path):
    rows = [f"u{u},i{i},{'train' if (u + i) % 3 else 'test'}" for u in range(6) for i in range(6)]
    rows += [f"u{u},i6,validation" for u in range(6)] + ["new,i0,test"]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "interactions.csv").write_text("\n".join(["user,item,split", *rows]))
    (tmp_path / "shop.yaml").write_text(
        "version: 1\ndata: {source: directory, path: shop, split: given}\n"
        "model: {component: bpr_mf, dim: 4}\n"
        "train: {epochs: 1, early_stopping: {metric: recall@3}}\n"
        "evaluate: {k: [3]}\ngraph: {component: co_interaction, min_common_users: 1}\n"
    )
    fit = hugraph("fit", "--spec", "shop.yaml", "--run", "mine", "-q")
    assert fit.code == 0, fit.err
    code, out, err = hugraph("explain", "mine", "-u", "new")
    assert (code, out) == (4, "")
    assert "user 'new' has no training interaction; nothing is known of their taste" in err
    assert "for example 'u" in err
    # without titles, items go by their ids
    assert re.search(r"^item i\d ranks 1st ", hugraph("explain", "mine", "-u", "u1").out, re.M)


def test_a_table_fits_a_terminal_of_80_columns(fitted):
    code, shown = on_a_terminal("explain", fitted["huign"], "-u", "u3", "-k", "1")
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80


def test_a_c_locale_gets_ascii(hugraph, fitted, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    assert hugraph("explain", fitted["huign"], "-u", "u3").out.isascii()
    assert hugraph("explain", fitted["huign"], "--fidelity", "--users", "3").out.isascii()
