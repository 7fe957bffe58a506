import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch loads
os.environ.setdefault("HUGRAPH_FIGURES", "0")  # a fit draws nothing unless a test asks for it

# The same cases in every run, and no test that fails because the machine is busy.
settings.register_profile("hugraph", deadline=None, derandomize=True)
settings.load_profile("hugraph")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Finds a real dataset, which is never part of the project, or skips the test."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("HUGRAPH_DATA", beside))

    def find(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"no real dataset {name}: set HUGRAPH_DATA to the directory that holds it")
        return root / name

    return find
