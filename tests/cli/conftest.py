from typing import NamedTuple

import pytest

from hugraph.cli.main import run


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def hugraph(capsys, tmp_path, monkeypatch):
    """Runs the command line in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        code = run(list(args))
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return call
