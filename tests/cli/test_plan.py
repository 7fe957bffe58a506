import json
import re
from functools import partial
from types import SimpleNamespace

import pytest

from hugraph.assembly import demand, plan
from hugraph.assembly.memory import Room
from hugraph.cli.plan import _time
from hugraph.report import figures
from tests.assembly.small import MODELS, write_small_spec


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "make_plan", partial(plan.make_plan, seconds=0.02))
    return write_small_spec(tmp_path)


def test_a_plan_is_a_table(hugraph, spec, tmp_path):
    code, out, err = hugraph("plan", "--spec", spec)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(
        r"huign on planted \(synthetic\): 90 users, 60 items, \d+ interactions to train on",
        lines[0],
    )
    names = [line.split("  ")[0] for line in lines[2:] if not line.startswith(" ")]
    assert names == [
        *("parameters", "item graph", "memory", "disk", "epoch", "TensorBoard", "the fit, 3 epochs")
    ]
    assert re.search(r"^memory +\S+ .B of \S+ GB +measured$", out, flags=re.MULTILINE)
    assert re.search(r"^  5 steps +\S+ s$", out, flags=re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_minutes_are_rounded_up():
    assert [_time(seconds) for seconds in (59.4, 61, 120, 136, 7201)] == [
        *("59 s", "2 min", "2 min", "3 min", "2.0 h")
    ]


def test_stages_are_told_apart_and_a_model_without_any_is_only_tested(hugraph, spec):
    out = hugraph("plan", "--spec", spec, *MODELS["cb2cf"]).out
    assert "epoch of factorisation" in out and "epoch of regression" in out
    assert "\nthe fit, 6 epochs" in out
    out = hugraph("plan", "--spec", spec, *MODELS["popularity"]).out
    assert "\nthe fit " in out and "epoch" not in out


def test_figures_are_drawn_and_counted_unless_a_fit_would_draw_none(hugraph, spec, monkeypatch):
    drawn = []
    save = figures.image
    monkeypatch.setattr(figures, "image", lambda *a, **k: drawn.append(1) or save(*a, **k))

    def made(*options):
        return json.loads(hugraph("plan", "--spec", spec, "--json", *options).out)

    without = made("--no-figures")
    assert not drawn and without["display"] > 0
    assert made("--figures")["disk"] > without["disk"] + 50_000 and len(drawn) == 4


def test_a_disk_that_may_become_full_is_told(hugraph, spec, monkeypatch):
    few = SimpleNamespace(free=1000)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: few)
    code, out, _ = hugraph("plan", "--spec", spec)
    assert code == 0
    assert out.endswith(
        "note: the run may take more than its disk has; choose a --run on another\n"
    )


def test_a_plan_as_json_takes_what_fit_takes(hugraph, spec):
    assert hugraph("data", "synthesize", "mine", "num_users=70", "num_items=64").code == 0
    arguments = ("--data", "mine", "--run", "there/run", "train.epochs=7", "--json")
    code, out, err = hugraph("plan", "--spec", spec, *arguments)
    made = json.loads(out)
    assert (code, err) == (0, "")
    assert made["stages"][0]["epochs"] == 7
    counts = made["dataset"].pop("train_interactions")
    assert made["dataset"] == {"name": "mine", "users": 70, "items": 64} and counts > 70
    assert made["seconds"] > 7 * made["stages"][0]["epoch"] > 0
    assert made["parameters"] > 0 and made["refusal"] is None


def test_without_memory_there_is_still_a_plan_and_fit_ends_with_the_same_words(
    hugraph, spec, tmp_path, monkeypatch
):
    monkeypatch.setattr(demand, "room", lambda **_: Room(100_000, "the memory of a test"))
    code, out, err = hugraph("plan", "--spec", spec)
    assert code == 7
    assert re.search(r"^memory +over \S+ kB of \S+ GB +a bound", out, flags=re.MULTILINE)
    assert err.startswith(
        "error[7]: fitting takes at least 124 kB of memory more than the data, 100 kB"
    )
    assert "  at: the memory of a test\n  fix: set model.id_dim=" in err
    fitted = hugraph("fit", "--spec", spec, "--run", "mine", "-q")
    assert (fitted.code, fitted.err) == (7, err)
    assert not (tmp_path / "mine").exists()
    made = json.loads(hugraph("plan", "--spec", spec, "--json").out)
    assert made["refusal"]["what"].startswith("fitting takes") and made["memory"] is None
    assert made["refusal"]["fix"].startswith("set model.id_dim=")


def test_a_plan_for_a_run_that_is_there_says_what_fit_says(hugraph, spec):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1").code == 0
    for command in ("fit", "plan"):
        code, out, err = hugraph(command, "--spec", spec, "--run", "mine")
        assert (code, out) == (5, "") and "continue it with --resume mine" in err


def test_a_run_that_goes_on_is_refused_too(hugraph, spec, monkeypatch):
    assert hugraph("fit", "--spec", spec, "--run", "mine", "-q", "train.epochs=1").code == 0
    monkeypatch.setattr(demand, "room", lambda **_: Room(100_000, "the memory of a test"))
    assert hugraph("fit", "--resume", "mine", "-q", "train.epochs=2").code == 7
    monkeypatch.setattr(demand, "room", lambda **_: None)
    assert hugraph("fit", "--resume", "mine", "-q", "train.epochs=2").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing option '--spec'"),
        (["--spec", "nowhere.yaml"], 3, "not found"),
        (["--spec", "SPEC", "--data", "nowhere"], 4, "nowhere"),
        (["--spec", "SPEC", "graph.max_pairs=10"], 4, "max_items_per_user"),
        (["--spec", "SPEC", "train.lr=1e30"], 6, "lower train.lr"),
        (["--spec", "SPEC", "--run", "."], 5, "already holds something (small.yaml)"),
        (["--spec", "SPEC", "--run", "small.yaml"], 5, "small.yaml is a file"),
        (["--spec", "SPEC", "--run", "small.yaml/x"], 7, "fix: mend the permissions, or choose"),
    ],
)
def test_mistakes_end_as_those_of_a_fit(hugraph, spec, arguments, code, message):
    outcome = hugraph("plan", *[spec if word == "SPEC" else word for word in arguments])
    assert outcome.code == code, outcome.err
    assert message in outcome.err
