import csv
import io
import json
import re

import pytest

from tests.assembly.small import MODELS, write_small_spec
from tests.cli.terminals import on_a_terminal
from tests.report.directories import write_run

HIGH = {"ndcg@10": [0.5, 0.9, 0.4], "recall@10": [0.5, 0.5, 0.2]}
MIDDLE = {"ndcg@10": [0.4, 0.6, 0.2], "recall@10": [0.5, 1.0, 0.0]}
LOW = {"ndcg@10": [0.1, 0.3, 0.2], "recall@10": [0.1, 0.1, 0.1]}


@pytest.fixture
def runs(tmp_path):
    """Three runs of three models."""
    write_run(tmp_path / "a", HIGH, model="huign")
    write_run(tmp_path / "b", MIDDLE, model="bpr_mf")
    write_run(tmp_path / "c", LOW, model="popularity")
    return "a", "b", "c"


@pytest.fixture
def seeds(tmp_path):
    """Two runs that differ in their seeds, and one of another model."""
    for seed, scores in enumerate(([0.5, 0.9, 0.4], [0.3, 0.8, 0.4])):
        write_run(tmp_path / f"s{seed}", scores, seed=seed)
    write_run(tmp_path / "other", [0.4, 0.6, 0.2], model="bpr_mf")
    return "s0", "s1", "other"


def test_runs_stand_side_by_side_and_the_best_is_tested_against_each_other(hugraph, runs):
    code, out, err = hugraph("compare", *runs)
    assert (code, err) == (0, "")
    assert out.startswith(
        "shop, tested on 3 users\n"
        "model        ndcg@10  recall@10\n"
        "huign        0.6000   0.4000\n"
        "bpr_mf       0.4000   0.5000\n"
        "popularity   0.2000   0.1000\n"
        "improvement  +50.0%   -20.0%\n"
        "\n"
        "ndcg@10 of huign less that of each other model, user by user; p-values corrected by Holm\n"
        "against     gain     95% interval      d     t-test p  Wilcoxon p  W/T/L\n"
    )
    # gains 0.1, 0.3, 0.2: d = 2, t = 2 * sqrt(3) and p = 0.0742; signed ranks: p = 2 * 1/8; the
    # gains on popularity are twice as large, so p is the same, and Holm doubles both
    assert out.endswith(
        "bpr_mf      +0.2000  0.1000 to 0.3000  2.00  0.15      0.5         3/0/0\n"
        "popularity  +0.4000  0.2000 to 0.6000  2.00  0.15      0.5         3/0/0\n"
    )


def test_the_metrics_that_are_named_are_shown_and_the_first_decides(hugraph, runs):
    out = hugraph("compare", *runs, "--metric", "recall@10").out
    assert "ndcg" not in out
    assert "recall@10 of bpr_mf less that" in out
    both = hugraph("compare", *runs, "--metric", "recall@10", "--metric", "ndcg@10").out
    assert re.search(r"^model +recall@10 +ndcg@10$", both, flags=re.MULTILINE)


def test_another_run_can_be_held_against_the_others(hugraph, runs):
    out = hugraph("compare", *runs, "--ours", "./c").out
    assert "ndcg@10 of popularity less that" in out
    assert "improvement  -66.7%   -80.0%\n" in out
    assert re.search(r"huign +-0.4000 +-0.6000 to -0.2000 +-2.00 .* 0/0/3\n", out)


def test_the_best_is_bold_and_the_second_underlined_on_a_terminal(hugraph, runs, monkeypatch):
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = hugraph("compare", *runs).out
    assert re.findall(r"\x1b\[1m *(0\.\d+)", out) == ["0.6000", "0.5000"]
    assert re.findall(r"\x1b\[4m *(0\.\d+)", out) == ["0.4000", "0.4000"]


