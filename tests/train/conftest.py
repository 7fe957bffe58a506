import os

import pytest
import torch


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """One thread, for tiny tensors; and no syncing, which guards from a power loss alone."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
