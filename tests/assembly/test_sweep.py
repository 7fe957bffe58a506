import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from hugraph.assembly import demand
from hugraph.assembly.experiment import Experiment, load_data
from hugraph.assembly.memory import Room
from hugraph.assembly.sections import SCHEMA
from hugraph.assembly.space import Space
from hugraph.assembly.study import Study
from hugraph.assembly.sweep import Sweep
from hugraph.data.export import write_directory
from hugraph.errors import RunError, SpecError
from hugraph.report.runs import find_runs, summarize
from hugraph.train import Evaluation
from tests.assembly.small import MODELS, write_small_spec

QUICK = [*MODELS["bpr_mf"], "train.epochs=1", "evaluate.metrics=[recall]"]
RATES = "train.lr=[1e-3, 1e-2, 1e-1]"


def planned(tmp_path, grid=(RATES,), overrides=QUICK, ranges=(), **options):
    space = Space.parse(grid, ranges)
    return Sweep(write_small_spec(tmp_path), overrides, space=space, **options)


def test_every_trial_is_a_run_of_its_spec_and_the_best_by_validation_comes_first(tmp_path):
    sweep = planned(tmp_path, seeds=(4, 5))
    outcome = sweep.run(tmp_path / "out")
    assert [trial.state for trial in outcome.trials] == ["complete"] * 3
    values = []
    for trial in outcome.trials:
        of_seeds = []
        for fit in trial.fits:
            path = tmp_path / f"out/trials/{trial.number:03d}/seed-{fit.seed}"
            overrides = [f"{key}={text}" for key, text in trial.point.items()]
            asked = SCHEMA.resolve(
                tmp_path / "small.yaml", [*QUICK, *overrides, f"seed={fit.seed}"]
            )
            assert SCHEMA.resolve(path / "spec.yaml") == asked
            of_seeds.append(summarize(path).result["validation"]["recall@10"])
            assert fit.validation == of_seeds[-1]
        assert len(of_seeds) == 2
        values.append(sum(of_seeds) / 2)
        assert trial.value == pytest.approx(values[-1], rel=1e-12)
    assert values == sorted(values, reverse=True)
    assert len(find_runs(tmp_path / "out")) == 6


def test_the_best_spec_is_written_and_tested(tmp_path):
    sweep = planned(tmp_path)
    outcome = sweep.run(tmp_path / "out")
    best, selected = outcome.trials[0], outcome.selected
    assert selected.trial == best
    assert SCHEMA.resolve(tmp_path / "out" / "best.yaml") == sweep.spec_at(best.point, 3)
    (run,), (result,) = selected.runs, selected.results
    assert json.loads((run / "result.json").read_text()) == result
    shutil.rmtree(run)
    (again,) = planned(tmp_path).run(tmp_path / "out").selected.results
    assert {**again, "seconds": 0} == {**result, "seconds": 0}


def test_selection_is_by_validation_where_the_test_says_the_opposite(tmp_path, monkeypatch):
    def opposite(experiment, scorer):
        measured = Experiment.validate(experiment, scorer)
        evaluation = original(experiment, scorer)
        metrics = {name: 1 - value for name, value in measured.items()}
        return Evaluation(metrics, evaluation.users, evaluation.per_user)

    original = Experiment.evaluate
    monkeypatch.setattr(Experiment, "evaluate", opposite)
    outcome = planned(tmp_path).run(tmp_path / "out")
    runs = [summarize(tmp_path / f"out/trials/{n:03d}/seed-3").result for n in range(3)]
    validation = [run["validation"]["recall@10"] for run in runs]
    test = [run["test"]["recall@10"] for run in runs]
    assert len(set(validation)) == 3
    selected = outcome.selected.trial.number
    assert validation[selected] == max(validation) and test[selected] == min(test)