def test_a_name_longer_than_the_terminal_is_folded(hugraph, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_run(tmp_path / ("Q" * 30 + "Z" * 30), [0.1])
    write_run(tmp_path / "b", [0.2], train__epochs=9)
    out = hugraph("compare", "Q" * 30 + "Z" * 30, "b", "--metric", "ndcg@10").out
    assert max(map(len, re.sub(r"\x1b\[\d*m", "", out).splitlines())) <= 40
    table = out.split("against")[0]
    assert (table.count("Q"), table.count("Z")) == (30, 30)


def test_twelve_metrics_of_several_seeds_fit_a_terminal_of_80_columns(tmp_path):
    names = [f"{name}@{k}" for name in ("precision", "recall", "ndcg") for k in (1, 5, 10, 20)]
    for seed in (0, 1):
        write_run(tmp_path / f"{seed}", {name: [0.1, seed / 2] for name in names}, seed=seed)
    write_run(tmp_path / "x", {name: [0.1, 0.2] for name in names}, model="popularity")
    paths = [str(tmp_path / name) for name in ("0", "1", "x")]
    code, shown = on_a_terminal("compare", *paths)
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80
    assert len(re.findall(r"^huign +(?:2 +)?0\.1750", shown, flags=re.MULTILINE)) == 4
    assert [name for name in names if not re.search(rf"\b{name}\b", shown)] == []
    assert "0.1750 ± 0.1768" in shown


def test_seeds_are_a_mean_and_a_deviation(hugraph, seeds):
    out = hugraph("compare", *seeds).out
    assert "model        seeds  ndcg@10\n" in out
    assert "huign        2      0.5500 ± 0.0707\n" in out  # of 0.6 and 0.5
    assert "bpr_mf       1      0.4000\n" in out
    assert "improvement         +37.5%\n" in out
    assert "bpr_mf   +0.1500" in out  # of the means 0.4, 0.85, 0.4 less 0.4, 0.6, 0.2


def test_a_c_locale_gets_ascii(hugraph, seeds, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    for form in ([], ["--markdown"], ["--latex"], ["--csv"], ["--json"]):
        assert hugraph("compare", *seeds, *form).out.isascii()
    assert "0.5500 +- 0.0707" in hugraph("compare", *seeds).out


def test_seeds_that_draw_the_splits_are_tested_over_all_users(hugraph, tmp_path):
    for model in ("huign", "pop"):
        for seed in (0, 1):
            scores = [0.1 * (seed + 1)] * (2 + seed)
            write_run(
                tmp_path / f"{model}{seed}", scores, model=model, seed=seed, split=str(seed) * 64
            )
    code, out, err = hugraph("compare", "huign0", "huign1", "pop0", "pop1")
    assert code == 0
    assert out.startswith("shop, tested on 2 to 3 users\n")
    assert err == "" and out.endswith("0/3/0\n")


def test_latex_takes_booktabs_and_escapes_names(hugraph, tmp_path, seeds):
    write_run(tmp_path / "[50%_a&b^~\\#1", [0, 0, 0], train__epochs=9)
    code, out, err = hugraph("compare", *seeds, "[50%_a&b^~\\#1", "--ours", "other", "--latex")
    assert (code, err) == (0, "")
    head, tests = out.split("\n\n")
    assert (
        head
        == r"""% \usepackage{booktabs}
% shop, tested on 3 users
\begin{tabular}{lrr}
\toprule
run & seeds & ndcg@10 \\
\midrule
s0 & 2 & \textbf{0.5500 $\pm$ 0.0707} \\
other & 1 & \underline{0.4000} \\
{}[50\%\_a\&b\textasciicircum{}\textasciitilde{}\textbackslash{}\#1 & 1 & 0.0000 \\
\midrule
improvement &  & $-$27.3\% \\
\bottomrule
\end{tabular}"""
    )
    assert tests.startswith("% ndcg@10 of other less that of each other run, user by user;")
    assert r"s0 & $-$0.1500 & $-$0.2500 to 0.0000 & $-$1.13 &" in tests
    assert all(line.count("&") == 6 for line in tests.splitlines() if line.startswith("s0"))


def test_a_name_cannot_break_out_of_its_cell(hugraph, tmp_path):
    name = "x\n\\input{y}|*z*"
    write_run(tmp_path / name, [0, 0, 0])
    write_run(tmp_path / "d", [1, 1, 1], train__epochs=9)
    latex, markdown = (
        hugraph("compare", "d", name, "--ours", name, form).out
        for form in ("--latex", "--markdown")
    )
    shown = r"x\textbackslash{}n\textbackslash{}input\{y\}\textbar{}*z*"
    assert f"\n{shown} & \\underline{{0.0000}}" in latex
    assert re.search(r"^\\input", latex, flags=re.MULTILINE) is None
    assert "\n| x\\\\n\\\\input{y}\\|\\*z\\* | *0.0000* |\n" in markdown


def test_markdown_is_a_table(hugraph, runs):
    out = hugraph("compare", *runs, "--markdown").out
    assert out.startswith(
        "shop, tested on 3 users\n\n"
        "| model | ndcg@10 | recall@10 |\n"
        "| --- | --: | --: |\n"
        "| huign | **0.6000** | *0.4000* |\n"
        "| bpr\\_mf | *0.4000* | **0.5000** |\n"
        "| popularity | 0.2000 | 0.1000 |\n"
        "| improvement | +50.0% | -20.0% |\n\n"
    )
    assert "\n| bpr\\_mf | +0.2000 | 0.1000 to 0.3000 | 2.00 | 0.15 | 0.5 | 3/0/0 |\n" in out


def test_csv_has_each_metric_of_each_run(hugraph, seeds):
    out = hugraph("compare", *seeds, "--csv").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["run"], row["model"], row["seed"]) for row in rows] == [
        ("s0", "huign", "0"),
        ("s1", "huign", "1"),
        ("other", "bpr_mf", "0"),
    ]
    assert {row["metric"] for row in rows} == {"ndcg@10"}
    assert [float(row["value"]) for row in rows] == pytest.approx([0.6, 0.5, 0.4])


