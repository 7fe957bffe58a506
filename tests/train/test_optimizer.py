import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from hugraph.errors import DivergedError, RunError
from hugraph.interfaces import Stage, Triples
from hugraph.train.optimizer import StageOptimizer
from tests.train.recommenders import DotProductModel

BATCH = Triples(torch.tensor([0, 1, 0]), torch.tensor([1, 2, 0]), torch.tensor([2, 0, 3]))


def gradients_of_bpr(users, items, batch, l2):
    """The gradient of mean softplus(-margin) + l2 * mean square, one triple at a time."""
    by_user, by_item = torch.zeros_like(users), torch.zeros_like(items)
    for user, pos, neg in zip(*(column.tolist() for column in batch), strict=True):
        margin = users[user] @ (items[pos] - items[neg])
        slope = -1 / (1 + math.exp(margin)) / len(batch.users)
        by_user[user] += slope * (items[pos] - items[neg])
        by_item[pos] += slope * users[user]
        by_item[neg] -= slope * users[user]
        by_user[user] += l2 * 2 * users[user] / (len(batch.users) * users.shape[1])
    return by_user, by_item


def test_two_steps_are_those_of_adam_by_hand():
    model = DotProductModel(2, 4, dim=3, dropout=0.0).double()
    parameters = [p.detach().clone() for p in model.parameters()]
    optimizer = StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 0.1})
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    for t, lr in ((1, 0.1), (2, 0.05)):
        optimizer.step(BATCH, lr)
        for index, gradient in enumerate(gradients_of_bpr(*parameters, BATCH, l2=0.1)):
            first, second = moments[index]
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            moments[index] = first, second
            step = (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
            parameters[index] = parameters[index] - lr * step
        assert_close(list(model.parameters()), parameters, check_stride=False)


def test_a_step_returns_the_unweighted_terms_from_before_it():
    model = DotProductModel(2, 4, dim=3, dropout=0.0)
    expected = {name: term.item() for name, term in model.bpr(BATCH).items()}
    assert StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 7.0}).step(BATCH, 0.1) == expected


def test_a_long_gradient_is_scaled_to_the_clip_norm_and_a_short_one_is_left():
    def change_of(clip_norm):
        slope = nn.Parameter(torch.tensor([3.0, 4.0]))
        stage = Stage(
            "s", "triples", lambda b: {"loss": slope.square().sum() / 2}, ("loss",), (slope,)
        )
        optimizer = StageOptimizer(stage, {"loss": 1.0}, clip_norm=clip_norm)
        optimizer.step(BATCH, 0.1)
        return optimizer.tensors()["0.exp_avg"] * 10  # 1 / (1 - beta1)

    assert_close(change_of(None), torch.tensor([3.0, 4.0]))
    assert_close(change_of(1.0), torch.tensor([0.6, 0.8]))
    assert_close(change_of(6.0), torch.tensor([3.0, 4.0]))


SLOPES = torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])


@pytest.mark.parametrize("clip_norm", [None, 0.01])
@pytest.mark.parametrize(
    "gradient",
    [
        SLOPES.t().contiguous().t(),  # column by column
        F.pad(SLOPES, (2, 0))[:, 2:],  # a part of a wider one
        torch.ones(()).expand(2, 3),  # a single number
    ],
)
def test_a_gradient_in_another_order_of_memory_is_the_same_gradient(gradient, clip_norm):
    parameter = nn.Parameter(torch.zeros(2, 3))
    parameter.register_hook(lambda _: gradient)
    stage = Stage("s", "triples", lambda b: {"loss": parameter.sum()}, ("loss",), (parameter,))
    optimizer = StageOptimizer(stage, {"loss": 1.0}, clip_norm=clip_norm)
    optimizer.step(BATCH, 0.1)
    expected = gradient if clip_norm is None else gradient * clip_norm / gradient.norm()
    assert_close(optimizer.tensors()["0.exp_avg"] * 10, expected, check_stride=False)
    assert_close(parameter.detach(), -0.1 * gradient.sign(), check_stride=False)


