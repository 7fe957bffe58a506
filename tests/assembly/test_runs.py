import json
import shutil

import numpy as np
import pytest
import torch

from hugraph.assembly import runs
from hugraph.assembly.experiment import Experiment, load_data
from hugraph.assembly.sections import SCHEMA
from hugraph.data.export import write_directory
from hugraph.errors import RunError, SpecError
from hugraph.train import EpochDone, RunDir
from tests.assembly.small import MODELS, UNTRAINED, write_small_spec


def fitted(tmp_path, name="run", overrides=(), on_progress=None):
    experiment = Experiment.prepare(SCHEMA.resolve(write_small_spec(tmp_path), overrides))
    with RunDir.create(tmp_path / name) as run:
        runs.begin(experiment, run)
        result = runs.finish(experiment, experiment.build_model(), run, on_progress)
    return experiment, tmp_path / name, result


def on_disk(tmp_path):
    """The small dataset as a directory, and overrides that read it from there."""
    experiment = Experiment.prepare(SCHEMA.resolve(write_small_spec(tmp_path)))
    write_directory(experiment.dataset, tmp_path / "data")
    return ["data={source: directory, path: " + json.dumps(str(tmp_path / "data")) + "}"]


@pytest.mark.parametrize("model", MODELS)
def test_a_run_comes_back_with_the_same_metrics(tmp_path, model):
    _, path, result = fitted(tmp_path, overrides=MODELS[model])
    experiment = runs.reopen(path)
    trained = runs.trained_model(experiment, RunDir(path))
    with torch.no_grad():
        again = experiment.evaluate(trained.scorer())
    assert again.metrics == {k: v for k, v in result["test"].items() if k != "users"}
    assert json.loads((path / "result.json").read_text()) == result


def test_the_result_says_what_the_command_line_promises(tmp_path):
    _, _, result = fitted(tmp_path)
    assert set(result) == {
        "validation",
        "test",
        "popularity",
        "best_epoch",
        "epochs",
        "seconds",
    }
    assert list(result["validation"]) == list(result["popularity"])
    assert set(result["test"]) == {*result["validation"], "users"}


@pytest.mark.parametrize("model", [name for name in MODELS if name not in UNTRAINED])
def test_a_run_stopped_after_an_epoch_goes_on_to_the_same_result(tmp_path, model):
    _, whole, result = fitted(tmp_path, "whole", MODELS[model])

    def stop(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, "stopped", MODELS[model], stop)
    with RunDir.resume(tmp_path / "stopped") as run:
        experiment = runs.reopen(run.path)
        resumed = runs.finish(experiment, experiment.build_model(), run)
    assert {**resumed, "seconds": 0} == {**result, "seconds": 0}
    for name in ("metrics.jsonl", "per_user.parquet", "spec.yaml", "split.parquet"):
        assert (run.path / name).read_bytes() == (whole / name).read_bytes()


