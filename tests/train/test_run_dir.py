import os
import signal
import time

import numpy as np
import polars as pl
import pytest

from hugraph.errors import BusyError, ResourceError, RunError
from hugraph.train.evaluator import Evaluation
from hugraph.train.run_dir import RunDir


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_new_run_keeps_what_is_written_to_it(tmp_path):
    with RunDir.create(tmp_path / "deep" / "run") as run:
        run.write_text("spec.yaml", "version: 1\n")
        run.write_result({"test": {"users": 3}})
        assert run.append_metrics({"epoch": 1}) == len('{"epoch": 1}\n')
    again = RunDir(tmp_path / "deep" / "run")
    assert again.read_text("spec.yaml") == "version: 1\n"
    assert again.read_text("result.json") == '{\n  "test": {\n    "users": 3\n  }\n}\n'
    assert again.read_text("metrics.jsonl") == '{"epoch": 1}\n'


def test_a_file_of_a_run_is_taken_back_whether_or_not_it_is_there(tmp_path):
    with RunDir.create(tmp_path / "run") as run:
        run.write_result({})
        run.remove("result.json")
        run.remove("result.json")
    assert os.listdir(tmp_path / "run") == ["lock"]


def test_per_user_scores_carry_raw_ids(tmp_path):
    scores = Evaluation({"recall@1": 0.5}, np.array([4, 9]), {"recall@1": np.array([0.0, 1.0])})
    with RunDir.create(tmp_path / "run") as run:
        run.write_per_user(["ann", "=bob"], scores)
    table = pl.read_parquet(tmp_path / "run" / "per_user.parquet")
    assert table.rows() == [("ann", 0.0), ("=bob", 1.0)] and table.columns == ["user", "recall@1"]


def test_per_user_scores_are_read_in_the_order_of_the_ids(tmp_path):
    scores = Evaluation({"mrr@1": 0.5}, np.array([4, 9]), {"mrr@1": np.array([0.0, 1.0])})
    with RunDir.create(tmp_path / "run") as run:
        run.write_per_user(["bob", "ann"], scores)
    assert RunDir(tmp_path / "run").read_per_user().rows() == [("ann", 1.0), ("bob", 0.0)]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"id": ["a"], "mrr@1": [0.5]},
        {"user": [1, 2], "mrr@1": [0.5, 0.5]},
        {"user": ["a", "a"], "mrr@1": [0.5, 0.5]},
        {"user": ["a", None], "mrr@1": [0.5, 0.5]},
        {"user": ["a", "b"], "mrr@1": [0.5, None]},
        {"user": ["a", "b"], "mrr@1": [0.5, float("nan")]},
        {"user": ["a", "b"], "mrr@1": [0.5, float("inf")]},
        {"user": ["a", "b"], "mrr@1": ["0.5", "0.5"]},
        {"user": ["a", "b"], "mrr@1": [0.5, 0.5], "title": ["x", "y"]},
    ],
)
def test_per_user_scores_that_are_none_are_damaged(tmp_path, columns):
    with RunDir.create(tmp_path / "run") as run:
        pl.DataFrame(columns).write_parquet(tmp_path / "run" / "per_user.parquet")
    with pytest.raises(RunError, match=r"^per_user\.parquet is damaged") as caught:
        run.read_per_user()
    assert caught.value.at == str(tmp_path / "run")


def test_per_user_scores_are_read_from_a_file_only(tmp_path):
    with RunDir.create(tmp_path / "run") as run:
        with pytest.raises(RunError, match=r"per_user\.parquet is not there"):
            run.read_per_user()
        os.mkfifo(tmp_path / "run" / "per_user.parquet")
        with pytest.raises(RunError, match=r"per_user\.parquet is damaged"):
            run.read_per_user()


@pytest.mark.parametrize("name", ["notes.txt", "spec.yaml"])
def test_a_directory_that_holds_something_is_never_touched(tmp_path, name):
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(RunError, match=f"already holds something .{name}") as caught:
        RunDir.create(tmp_path).__enter__()
    assert "--resume" not in caught.value.fix  # it is no run
    assert contents(tmp_path) == before


def test_a_finished_run_is_not_begun_again(tmp_path):
    with RunDir.create(tmp_path / "run") as run:
        run.write_text("run.json", "{}")
    before = contents(tmp_path)
    with pytest.raises(RunError, match="already holds"):
        RunDir.create(tmp_path / "run").__enter__()
    assert contents(tmp_path) == before


def test_a_run_that_died_before_its_first_file_can_be_begun_again(tmp_path):
    with RunDir.create(tmp_path / "run"):
        (tmp_path / "run" / ".tmp-0123").write_text("half a spec")
    with RunDir.create(tmp_path / "run"):
        assert os.listdir(tmp_path / "run") == ["lock"]


@pytest.mark.parametrize("opener", [RunDir.create, RunDir.resume])
def test_a_run_in_use_names_the_process_and_is_free_again_after_kill_9(tmp_path, opener):
    path = tmp_path / "run"
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with RunDir.create(path):
            os.write(write, b"held")
            time.sleep(60)
        os._exit(0)
    assert os.read(read, 4) == b"held"
    try:
        with pytest.raises(BusyError, match=f"process {child} is using this run") as caught:
            opener(path).__enter__()
        assert caught.value.exit_code == 8
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    with opener(path) as run:
        run.write_text("a", "free again")


def test_resuming_removes_what_dead_writers_left(tmp_path):
    with RunDir.create(tmp_path / "run") as run:
        run.write_text("spec.yaml", "")
    inner = [tmp_path / "run" / name for name in ("checkpoints", "tensorboard")]
    for directory in inner:
        directory.mkdir()
        (directory / ".tmp-0123").write_text("half")
    with RunDir.resume(tmp_path / "run"):
        assert [list(directory.iterdir()) for directory in inner] == [[], []]


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_run_with_a_link_in_place_of_a_directory_is_not_resumed(tmp_path, name):
    with RunDir.create(tmp_path / "run"):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".tmp-0123").write_text("not a run's")
    (tmp_path / "run" / name).symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match=f"{name} of the run is a link"):
        RunDir.resume(tmp_path / "run").__enter__()
    assert os.listdir(tmp_path / "mine") == [".tmp-0123"]


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.touch()]
)
def test_what_is_not_a_run_is_refused(tmp_path, make):
    make(tmp_path / "run")
    for opener in (RunDir, lambda path: RunDir.resume(path).__enter__()):
        with pytest.raises(RunError, match=r"not a run directory|there is no run run"):
            opener(tmp_path / "run")


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match="run is a file"):
        RunDir.create(tmp_path / "run").__enter__()


def test_a_file_that_the_run_does_not_have_is_named(tmp_path):
    with RunDir.create(tmp_path / "run") as run, pytest.raises(RunError, match=r"result\.json"):
        run.read_text("result.json")


def test_a_parent_that_is_no_directory_is_a_resource_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot write"):
        RunDir.create(tmp_path / "file" / "run").__enter__()


def test_a_run_stopped_before_it_was_begun_can_be_begun(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ResourceError), RunDir.create(path) as run:
        run.write_text("spec.yaml", "version: 1")
        raise ResourceError("no space")
    with RunDir.create(path) as run:
        run.write_text("run.json", "{}")
    with pytest.raises(RunError, match="already holds"), RunDir.create(path):
        pass