@pytest.mark.parametrize(("clip_norm", "expected"), [(None, 6.0), (6.0, 3.0)])
def test_a_gradient_that_two_parameters_share_is_scaled_once(clip_norm, expected):
    one, other = (nn.Parameter(torch.ones(2)) for _ in range(2))
    loss = lambda b: {"loss": 1.5 * (one + other).square().sum()}  # slopes 6, norm 12
    stage = Stage("s", "triples", loss, ("loss",), (one, other))
    optimizer = StageOptimizer(stage, {"loss": 1.0}, clip_norm=clip_norm)
    optimizer.step(BATCH, 0.1)
    moments = optimizer.tensors()
    assert_close([moments[f"{i}.exp_avg"] * 10 for i in (0, 1)], [torch.full((2,), expected)] * 2)


def test_parameters_of_other_stages_stay_as_they_are_and_get_no_gradient():
    model = DotProductModel(2, 4, dropout=0.0)
    stage = model.stages()[0]
    users_only = Stage(
        stage.name, stage.batches, stage.terms, stage.term_names, (model.users.weight,)
    )
    before = model.items.weight.detach().clone()
    StageOptimizer(users_only, {"bpr": 1.0, "l2": 0.0}).step(BATCH, 0.1)
    assert_close(model.items.weight.detach(), before, rtol=0, atol=0)
    assert model.items.weight.grad is None


def diverging(loss_of):
    parameter = nn.Parameter(torch.tensor([0.0, 1.0]))
    terms = {"bpr": lambda: loss_of(parameter), "l2": lambda: parameter.square().sum()}
    stage = Stage(
        "s", "triples", lambda b: {n: t() for n, t in terms.items()}, ("bpr", "l2"), (parameter,)
    )
    return parameter, StageOptimizer(stage, {"bpr": 1.0, "l2": 0.0})


@pytest.mark.parametrize(
    ("loss_of", "message"),
    [
        (lambda p: p.sum() / 0.0, r"the loss became inf \(lr 0.25; bpr inf, l2 1\)"),
        (lambda p: p.log().sum() * 0, r"the loss became nan \(lr 0.25; bpr nan, l2 1\)"),
        (lambda p: p.sqrt().sum(), r"the gradient became inf \(lr 0.25; bpr 1, l2 1\)"),
    ],
)
def test_what_is_not_finite_ends_training_before_the_step(loss_of, message):
    parameter, optimizer = diverging(loss_of)
    with pytest.raises(DivergedError, match=message) as caught:
        optimizer.step(BATCH, 0.25)
    assert "train.lr" in caught.value.fix
    assert parameter.tolist() == [0.0, 1.0] and optimizer.tensors() == {}


def test_a_term_of_weight_zero_may_be_infinite():
    parameter = nn.Parameter(torch.tensor(1.0))
    stage = Stage(
        "s",
        "triples",
        lambda b: {"bpr": parameter * 1, "l2": parameter / 0.0},
        ("bpr", "l2"),
        (parameter,),
    )
    StageOptimizer(stage, {"bpr": 1.0, "l2": 0.0}).step(BATCH, 0.5)
    assert_close(parameter.item(), 0.5)


def test_autocast_computes_in_bfloat16_and_keeps_the_weights():
    seen = []

    def terms(batch):
        product = weight @ weight
        seen.append(product.dtype)
        return {"loss": product.float().sum()}

    weight = nn.Parameter(torch.eye(2))
    stage = Stage("s", "triples", terms, ("loss",), (weight,))
    StageOptimizer(stage, {"loss": 1.0}, precision="bfloat16").step(BATCH, 0.1)
    assert seen == [torch.bfloat16] and weight.dtype == torch.float32


def test_a_restored_optimiser_takes_the_same_next_step():
    def run(interrupted):
        model = DotProductModel(2, 4, dropout=0.0)
        optimizer = StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 0.1})
        optimizer.step(BATCH, 0.1)
        if interrupted:
            saved = {name: t.clone() for name, t in optimizer.tensors().items()}
            optimizer = StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 0.1})
            optimizer.load(saved)
        optimizer.step(BATCH, 0.1)
        return list(model.parameters())

    assert_close(run(True), run(False), rtol=0, atol=0)


