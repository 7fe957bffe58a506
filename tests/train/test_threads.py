import pytest
import torch
from torch import nn

from hugraph.train import TrainConfig, fit
from hugraph.train.threads import fitting_threads
from tests.train.recommenders import NUM_ITEMS, NUM_USERS, TRAIN, DotProductModel


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)  # no_waiting gives back what there was


def model(*, parameters, features):
    module = nn.Module()
    module.register_parameter("table", nn.Parameter(torch.empty(parameters, device="meta")))
    module.register_buffer("features", torch.empty(features, device="meta"))
    return module


def threads_in(module):
    with fitting_threads(module):
        return torch.get_num_threads()


def test_a_small_model_takes_one_thread_and_gives_back_the_others():
    assert threads_in(model(parameters=4_000_000, features=999_999)) == 1
    assert torch.get_num_threads() == 3


def test_a_model_with_five_million_values_takes_all_threads():
    assert threads_in(model(parameters=4_000_000, features=1_000_000)) == 3
    assert torch.get_num_threads() == 3


def test_threads_are_given_back_after_an_error():
    with pytest.raises(KeyError), fitting_threads(model(parameters=1, features=1)):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_who_sets_the_number_of_threads_gets_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_in(model(parameters=1, features=1)) == 3


def test_fit_steps_and_validates_a_small_model_in_one_thread():
    seen = set()

    def validate(scorer):
        seen.add(torch.get_num_threads())
        return {"recall@10": 0.0}

    config = TrainConfig(epochs=1)
    fit(DotProductModel(NUM_USERS, NUM_ITEMS), TRAIN, validate, seed=0, config=config)
    assert seen == {1}
    assert torch.get_num_threads() == 3
