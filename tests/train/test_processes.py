import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import TCPStore
from torch.testing import assert_close

from hugraph.errors import ResourceError
from hugraph.interfaces import ItemBatch, Triples
from hugraph.train.processes import Processes, joined
from tests.train.together import EQUAL, TABLES, step, train, train_in

ROOT = Path(__file__).parents[2]
NEAR = {"atol": 1e-5, "rtol": 1e-5}  # float32, added up in another order


def launch(size, *command):
    """Starts processes as `torchrun` does, and waits for them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *command],
            env={**os.environ, **common, "RANK": str(rank), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    return [(process.communicate(timeout=120)[0], process.returncode) for process in processes]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes did, `tests.train.together.main`."""
    directory = tmp_path_factory.mktemp("together")
    train_in(directory / "begun_alone", epochs=1)
    for output, code in launch(2, "-m", "tests.train.together", str(directory)):
        assert code == 0, output
    return directory


def said(together, rank):
    return json.loads((together / f"process_{rank}" / "said.json").read_text())


@pytest.mark.parametrize("name", EQUAL)
def test_two_processes_end_with_the_weights_and_epochs_of_one(together, name):
    model, fitted = train(name)
    best_epoch, epochs, validation = said(together, 0)[name]
    assert (best_epoch, epochs) == (fitted.best_epoch, fitted.epochs)
    assert_close(validation, fitted.validation, **NEAR)
    assert said(together, 1)[name] == [best_epoch, epochs, validation]
    first, second = (
        load_file(together / f"process_{rank}" / f"{name}.safetensors") for rank in range(2)
    )
    assert_close(first, dict(model.state_dict()), **NEAR)
    for parameter in first:
        assert torch.equal(first[parameter], second[parameter])


def test_a_run_goes_on_from_two_processes_to_one_and_back(together):
    train_in(together / "begun_together", epochs=3)
    train_in(together / "alone", epochs=3)
    whole = metrics(together / "alone")
    for name in ("begun_together", "begun_alone"):
        for line, expected in zip(metrics(together / name), whole, strict=True):
            for part in ("terms", "validation"):
                assert_close(line[part], expected[part], **NEAR)


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_go_on_to_the_same_bits(together):
    stopped, whole = (together / name / "metrics.jsonl" for name in ("stopped", "together"))
    assert stopped.read_bytes() == whole.read_bytes()


def test_a_loss_that_breaks_in_one_process_ends_all(together):
    first, second = (said(together, rank)["exploding"] for rank in range(2))
    assert first == second
    assert first.startswith("DivergedError: the loss became nan (lr 0.02; bpr nan, l2 nan)")


def test_a_model_that_would_be_trained_differently_is_refused(together):
    for rank in range(2):
        text = said(together, rank)["views"]
        assert text.startswith("SpecError: 2 processes would not train stage 'bm3' as one does")
        assert "fix: train this model by one process" in text


def test_processes_with_different_tasks_end_and_say_so(together):
    text = said(together, 1)["other_seed"]
    assert text.startswith("RunError: process 1 does not train the same model")
    text = said(together, 0)["other_seed"]
    assert text.startswith("ResourceError: another process of this training has ended")
    assert "hugraph fit --resume RUN" in text


def test_sparse_and_dense_tensors_add_up_as_worked_by_hand(together):
    for rank in range(2):
        dense, sparse = said(together, rank)["sums"]
        assert dense == [3]
        assert sparse == [[1, 2], [2, 4], [0, 0], [0, 0], [4, 5], [0, 0]]


