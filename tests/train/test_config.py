import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.errors import ResourceError
from hugraph.train.config import EarlyStopping, TrainConfig


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0]),
        ("cosine", [1.0, (0.01 + 1) / 2, 0.01]),
        ("exponential", [1.0, 0.1, 0.01]),
    ],
)
def test_the_learning_rate_over_three_epochs_worked_by_hand(schedule, expected):
    config = TrainConfig(epochs=3, lr=1.0, lr_schedule=schedule)
    assert [config.lr_at(epoch) for epoch in (1, 2, 3)] == pytest.approx(expected)


@given(
    st.sampled_from(["cosine", "exponential"]),
    st.integers(1, 500),
    st.floats(1e-5, 1.0),
    st.floats(1e-4, 1.0),
)
def test_a_falling_rate_starts_at_lr_never_rises_and_ends_at_its_share(schedule, epochs, lr, final):
    config = TrainConfig(epochs=epochs, lr=lr, lr_schedule=schedule, final_lr=final)
    rates = [config.lr_at(epoch) for epoch in range(1, epochs + 1)]
    assert rates[0] == pytest.approx(lr)
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(rates))
    if epochs > 1:
        assert math.isclose(rates[-1], lr * final, rel_tol=1e-9)


def test_a_gpu_that_is_not_there_is_a_resource_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="torch sees no CUDA device"):
        TrainConfig(device="cuda").torch_device()
    assert TrainConfig(device="auto").torch_device() == torch.device("cpu")


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": -1.0},
        {"lr": math.nan},
        {"lr_schedule": "cosin"},
        {"final_lr": 2.0},
        {"early_stopping": {"patience": 3}},
        {"clip_norm": 0.0},
        {"precision": "bf16"},
        {"device": "cuda:1"},
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"^{name} must be "):
        TrainConfig(**option)


def test_patience_is_at_least_one_epoch():
    with pytest.raises(ValueError, match=r"^patience must be greater than or equal to 1, got 0$"):
        EarlyStopping(patience=0)
