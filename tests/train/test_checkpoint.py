import errno
import json
import logging
import os
import random
import shutil

import pytest
import torch
from torch.testing import assert_close

from hugraph.errors import ResourceError, RunError
from hugraph.train import atomic
from hugraph.train.checkpoint import Checkpoints, file_bytes
from tests.train.faults import Crash, CrashingOs, FailingOs


def tensors(epoch):
    return {"w": torch.full((5,), float(epoch)), "step": torch.tensor(epoch)}


def save(checkpoints, epoch, best=False):
    checkpoints.save(epoch, {"epoch": epoch, "lr": 0.5 / epoch}, tensors(epoch), best=best)


def two_epochs(directory):
    checkpoints = Checkpoints(directory)
    save(checkpoints, 1)
    save(checkpoints, 2, best=True)
    return checkpoints


def assert_whole(loaded, epoch, best):
    assert loaded.epoch == epoch and loaded.state == {"epoch": epoch, "lr": 0.5 / epoch}
    assert_close(loaded.tensors, tensors(epoch), rtol=0, atol=0)
    assert_close(loaded.best, tensors(best), rtol=0, atol=0)


def test_what_is_loaded_is_what_was_saved_last_and_the_best(tmp_path):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    assert_whole(Checkpoints(tmp_path).load(), epoch=3, best=2)


def test_current_previous_and_best_files_are_kept_and_no_others(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in range(1, 8):
        save(checkpoints, epoch, best=epoch == 3)
    kept = sorted(p.name[:12] for p in tmp_path.glob("epoch-*"))
    assert kept == ["epoch-000003", "epoch-000006", "epoch-000007"]
    assert len(list(tmp_path.iterdir())) == 3 + 2


def test_nothing_saved_loads_as_none(tmp_path):
    assert Checkpoints(tmp_path / "none").load() is None


def test_a_crash_at_any_call_leaves_wholly_the_old_or_wholly_the_new_epoch(tmp_path, monkeypatch):
    outcomes = []
    for n in range(1, 100):
        directory = tmp_path / str(n)
        checkpoints, faulty = two_epochs(directory), CrashingOs(n)
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "os", faulty)
            try:
                save(checkpoints, 3, best=True)
                break
            except Crash:
                pass
        resumed = Checkpoints(directory)
        loaded = resumed.load()
        assert_whole(loaded, loaded.epoch, loaded.epoch)
        outcomes.append(loaded.epoch)
        for epoch in range(loaded.epoch + 1, 5):  # and the run goes on from there
            save(resumed, epoch)
        assert Checkpoints(directory).load().epoch == 4
        shutil.rmtree(directory)
    assert outcomes == sorted(outcomes) and set(outcomes) == {2, 3}
    assert len(outcomes) == len(faulty.points) == 20  # 3 files of 6 calls, a directory, a removal


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_at_any_call_says_which_checkpoint_is_good(tmp_path, monkeypatch, code):
    for n in range(1, 20):
        directory = tmp_path / str(n)
        checkpoints = two_epochs(directory)
        with monkeypatch.context() as patch, pytest.raises(ResourceError) as caught:
            patch.setattr(atomic, "os", FailingOs(n, code))
            save(checkpoints, 3, best=True)
        loaded = Checkpoints(directory).load()
        assert_whole(loaded, loaded.epoch, loaded.epoch)
        promised = int(caught.value.what.split("last good checkpoint: epoch ")[1])
        assert promised in (2, 3) and loaded.epoch >= promised
        save(checkpoints, 4)  # the same process can go on when there is space again
        assert Checkpoints(directory).load().epoch == 4
        shutil.rmtree(directory)


