import errno
import os

import pytest

from hugraph.errors import ResourceError
from hugraph.train import atomic
from tests.train.faults import Crash, CrashingOs, FailingOs, ShortWritingOs


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a"
    atomic.write(path, b"old")
    atomic.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_crash_at_any_call_of_a_write_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path, seen = tmp_path / "a", set()
    for n in range(1, 100):
        atomic.write(path, b"old")
        faulty = CrashingOs(n)
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "os", faulty)
            try:
                atomic.write(path, b"new!")
            except Crash:
                seen.add(path.read_bytes())
                continue
        break
    assert path.read_bytes() == b"new!"
    assert seen == {b"old", b"new!"}
    assert faulty.points == ["open", "write", "fsync", "replace", "open", "fsync"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EINTR])
def test_an_error_at_any_call_is_reported_and_leaves_no_temporary_file(tmp_path, monkeypatch, code):
    path = tmp_path / "a"
    for n in range(1, 7):
        atomic.write(path, b"old")
        with monkeypatch.context() as patch, pytest.raises(ResourceError) as caught:
            patch.setattr(atomic, "os", FailingOs(n, code))
            atomic.write(path, b"x" * 200_000)
        assert caught.value.exit_code == 7
        assert os.strerror(code) in caught.value.what
        assert ("need 200 kB, " in caught.value.what) == (n < 5)
        assert path.read_bytes() == (b"old" if n < 5 else b"x" * 200_000)
        assert os.listdir(tmp_path) == ["a"]


def test_a_file_written_bit_by_bit_takes_its_place_only_when_it_is_whole(tmp_path, monkeypatch):
    path, points = tmp_path / "a", 4
    atomic.write(path, b"old")
    for n in range(1, points + 2):
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "os", FailingOs(n, errno.ENOSPC))
            try:
                with atomic.writing(path) as file:
                    file.write(b"new")
                    assert path.read_bytes() == b"old"
            except ResourceError as error:
                assert os.strerror(errno.ENOSPC) in error.what and n <= points
            else:
                assert n > points
        assert os.listdir(tmp_path) == ["a"]
        assert path.read_bytes() == (b"old" if n <= 2 else b"new")
        atomic.write(path, b"old")
    with pytest.raises(KeyError), atomic.writing(path) as file:
        file.write(b"half")
        raise KeyError
    with pytest.raises(ResourceError, match="No space left"), atomic.writing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == ["a"] and path.read_bytes() == b"old"


def test_short_writes_are_continued_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "os", ShortWritingOs())
    atomic.write(tmp_path / "a", bytes(range(100)))
    assert atomic.append(tmp_path / "a", bytes(50)) == 150
    assert (tmp_path / "a").read_bytes() == bytes(range(100)) + bytes(50)


def test_a_file_is_cut_to_what_was_committed_and_never_grown(tmp_path):
    path = tmp_path / "log"
    atomic.cut(path, 0)
    assert not path.exists()
    assert atomic.append(path, b"one\n") == 4
    assert atomic.append(path, b"two\n") == 8
    atomic.cut(path, 4)
    atomic.cut(path, 100)
    assert path.read_bytes() == b"one\n"


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="cannot write log"):
        atomic.append(tmp_path / "log", b"x")
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "elsewhere").write_bytes(b"mine")
    with pytest.raises(ResourceError, match="cannot write log"):
        atomic.cut(tmp_path / "log", 0)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"


def test_a_pipe_in_place_of_the_log_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log")
    with pytest.raises(ResourceError, match="cannot write log"):
        atomic.cut(tmp_path / "log", 0)


def test_too_little_space_is_refused_with_both_sizes(tmp_path):
    with pytest.raises(ResourceError, match=r"need 1,000,000 TB, [\d,.]+ [GT]B free"):
        atomic.require_space(tmp_path, 10**18)