@pytest.mark.parametrize("name", TABLES)
def test_steps_with_sharded_tables_are_those_with_whole_ones(together, name):
    expected = dict(step(name).state_dict())
    for rank in range(2):
        sharded = load_file(together / f"process_{rank}" / f"sharded_{name}.safetensors")
        assert_close(sharded, expected, **NEAR)
        sizes = [len(expected[table]) for table in TABLES[name]]
        assert said(together, rank)[f"rows_{name}"] == [size // 2 for size in sizes]


def test_a_model_with_sharded_tables_is_not_fitted(together):
    assert said(together, 0)["sharded_fit"].startswith("fit writes and ranks with whole tables")


def test_a_signal_while_the_first_one_validates_stops_all(together):
    assert [said(together, rank)["stopped"] for rank in range(2)] == [15, 15]


PARTING = """
from pathlib import Path
from hugraph.seed import deterministic
from hugraph.train.processes import joined

def threads():
    return sorted({file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")})

with joined() as processes:
    deterministic()
    assert processes.highest(processes.rank) == 1
    print(threads())
print(threads())
"""


def test_threads_of_the_group_end_with_it():
    for output, code in launch(2, "-c", PARTING):
        together, parted = output.splitlines()[-2:]
        assert code == 0 and "gloo" in together
        assert "gloo" not in parted


def test_one_process_speaks_first(together):
    assert sorted(said(together, rank)["speaks"] for rank in range(2)) == [False, True]


def test_a_process_alone_joins_nobody(monkeypatch):
    with joined() as processes:
        assert processes is None
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "",
        "MASTER_PORT": "",
    }.items():
        monkeypatch.setenv(name, value)
    with joined() as processes:
        assert processes is None


def launched(monkeypatch, **variables):
    common = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in {**common, **variables}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "MASTER_PORT", "LOCAL_RANK"])
@pytest.mark.parametrize("value", ["abc", "-1", ""])
def test_a_variable_of_the_launcher_that_is_no_number_is_named(monkeypatch, name, value):
    launched(monkeypatch, **{name: value})
    with pytest.raises(ResourceError) as caught, joined():
        pass
    assert caught.value.what == f"{name} is {value!r}, which is no number"
    assert "`torchrun`" in caught.value.fix


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "Timed out after"),
        ({"MASTER_PORT": "70000"}, "port must have value from 0 to 65535 but was 70000"),
    ],
)
def test_processes_that_do_not_arrive_are_not_waited_for_as_long_as_a_validation(
    monkeypatch, variables, said
):
    monkeypatch.setattr("hugraph.train.processes._ARRIVAL", timedelta(milliseconds=10))
    launched(monkeypatch, **variables)
    with pytest.raises(ResourceError) as caught, joined():
        pass
    assert caught.value.what.startswith(f"the processes did not come together: {said}")
    assert caught.value.at.startswith("127.0.0.1:") and "MASTER_ADDR" in caught.value.fix


def test_a_process_that_torchrun_started_does_not_wait_for_others_for_hours_either(monkeypatch):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun keeps it
    monkeypatch.setattr("hugraph.train.processes._ARRIVAL", timedelta(milliseconds=200))
    launched(monkeypatch, MASTER_PORT=str(store.port), TORCHELASTIC_USE_AGENT_STORE="True")
    with pytest.raises(ResourceError, match=r"did not come together: .*here/1"), joined():
        pass


@pytest.mark.parametrize(("rows", "sizes"), [(7, [2, 2, 3]), (3, [1, 1, 1]), (300, [100] * 3)])
def test_parts_of_a_batch_are_its_rows_in_order(rows, sizes):
    batch = Triples(*torch.arange(3 * rows).view(3, rows))
    parts = [Processes(rank, 3, None).part(batch) for rank in range(3)]
    assert [len(part.users) for part, _ in parts] == sizes
    assert [share for _, share in parts] == [size / rows for size in sizes]
    for together, column in zip(zip(*(part for part, _ in parts), strict=True), batch, strict=True):
        assert torch.equal(torch.cat(together), column)


def test_a_batch_with_fewer_rows_than_processes_is_trained_by_each():
    batch = ItemBatch(torch.tensor([4, 2]))
    for rank in range(3):
        part, share = Processes(rank, 3, None).part(batch)
        assert part is batch and share == 1 / 3
