"""One seed for a run; every stream of random numbers is derived from it by name and position.

A stream depends on nothing but `(seed, name, position)`. So the numbers of epoch 12 are the same
whether epochs 0 to 11 ran in this process or in one that was killed, and no generator state has to
be saved.
"""

import hashlib
import os

import numpy as np
import torch

# cuBLAS reads it once, when it first computes, and is not deterministic without it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def stream(seed: int, name: str, *position: int) -> np.random.Generator:
    """A NumPy generator for one purpose, for example `stream(7, "negatives", epoch)`."""
    return np.random.default_rng([seed, _number(name), *position])


def seed_torch(seed: int, name: str, *position: int) -> None:
    """Seeds torch's global generator, from which initialisers and dropout draw."""
    torch.manual_seed(int(stream(seed, name, *position).integers(2**63)))


def deterministic() -> None:
    """Asks torch for algorithms whose results do not depend on thread timing."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