def test_a_trial_that_cannot_be_fitted_is_shown_and_stops_nothing(tmp_path):
    models = "model=[{id_dim: 8}, {levels: [5000, 2]}, {id_dim: 1000000000000000000}]"
    sweep = planned(tmp_path, (models, "train.lr=[1e30, 1e-2]"), ["train.epochs=1"])
    ended = []
    outcome = sweep.run(tmp_path / "out", lambda trial, trials: ended.append(trial.number))
    assert ended == list(range(6))
    assert Counter(trial.state for trial in outcome.trials) == {"complete": 1, "failed": 5}
    reasons = {trial.point["model"]: trial.reason for trial in outcome.trials if trial.reason}
    assert reasons["{levels: [5000, 2]}"] == (
        "model: huign: the finest level has 5000 intents for 60 items"
    )
    assert reasons["{id_dim: 1000000000000000000}"] == "out of memory"
    assert reasons["{id_dim: 8}"].startswith("epoch 1, step 2 of stage 'bpr': the loss became nan")
    assert outcome.selected.trial.point == {"model": "{id_dim: 8}", "train.lr": "0.01"}
    sweep.run(tmp_path / "out", lambda trial, trials: ended.append(trial.number))
    assert len(ended) == 6  # a failed trial is not tried again


def test_a_trial_that_needs_more_memory_than_is_free_waits_until_there_is_more(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(demand, "room", lambda **_: Room(200_000, "the memory of a test"))
    sweep = planned(tmp_path, grid=("model.dim=[3000, 4, 4000]",))
    ended = []
    few, *many = sweep.run(tmp_path / "out", lambda one, _: ended.append(one.number)).trials
    assert (few.state, few.point) == ("complete", {"model.dim": "4"})
    assert sorted(ended) == [0, 1, 2]
    for trial in many:
        assert trial.state == "refused"
        assert trial.reason.startswith("the memory of a test: fitting takes at least")
        assert not list((tmp_path / "out" / f"trials/{trial.number:03d}").glob("seed-*"))
    monkeypatch.undo()
    trials = sweep.run(tmp_path / "out", lambda one, _: ended.append(one.number)).trials
    assert [(one.state, one.reason) for one in trials] == [("complete", None)] * 3
    assert ended[3:] == [one.number for one in many]  # and not the one that was complete


def test_any_other_error_stops_the_sweep_and_leaves_the_trial_to_be_gone_on_with(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Experiment, "popularity", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        planned(tmp_path).run(tmp_path / "out")
    monkeypatch.undo()
    outcome = planned(tmp_path).run(tmp_path / "out")
    assert [trial.state for trial in outcome.trials] == ["complete"] * 3


def test_a_grid_may_be_tried_in_part_and_then_further(tmp_path):
    assert len(planned(tmp_path, trials=2).run(tmp_path / "out").trials) == 2
    assert len(planned(tmp_path, trials=9).run(tmp_path / "out").trials) == 3


@pytest.mark.parametrize(
    ("trials", "space", "most"),
    [
        (None, {"grid": ("model.dim=[4, 8]",)}, 2),
        (5, {"grid": ("model.dim=[4, 8]",)}, 2),
        (1, {"grid": ("model.dim=[4, 8]",)}, 1),
        (None, {"grid": (RATES,), "ranges": ("model.dim=[4, 8]",)}, 15),
        (None, {"grid": (RATES,), "ranges": ("train.clip_norm=[0.5, 2]",)}, 50),
    ],
)
def test_a_search_ends_where_all_points_are_known(tmp_path, trials, space, most):
    assert planned(tmp_path, **space, search="tpe", trials=trials).trials == most


def test_a_search_fits_every_point_of_a_small_grid_once(tmp_path):
    outcome = planned(tmp_path, ("model.dim=[4, 8]",), search="tpe").run(tmp_path / "out")
    assert sorted(trial.point["model.dim"] for trial in outcome.trials) == ["4", "8"]
    assert len(find_runs(tmp_path / "out")) == 2


def test_a_trial_whose_first_seed_is_hopeless_stops_at_that_epoch(tmp_path, monkeypatch):
    seen = []

    def hopeless(study, claim, epoch, value):
        seen.append((claim.number, epoch, value))
        return claim.point["train.lr"] == "0.001" and epoch == 2

    monkeypatch.setattr(Study, "hopeless", hopeless)
    overrides = [*QUICK, "train.epochs=3"]
    sweep = planned(tmp_path, ("train.lr=[1e-3, 1e-2]",), overrides, seeds=(1, 2), prune=True)
    outcome = sweep.run(tmp_path / "out")
    complete, pruned = outcome.trials
    assert [trial.state for trial in outcome.trials] == ["complete", "pruned"]
    runs = {path.relative_to(tmp_path / "out/trials"): path for path in find_runs(tmp_path)}
    homes = [f"{one.number:03d}" for one in (pruned, complete, complete)]
    assert sorted(map(str, runs)) == sorted(map("{}/seed-{}".format, homes, (1, 1, 2)))
    curves = {}
    for trial in outcome.trials:
        lines = (tmp_path / f"out/trials/{trial.number:03d}/seed-1/metrics.jsonl").read_text()
        rows = map(json.loads, lines.splitlines())
        curves[trial.number] = [row["validation"]["recall@10"] for row in rows]
    assert [len(curves[one.number]) for one in (complete, pruned)] == [3, 2]
    assert sorted(seen) == sorted(
        (number, epoch, value)
        for number, curve in curves.items()
        for epoch, value in enumerate(curve, start=1)
    )
    assert pruned.reason == f"epoch 2, recall@10 {curves[pruned.number][1]:.4f}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overrides": [*QUICK, "train.batch_size=64"]}, r"spec\.train\.batch_size: 128 -> 64"),
        (
            {"grid": ("train.lr=[1e-3, 1e-2]",)},
            r"grid\.train\.lr: .*'0\.1'\] -> \['0\.001', '0\.01'\]",
        ),
        (
            {"overrides": [*QUICK, "train.early_stopping.metric=recall@5"]},
            r"early_stopping\.metric: 'recall@10' -> 'recall@5'",
        ),
        ({"seeds": (3, 4)}, r"seeds: \[3\] -> \[3, 4\]"),
        ({"search": "tpe"}, "search: 'grid' -> 'tpe'"),
        ({"overrides": [*QUICK, "data.num_users=91"]}, r"num_users: 90 -> 91"),
    ],
)
def test_another_sweep_in_the_directory_is_refused_with_what_differs(begun, change, message):
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=message):
        planned(begun, **change).run(begun / "out")
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    directory = tmp_path_factory.mktemp("begun")
    planned(directory, trials=1).run(directory / "out")
    return directory