def test_more_epochs_are_what_they_would_have_been(tmp_path):
    _, whole, result = fitted(tmp_path, "whole", ["train.epochs=5"])
    _, short, _ = fitted(tmp_path, "short")
    with RunDir.resume(short) as run:
        experiment = runs.reopen(short, overrides=["train.epochs=5"])
        longer = runs.finish(experiment, experiment.build_model(), run)
    assert longer["test"] == result["test"]
    assert (short / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_another_spec_is_refused_with_the_keys_that_differ(tmp_path):
    _, path, _ = fitted(tmp_path)
    with pytest.raises(RunError, match=r"train\.lr: 0\.01 -> 0\.5") as caught:
        runs.reopen(path, overrides=["train.lr=0.5", "train.epochs=9"])
    assert "epochs" not in caught.value.what
    with pytest.raises(SpecError, match="did you mean"):
        runs.reopen(path, overrides=["train.epoch=9"])


def test_a_run_finds_its_data_again_when_both_move_or_when_told(tmp_path):
    overrides = on_disk(tmp_path)
    fitted(tmp_path, overrides=overrides)
    home = tmp_path / "elsewhere"
    home.mkdir()
    shutil.move(tmp_path / "run", home / "run")
    shutil.move(tmp_path / "data", home / "data")
    assert runs.reopen(home / "run").dataset.num_items == 60
    shutil.move(home / "data", tmp_path / "far")
    assert runs.reopen(home / "run", data=str(tmp_path / "far")).dataset.num_items == 60


def test_changed_data_are_refused_with_file_and_hashes(tmp_path):
    _, path, _ = fitted(tmp_path, overrides=on_disk(tmp_path))
    (tmp_path / "data" / "SHA256SUMS").unlink()
    interactions = tmp_path / "data" / "interactions.csv"
    interactions.write_text(interactions.read_text().rsplit("\n", 2)[0] + "\n")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with pytest.raises(RunError, match=r"data changed.*interactions\.csv \([0-9a-f]{12}, now"):
        runs.reopen(path)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", '{"format": 1}', "run.json is damaged"),
        ("run.json", '{"format": 99}', "format 99"),
        ("run.json", "[1]", "run.json is damaged"),
        ("spec.yaml", "version: 1", "spec.yaml cannot be used"),
        ("split.parquet", "PAR1", "split"),
    ],
)
def test_a_damaged_run_is_refused(tmp_path, name, content, message):
    _, path, _ = fitted(tmp_path)
    (path / name).write_text(content)
    with pytest.raises(RunError, match=message):
        runs.reopen(path)


