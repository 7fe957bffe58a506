"""How many threads train a model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

_SMALL = 5_000_000


@contextmanager
def fitting_threads(module: nn.Module) -> Iterator[None]:
    """Takes one thread for a small model, and torch's for others; then gives torch's back.

    Threads share out every operation anew, and waking one that sleeps takes longer than the
    operations of a small model. A model is small if it holds less than five million values,
    parameters and features together; a rule that timed itself would change the last bits from run
    to run. Who sets `OMP_NUM_THREADS` gets as many for any model.
    """
    threads = torch.get_num_threads()
    held = sum(tensor.numel() for tensor in chain(module.parameters(), module.buffers()))
    if held >= _SMALL or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
