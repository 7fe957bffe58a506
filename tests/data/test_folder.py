import hashlib
import os
from pathlib import Path

import pytest

from hugraph.data.folder import Folder
from hugraph.errors import DataError, ResourceError


def test_what_is_hashed_is_what_was_read(tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "._a").write_bytes(b"what some systems leave beside a copy")
    folder = Folder(tmp_path)
    assert folder.names == ["a", "b"]
    assert [folder.read(name) for name in ("b", "a")] == [b"two", b"one"]
    sums = {"a": hashlib.sha256(b"one").hexdigest(), "b": hashlib.sha256(b"two").hexdigest()}
    assert folder.digests == sums
    lines = f"{sums['a']}  a\n{sums['b']}  b\n"
    assert folder.fingerprint() == hashlib.sha256(lines.encode()).hexdigest()


def test_a_relative_path_counts_from_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Folder("inner").path == tmp_path / "inner"
    with pytest.raises(DataError) as caught:
        Folder("iner")
    assert str(caught.value).splitlines() == [
        "no directory 'iner'",
        f"  at: {tmp_path / 'iner'}",
        "  fix: name it with --data DIR, or set data.path; beside it are: inner",
    ]
    with pytest.raises(DataError) as caught:
        Folder("nowhere/data")
    assert caught.value.fix == "name it with --data DIR, or set data.path"


def test_of_many_files_only_a_few_are_listed(tmp_path):
    (tmp_path / "00").mkdir()
    for number in range(1, 20):
        (tmp_path / f"{number:02}").touch()
    for read in (Folder(tmp_path).read, lambda _: Folder(tmp_path / "z")):
        with pytest.raises(DataError) as caught:
            read("z")
        listed = caught.value.fix.partition(": ")[2]
        assert listed in ("00", "00/, 01, 02, 03, 04, 05, 06, 07, 08, 09, …")


def test_a_file_that_is_not_what_the_checksums_say_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  a\n{'0' * 64} *b\n")
    (tmp_path / "b").write_bytes(b"two")
    folder = Folder(tmp_path)
    assert folder.read("a") == b"one"
    with pytest.raises(
        DataError, match=r"b is damaged or was changed.*SHA256SUMS says 000000000000"
    ):
        folder.read("b")


def test_files_out_of_the_directory_are_refused_unless_allowed(tmp_path):
    inside, outside = tmp_path / "data", tmp_path / "secret"
    inside.mkdir()
    outside.write_bytes(b"text")
    (inside / "link").symlink_to(outside)
    (inside / "own").write_bytes(b"own")
    (inside / "near").symlink_to("own")
    assert Folder(inside).read("near") == b"own"
    assert Folder(inside, allow_outside=True).read("link") == b"text"
    for name in ("link", "../secret", str(outside)):
        with pytest.raises(DataError, match="leads out of the dataset's directory"):
            Folder(inside).read(name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(DataError, match="a is not a regular file"):
        Folder(tmp_path).read("a")


def test_a_link_to_a_device_or_to_itself_is_refused(tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    folder = Folder(tmp_path, allow_outside=True)
    with pytest.raises(DataError, match="not a regular file"):
        folder.read("zero")
    with pytest.raises(ResourceError, match="loop cannot be read"):
        folder.read("loop")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    assert Folder(tmp_path, max_bytes=5).read("a") == b"12345"
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
    with pytest.raises(DataError, match="a has 5 bytes, max_bytes is 4"):
        Folder(tmp_path, max_bytes=4).read("a")


def test_a_vanished_file_and_a_refusal_of_the_system_are_explained(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"")
    folder = Folder(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match="a is not there"):
        folder.read("a")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ResourceError, match="a cannot be read: Permission denied"):
        folder.read("a")
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ResourceError, match="cannot be read: Permission denied"):
        Folder(tmp_path)