@pytest.mark.parametrize("name", ["run.json", "spec.yaml", "split.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    _, path, _ = fitted(tmp_path)
    (path / name).unlink()
    with pytest.raises(RunError, match=name):
        runs.reopen(path)


def test_the_split_of_another_seed_is_not_taken_for_this_one(tmp_path):
    _, path, _ = fitted(tmp_path)
    _, other, _ = fitted(tmp_path, "other", ["seed=4"])
    shutil.copy(other / "split.parquet", path / "split.parquet")
    with pytest.raises(RunError, match="not the one this run was fitted on"):
        runs.reopen(path)


def test_data_that_moved_are_asked_for(tmp_path):
    _, path, _ = fitted(tmp_path, overrides=on_disk(tmp_path))
    shutil.move(tmp_path / "data", tmp_path / "gone")
    with pytest.raises(RunError, match="--data"):
        runs.reopen(path)


def test_drawn_data_have_no_directory(tmp_path):
    _, path, _ = fitted(tmp_path)
    with pytest.raises(RunError, match="drawn by planted"):
        runs.reopen(path, data=str(tmp_path))


def test_a_falling_learning_rate_fixes_the_number_of_epochs(tmp_path):
    _, path, _ = fitted(tmp_path, overrides=["train.lr_schedule=cosine"])
    with pytest.raises(RunError, match=r"train\.epochs cannot change.*cosine"):
        runs.reopen(path, overrides=["train.epochs=9"])


def test_going_on_with_more_epochs_is_recorded_and_takes_the_result_back(tmp_path):
    _, path, _ = fitted(tmp_path)
    with RunDir.resume(path) as run:
        runs.go_on(runs.reopen(path), run)
        assert (path / "result.json").exists()
        runs.go_on(runs.reopen(path, overrides=["train.epochs=9"]), run)
    assert not (path / "result.json").exists()
    assert runs.reopen(path).spec.train.epochs == 9


def test_fewer_epochs_than_any_stage_has_had_are_refused(tmp_path):
    _, path, result = fitted(tmp_path, overrides=[*MODELS["cb2cf"], "train.epochs=5"])
    assert result["epochs"] == 10
    with pytest.raises(RunError, match=r"train\.epochs is 4, but 5 have been trained") as caught:
        runs.reopen(path, overrides=["train.epochs=4"])
    assert "give 5 or more" in caught.value.fix
    assert runs.reopen(path).spec.train.epochs == 5


def test_a_stopped_run_may_end_with_the_epochs_that_are_done(tmp_path):
    def stop(event):
        if isinstance(event, EpochDone) and event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, overrides=["train.epochs=5"], on_progress=stop)
    with RunDir.resume(tmp_path / "run") as run:
        experiment = runs.reopen(run.path, overrides=["train.epochs=3"])
        runs.go_on(experiment, run)
        assert runs.finish(experiment, experiment.build_model(), run)["epochs"] == 3
    assert runs.reopen(run.path).spec.train.epochs == 3


def test_another_environment_is_noted_when_going_on(tmp_path, caplog):
    _, path, _ = fitted(tmp_path)
    record = json.loads((path / "run.json").read_text())
    record["environment"]["torch"] = "1.0"
    (path / "run.json").write_text(json.dumps(record))
    with RunDir.resume(path) as run:
        runs.go_on(runs.reopen(path), run)
    assert "begun with torch 1.0, now it is" in caplog.text


def test_a_number_of_threads_that_was_asked_for_later_is_noted(tmp_path, caplog, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    _, path, _ = fitted(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with RunDir.resume(path) as run:
        runs.go_on(runs.reopen(path), run)
    assert "begun with threads 2 (1 in the training of a small model), now it is 2" in caplog.text


def test_data_numbered_in_another_way_are_refused(tmp_path):
    _, path, _ = fitted(tmp_path, overrides=on_disk(tmp_path))
    record = json.loads((path / "run.json").read_text())
    record["data"]["numbering"] = "0" * 64
    (path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="numbered in another way"):
        runs.reopen(path)


@pytest.mark.parametrize("model", ["huign", "vbpr"])
def test_titles_as_tokens_are_learned_and_come_back_with_the_run(tmp_path, model):
    overrides = [*on_disk(tmp_path), *MODELS[model], "train.epochs=2"]
    titles = [f"i{item},w{item % 7}\ni{item},w{item % 5}" for item in range(60)]
    (tmp_path / "data" / "words.tokens.csv").write_text("item,token\n" + "\n".join(titles) + "\n")
    (tmp_path / "data" / "SHA256SUMS").unlink()
    experiment, path, result = fitted(tmp_path, overrides=overrides)
    words = experiment.dataset.features["words"]
    assert words.num_tokens == 7 and len(words.tokens) == 120
    before, after = experiment.build_model(), runs.trained_model(experiment, RunDir(path))
    learned = [
        name for name, _ in after.named_parameters() if "embeddings" in name and "content" in name
    ]
    assert len(learned) == 1
    start, end = (dict(one.named_parameters())[learned[0]] for one in (before, after))
    assert (start != end).all()
    again = runs.reopen(path)
    with torch.no_grad():
        metrics = again.evaluate(runs.trained_model(again, RunDir(path)).scorer()).metrics
    assert metrics == {k: v for k, v in result["test"].items() if k != "users"}


def test_a_spec_is_brought_to_the_end_from_wherever_it_stands(tmp_path):
    spec = SCHEMA.resolve(write_small_spec(tmp_path))
    dataset, path = load_data(spec), tmp_path / "run"
    _, _, result = fitted(tmp_path, "whole")
    steps = []

    def stop(event):
        steps.append(event)
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise KeyboardInterrupt

    with RunDir.create(path):
        pass  # stopped before it was begun
    with pytest.raises(KeyboardInterrupt):
        runs.complete(spec, path, dataset, stop)
    assert {**runs.complete(spec, path, dataset, steps.append), "seconds": 0} == {
        **result,
        "seconds": 0,
    }
    assert [step.epoch for step in steps if isinstance(step, EpochDone)] == [1, 2, 3]
    number = len(steps)
    assert runs.complete(spec, path, dataset, steps.append) == runs.read_result(RunDir(path))
    assert len(steps) == number
    (path / "result.json").write_text("[")
    with pytest.raises(RunError, match=r"result\.json is damaged"):
        runs.complete(spec, path, dataset)


def test_a_run_over_features_on_disk_gives_the_same_result_as_one_in_memory(tmp_path):
    results = {}
    for memory_map in ("false", "true"):
        home = tmp_path / memory_map
        home.mkdir()
        overrides = [*on_disk(home), f"data.memory_map={memory_map}", *MODELS["huign_sampled"]]
        experiment, _, results[memory_map] = fitted(home, overrides=overrides)
        mapped = [isinstance(x, np.memmap) for x in experiment.dataset.features.values()]
        assert mapped == [memory_map == "true"] * 3
    metrics = [result["test"] for result in results.values()]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-6)
