import subprocess
import sys

import pytest


@pytest.mark.parametrize(("before", "after"), [({}, ":4096:8"), ({"given": ":16:8"}, ":16:8")])
def test_cublas_is_configured_before_anything_can_compute(before, after, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if before:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before["given"])
    program = "import hugraph.seed, os; print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == after