def test_terms_that_were_not_announced_are_refused():
    model = DotProductModel(2, 4)
    with pytest.raises(
        ValueError, match=r"announces the terms \['bpr'\] and returns \['bpr', 'l2'\]"
    ):
        StageOptimizer(model.stages()[0], {"bpr": 1.0}).step(BATCH, 0.1)


def test_a_step_asks_the_device_for_its_numbers_once(monkeypatch):
    asked = []
    for name in ("item", "tolist", "__float__", "__bool__"):
        real = getattr(torch.Tensor, name)
        record = lambda self, *args, real=real, name=name: (asked.append(name), real(self))[1]
        monkeypatch.setattr(torch.Tensor, name, record)
    model = DotProductModel(2, 4, dropout=0.0)
    StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 0.1}, clip_norm=1.0).step(BATCH, 0.1)
    assert asked == ["tolist"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"foo": torch.zeros(2)},
        {"0.step": torch.tensor(1.0)},
        {"0.step": torch.tensor(1.0), "0.exp_avg": torch.zeros(1), "0.exp_avg_sq": torch.zeros(1)},
        {"9.step": torch.tensor(1.0)},
    ],
)
def test_moments_of_other_parameters_are_refused(wrong):
    model = DotProductModel(2, 4)
    optimizer = StageOptimizer(model.stages()[0], {"bpr": 1.0, "l2": 0.1})
    with pytest.raises(RunError, match="moments of the checkpoint do not fit stage 'train'"):
        optimizer.load(wrong)


def lazy_model():
    model = DotProductModel(2, 4, dropout=0.0)
    for table in (model.users, model.items):
        table.sparse = True
    (stage,) = model.stages()
    return model, replace(stage, lazy=(model.items.weight, model.users.weight))


def test_lazy_parameters_are_clipped_by_the_norm_of_all_gradients():
    weights = {"bpr": 1.0, "l2": 0.1}
    moments = {}
    for clip_norm in (None, 1e-3):
        torch.manual_seed(0)
        model, stage = lazy_model()
        optimizer = StageOptimizer(stage, weights, clip_norm=clip_norm)
        optimizer.step(BATCH, 0.1)
        moments[clip_norm] = [optimizer.tensors()[f"{i}.exp_avg"] * 10 for i in range(2)]
    users, items = moments[None]
    assert users.shape == model.users.weight.shape
    length = torch.cat([users.flatten(), items.flatten()]).norm()
    assert_close(moments[1e-3], [users * 1e-3 / length, items * 1e-3 / length])


def test_a_restored_optimiser_of_lazy_and_other_parameters_takes_the_same_next_step():
    def run(interrupted):
        torch.manual_seed(0)
        model, stage = lazy_model()
        model.items.sparse = False
        stage = replace(stage, lazy=(model.users.weight,))
        optimizer = StageOptimizer(stage, {"bpr": 1.0, "l2": 0.1})
        optimizer.step(BATCH, 0.1)
        if interrupted:
            saved = {name: t.clone() for name, t in optimizer.tensors().items()}
            assert len(saved) == 6
            optimizer = StageOptimizer(stage, {"bpr": 1.0, "l2": 0.1})
            optimizer.load(saved)
        optimizer.step(BATCH, 0.1)
        return list(model.parameters())

    assert_close(run(True), run(False), rtol=0, atol=0)


def test_a_sparse_gradient_that_is_not_finite_ends_training_before_the_step():
    model, stage = lazy_model()
    model.users.weight.data[0] = math.inf
    before = model.items.weight.detach().clone()
    with pytest.raises(DivergedError, match="the loss became"):
        StageOptimizer(stage, {"bpr": 1.0, "l2": 0.1}).step(BATCH, 0.1)
    assert torch.equal(model.items.weight.detach(), before)