def test_json_has_everything(hugraph, seeds):
    tree = json.loads(hugraph("compare", *seeds, "--json").out)
    assert (tree["data"], tree["metric"], tree["ours"]) == ("shop", "ndcg@10", "huign")
    ours, other = tree["contenders"]
    assert ours["runs"] == [{"path": "s0", "seed": 0}, {"path": "s1", "seed": 1}]
    assert ours["means"]["ndcg@10"] == pytest.approx(0.55)
    assert ours["deviations"]["ndcg@10"] == pytest.approx(0.1 / 2**0.5)
    assert (other["name"], other["deviations"]) == ("bpr_mf", None)
    assert tree["improvement"]["ndcg@10"] == pytest.approx(37.5)
    (test,) = tree["tests"]
    assert test["against"] == "bpr_mf"
    assert test["difference"] == pytest.approx(0.15)
    assert (test["users"], test["wins"], test["ties"], test["losses"]) == (3, 2, 1, 0)
    assert test["t_p"] == test["t_p_holm"]


def test_json_has_no_word_for_infinity(hugraph, tmp_path):
    write_run(tmp_path / "a", [0.9], synthetic=True)
    write_run(tmp_path / "b", [0.1], model="pop")
    code, out, err = hugraph("compare", "a", "b", "--json")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert (code, err, tree["data"]) == (0, "", "shop (synthetic)")
    (test,) = tree["tests"]
    assert (test["interval"], test["effect_size"], test["t_p"]) == ([None, None], None, 1)
    assert "-inf to inf" in hugraph("compare", "a", "b").out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "Missing argument 'RUN...'"),
        (["a"], 2, "one run alone cannot be compared"),
        (["a", ""], 2, "empty path"),
        (["a", "b", "--ours", "c"], 2, "--ours c is none of the runs to compare: a, b"),
        (["a", "b", "--metric", "ndcg@1"], 2, "no metric 'ndcg@1'; did you mean 'ndcg@10'"),
        (["a", "nowhere"], 5, "no run nowhere"),
        (["a", "."], 5, "not a run directory\n.*\n.*; `hugraph runs .` lists those inside"),
        (["a", "a"], 5, "a and a are one run"),
        (["a", "unfinished"], 5, "not finished .epoch 1.\n  at: unfinished\n  fix: finish it with"),
        (["a", "elsewhere"], 5, "a and elsewhere cannot be compared: data fingerprint is ffff"),
        (["a", "no_spec"], 5, "spec.yaml is damaged\n  at: no_spec\n  fix: restore it"),
        (["a", "two_specs"], 5, "spec.yaml is damaged\n  at: two_specs"),
        (["lists", "lists2", "--metric", "gini@10"], 2, "no user has a gini@10; name one of ndcg"),
    ],
)
def test_mistakes_end_in_one_message_and_the_right_code(
    hugraph, runs, tmp_path, args, code, message
):
    write_run(tmp_path / "unfinished", HIGH, model="x")
    (tmp_path / "unfinished" / "result.json").unlink()
    write_run(tmp_path / "elsewhere", HIGH, model="x", fingerprint="e" * 64)
    for name, text in {"no_spec": "3", "two_specs": "a: 1\na: 2"}.items():
        write_run(tmp_path / name, HIGH, model="x")
        (tmp_path / name / "spec.yaml").write_text(text)
    for name in ("lists", "lists2"):
        write_run(tmp_path / name, HIGH, model=name, lists={"gini@10": 0.5})
    outcome = hugraph("compare", *args)
    assert (outcome.code, outcome.out) == (code, "")
    assert re.search(message, outcome.err), outcome.err
    assert "Traceback" not in outcome.err


def test_what_fit_writes_can_be_compared(hugraph, tmp_path):
    spec = write_small_spec(tmp_path)
    for model in ("lightgcn", "popularity"):
        assert hugraph("fit", "--spec", spec, "-q", "--run", model, *MODELS[model]).code == 0
    tree = json.loads(hugraph("compare", "lightgcn", "popularity", "--json").out)
    for one in tree["contenders"]:
        result = json.loads((tmp_path / one["name"] / "result.json").read_text())
        users = result["test"].pop("users")
        assert one["means"] == pytest.approx(result["test"])
    (test,) = tree["tests"]
    assert test["wins"] + test["ties"] + test["losses"] == test["users"] == users
    code, _, err = hugraph("fit", "--spec", spec, "-q", "--run", "other", "seed=4")
    assert code == 0
    code, _, err = hugraph("compare", "lightgcn", "other")
    assert code == 5 and "lightgcn and other cannot be compared: split_hash is " in err