def test_a_replaced_record_stands_even_if_its_directory_cannot_be_synced(tmp_path, monkeypatch):
    checkpoints = two_epochs(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(ResourceError, match=r"good.*: epoch 3"):
        patch.setattr(atomic, "os", FailingOs(18, errno.EIO))
        save(checkpoints, 3, best=True)
    save(checkpoints, 4)
    assert_whole(Checkpoints(tmp_path).load(), epoch=4, best=3)


def test_an_old_file_that_cannot_be_removed_does_not_end_a_run_that_has_committed(
    tmp_path, monkeypatch, caplog
):
    checkpoints = two_epochs(tmp_path)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(atomic, "os", FailingOs(20, errno.EACCES))
        save(checkpoints, 3, best=True)
    assert "epoch-000001" in caplog.text and "Permission denied" in caplog.text
    assert_whole(Checkpoints(tmp_path).load(), epoch=3, best=3)


def flipped(data, position):
    return (
        data[: position // 8]
        + bytes([data[position // 8] ^ 1 << position % 8])
        + data[position // 8 + 1 :]
    )


@pytest.mark.parametrize("kind", ["state.json", "epoch-000003-*"])
def test_a_flipped_bit_is_found_and_the_epoch_before_is_used(tmp_path, caplog, kind):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    (path,) = tmp_path.glob(kind)
    whole = path.read_bytes()
    for position in random.Random(0).sample(range(8 * len(whole)), 300):
        path.write_bytes(flipped(whole, position))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert_whole(Checkpoints(tmp_path).load(), epoch=2, best=2)
        assert "damaged" in caplog.text and "going on from epoch 2" in caplog.text


@pytest.mark.parametrize("kind", ["state.json", "epoch-000003-*"])
def test_a_truncated_emptied_or_missing_file_is_found(tmp_path, kind):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    (path,) = tmp_path.glob(kind)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        for damaged in (whole[:size], whole[:size] + bytes(len(whole) - size)):
            path.write_bytes(damaged)
            assert_whole(Checkpoints(tmp_path).load(), epoch=2, best=2)
    path.unlink()
    assert_whole(Checkpoints(tmp_path).load(), epoch=2, best=2)


def test_swapped_files_are_found(tmp_path):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    (second,), (third,) = tmp_path.glob("epoch-000002-*"), tmp_path.glob("epoch-000003-*")
    shutil.copy(second, third)
    assert_whole(Checkpoints(tmp_path).load(), epoch=2, best=2)


def test_going_on_after_a_damaged_record_never_copies_the_damage(tmp_path, monkeypatch):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    (tmp_path / "state.json").write_bytes(b"damaged")
    resumed = Checkpoints(tmp_path)
    resumed.load()
    monkeypatch.setattr(atomic, "os", CrashingOs(14))  # after state.prev.json, before state.json
    with pytest.raises(Crash):
        save(resumed, 3)
    assert_whole(Checkpoints(tmp_path).load(), epoch=2, best=2)


def test_two_damaged_checkpoints_are_an_error_that_says_how_each_is_damaged(tmp_path):
    two_epochs(tmp_path)
    for path in tmp_path.glob("epoch-*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError) as caught:
        Checkpoints(tmp_path).load()
    assert caught.value.what.count("bytes, not") == 2 and caught.value.exit_code == 5


def sealed(record):
    from hugraph.train.checkpoint import _seal

    return _seal(record)


def test_a_record_that_points_out_of_its_directory_is_not_followed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    save(checkpoints, 1)
    (file,) = (tmp_path / "checkpoints").glob("epoch-*")
    os.rename(file, tmp_path / file.name)
    state = tmp_path / "checkpoints" / "state.json"
    record = json.loads(state.read_bytes())
    del record["sha256"]
    record["file"]["name"] = record["best"]["name"] = f"../{file.name}"
    state.write_bytes(sealed(record))
    with pytest.raises(RunError, match="is not the name of a checkpoint"):
        Checkpoints(tmp_path / "checkpoints").load()


WHOLE = {"name": "epoch-000001-00000000.safetensors", "size": 1, "sha256": ""}


@pytest.mark.parametrize(
    "record",
    [
        {"format": 1},
        {},
        {"format": 1, "epoch": 1, "state": [], "file": WHOLE, "best": WHOLE},
        {"format": 1, "epoch": True, "state": {}, "file": WHOLE, "best": WHOLE},
        {"format": 1, "epoch": 1, "state": {}, "file": {**WHOLE, "size": "1"}, "best": WHOLE},
        {"format": 1, "epoch": 1, "state": {}, "file": WHOLE, "best": WHOLE, "more": 1},
    ],
)
def test_a_sealed_record_of_another_shape_is_damage(tmp_path, record):
    (tmp_path / "state.json").write_bytes(sealed(record))
    with pytest.raises(
        RunError, match=r"no checkpoint can be read: state\.json: (it is|its bytes)"
    ):
        Checkpoints(tmp_path).load()
    two_epochs(tmp_path)
    (tmp_path / "state.json").write_bytes(sealed(record))
    assert_whole(Checkpoints(tmp_path).load(), epoch=1, best=1)


def as_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


def as_directory(path):
    path.unlink()
    path.mkdir()


def as_giant(path):
    with path.open("ab") as file:
        file.truncate(2**40)  # sparse: it has no bytes on the disk, and no room in memory


@pytest.mark.parametrize("kind", ["state.json", "epoch-000002-*"])
@pytest.mark.parametrize("replaced", [as_link, as_pipe, as_directory, as_giant])
def test_what_is_not_the_file_that_was_written_is_not_read(tmp_path, kind, replaced):
    two_epochs(tmp_path)
    (path,) = tmp_path.glob(kind)
    replaced(path)
    assert_whole(Checkpoints(tmp_path).load(), epoch=1, best=1)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("kind", ["state.json", "epoch-000002"])
def test_a_file_that_the_system_cannot_read_now_costs_no_epoch(tmp_path, monkeypatch, code, kind):
    two_epochs(tmp_path)
    real = os.open

    def refusing(path, *args, **kwargs):
        if kind in str(path):
            raise OSError(code, os.strerror(code))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(ResourceError, match=f"cannot read {kind}.*{os.strerror(code)}"):
        Checkpoints(tmp_path).load()


def test_lost_records_of_a_later_epoch_are_not_taken_for_a_new_run(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    (tmp_path / "state.json").unlink()  # as if the process had died in its first commit
    assert Checkpoints(tmp_path).load() is None
    two_epochs(tmp_path)
    for path in tmp_path.glob("state*"):
        path.unlink()
    with pytest.raises(RunError, match=r"state\.json: no file state\.json; state\.prev\.json: no"):
        Checkpoints(tmp_path).load()


def test_the_best_is_loaded_without_the_newest(tmp_path):
    checkpoints = two_epochs(tmp_path)
    save(checkpoints, 3)
    (newest,) = tmp_path.glob("epoch-000003-*")
    newest.unlink()
    assert_close(Checkpoints(tmp_path).load_best(), tensors(2), rtol=0, atol=0)
    assert Checkpoints(tmp_path / "none").load_best() is None


def test_a_checkpoint_of_another_version_is_refused_by_number(tmp_path):
    (tmp_path / "state.json").write_bytes(sealed({"format": 99}))
    with pytest.raises(RunError, match="checkpoint format 99 is not supported"):
        Checkpoints(tmp_path).load()


def test_tied_and_strided_tensors_come_back_equal(tmp_path):
    matrix = torch.arange(6.0).view(2, 3)
    Checkpoints(tmp_path).save(1, {}, {"a": matrix, "b": matrix, "c": matrix.T}, best=True)
    loaded = Checkpoints(tmp_path).load().tensors
    assert_close(loaded["b"], matrix)
    assert_close(loaded["c"], matrix.T)


def test_a_file_holds_weights_and_two_moments_of_the_stage_that_trains_most():
    assert file_bytes(100, 30, 50) == 200
    assert file_bytes(100) == 100  # nothing is trained