def test_the_data_may_move_but_not_change(tmp_path):
    dataset = load_data(SCHEMA.resolve(write_small_spec(tmp_path)))
    for name in ("here", "there"):
        write_directory(dataset, tmp_path / name)
    write_directory(
        replace(dataset, users=dataset.users[:-1], items=dataset.items[:-1]), tmp_path / "less"
    )

    def on(name, trials):
        place = [f"data={{source: directory, path: {tmp_path / name}}}"]
        return planned(tmp_path, overrides=[*QUICK, *place], trials=trials).run(tmp_path / "out")

    on("here", 1)
    assert len(on("there", 2).trials) == 2
    with pytest.raises(RunError, match=r"\(fingerprint of the data: "):
        on("less", 3)


@pytest.mark.parametrize(
    ("grid", "options", "what"),
    [
        (["train.lrr=[1]"], {}, "unknown key train.lrr; did you mean 'lr'"),
        (["train.lr=[0.1, -1]"], {}, "train.lr: expected number > 0, got integer -1"),
        (["train.epochs=[3]"], {}, "train.epochs is varied and also set"),
        (["seed=[1, 2]"], {}, "seed is nothing to choose by its value"),
        ([RATES], {"seeds": (1, 1)}, "a seed is listed twice"),
        ([RATES], {"seeds": (1, -1)}, "seed: expected integer >= 0"),
        (["data.k_core=[1, 2]"], {}, "trials with different data cannot be compared"),
        (["evaluate.seen_score=[null, 0]"], {}, "trials with different evaluate cannot"),
        (
            ["train.early_stopping.metric=[recall@5, recall@10]"],
            {},
            "trials with different train.early_stopping.metric cannot be compared",
        ),
        (
            ["train.lr_schedule=[cosine, constant]", "train.final_lr=[0.1]"],
            {},
            "train.final_lr has no effect while train.lr_schedule is constant",
        ),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(tmp_path, grid, options, what):
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, grid, **options)
    (problem,) = caught.value.problems
    assert what in problem.what


def test_the_ends_of_a_range_are_checked_and_a_grid_has_none(tmp_path):
    with pytest.raises(SpecError, match=r"model\.dim: expected integer >= 1, got integer 0"):
        planned(tmp_path, (), ranges=("model.dim=[0, 8]",), search="tpe")
    with pytest.raises(SpecError, match="a range cannot be searched by grid"):
        planned(tmp_path, (), ranges=("model.dim=[1, 8]",))


def test_options_of_a_varied_component_are_checked_with_it(tmp_path):
    models = ("model.component=[lightgcn]", "model.num_layers=[1, 2]")
    planned(tmp_path, models, ["train.epochs=1", "objective.penalties=0"])
    with pytest.raises(SpecError, match=r"unknown key model\.num_layers"):
        planned(tmp_path, models[1:])


def test_scaling_of_features_may_be_varied(tmp_path):
    sweep = planned(tmp_path, ("data.scaling=[raw, unit]",), ["train.epochs=1"])
    assert len(sweep.run(tmp_path / "out").trials) == 2


def test_the_spec_is_read_once(tmp_path):
    sweep = planned(tmp_path)
    (tmp_path / "small.yaml").write_text("version: 1")
    assert sweep.spec_at({"train.lr": "0.5"}, 9).train.lr == 0.5


def test_a_killed_sweep_goes_on_within_the_trial_to_the_same_result(tmp_path):
    overrides = [*QUICK, "train.epochs=20"]
    sweep = [sys.executable, "-m", "hugraph", "sweep", write_small_spec(tmp_path), "--grid", RATES]
    process = subprocess.Popen([*sweep, "--out", tmp_path / "out", "-q", *overrides])
    second = tmp_path / "out/trials/001/seed-3"
    deadline = time.monotonic() + 100
    while epochs(second) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert 3 <= epochs(second) < 20
    untouched = [tmp_path / "out/trials/000/seed-3/result.json", second / "run.json"]
    before = [path.stat().st_mtime_ns for path in untouched]
    ended = []
    outcome = planned(tmp_path, overrides=overrides).run(
        tmp_path / "out", lambda trial, trials: ended.append(trial.number)
    )
    assert ended == [1, 2]
    assert [path.stat().st_mtime_ns for path in untouched] == before
    whole = planned(tmp_path, overrides=overrides).run(tmp_path / "whole")
    assert [(one.number, one.point, one.value) for one in outcome.trials] == [
        (one.number, one.point, one.value) for one in whole.trials
    ]
    curves = list((tmp_path / "whole").rglob("metrics.jsonl"))
    assert len(curves) == 3
    for path in curves:
        assert (
            path.read_bytes()
            == (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes()
        )


def epochs(run):
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def test_two_processes_share_the_points_of_one_sweep(tmp_path):
    grid = ("train.lr=[1, 2, 3]", "data.scaling=[raw, unit]")
    sweep = planned(tmp_path, grid, MODELS["popularity"])
    command = [sys.executable, "-m", "hugraph", "sweep", tmp_path / "small.yaml"]
    command += [word for text in grid for word in ("--grid", text)]
    command += ["--out", tmp_path / "out", *MODELS["popularity"]]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    first = tmp_path / "out/trials/000"
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    ended = []
    sweep.run(tmp_path / "out", lambda trial, trials: ended.append(trial.number))
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    theirs = [int(line.split()[1]) for line in said.splitlines()]
    assert ended and theirs
    assert sorted([*ended, *theirs]) == list(range(6))
    trials = sweep.run(tmp_path / "out").trials
    assert len({tuple(trial.point.values()) for trial in trials}) == len(trials) == 6
    assert {trial.state for trial in trials} == {"complete"}
    assert len(find_runs(tmp_path / "out")) == 6
