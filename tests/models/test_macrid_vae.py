"""MacridVAE against a second derivation: user by user, concept by concept, in float64."""

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hugraph.interfaces import Interactions, UserBatch
from hugraph.models.macrid_vae import MacridVAE
from hugraph.train import EarlyStopping, Objective, RunDir, TrainConfig, fit
from tests.contracts.recommender import RecommenderContract
from tests.graphs import float64_by_default

HISTORIES = {0: [4, 1], 1: [], 2: [0, 1, 2, 3, 4], 3: [2]}
USERS, ITEMS = torch.tensor([(u, v) for u in (3, 0, 2) for v in HISTORIES[u]]).T


class TestMacridVAE(RecommenderContract):
    sample_concepts = False

    def make(self, world):
        return MacridVAE(
            world.num_users,
            world.num_items,
            world.train_interactions,
            num_concepts=4,
            dim=8,
            hidden_dim=16,
            sample_concepts=self.sample_concepts,
        )


class TestMacridVAEWithSampledConcepts(TestMacridVAE):
    sample_concepts = True


def build(seed=0, **options):
    torch.manual_seed(seed)
    sizes = {"num_concepts": 3, "dim": 2, "hidden_dim": 4, "prior_std": 0.5}
    with float64_by_default():
        model = MacridVAE(4, 5, Interactions(USERS, ITEMS), **{**sizes, **options})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def unit(vector):
    return vector / math.sqrt(sum(x * x for x in vector.tolist()))


def naive(model, user, kept, noise):
    """The log-likelihood of each item, and the divergence of the tastes, for one user."""
    h, m, t, b, w, c = (parameter.detach() for parameter in model.parameters())
    tau, history = model.temperature, HISTORIES[user]
    concepts = []
    for v in range(5):
        exps = [math.exp(unit(h[v]) @ unit(prototype) / tau) for prototype in m]
        concepts.append([e / sum(exps) for e in exps])
    likelihoods, divergence = [0.0] * 5, 0.0
    for k in range(len(m)):
        norm = math.sqrt(sum(concepts[v][k] ** 2 for v in history))
        hidden = b.clone()
        for position, v in enumerate(history):
            hidden += kept[position][k] * concepts[v][k] / norm * t[v]
        output = w @ hidden.tanh() + c
        mean, log_variance = unit(output[:2]), output[2:]
        divergence += sum(math.exp(x) - x - 1 for x in log_variance.tolist()) / 2
        z = mean + model.prior_std * (log_variance / 2).exp() * noise[k]
        for v in range(5):
            likelihoods[v] += concepts[v][k] * math.exp(unit(z) @ unit(h[v]) / tau)
    return [math.log(x / sum(likelihoods)) for x in likelihoods], divergence


NO_NOISE, ALL_KEPT = [0.0] * 5, [[1.0] * 5] * 5


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.1, 1.0]), st.integers(1, 3))
def test_scores_and_terms_equal_the_formula_entry_by_entry(seed, temperature, num_concepts):
    model = build(seed, temperature=temperature, num_concepts=num_concepts, anneal_steps=0).eval()
    users = [2, 0, 1, 3]
    expected = [naive(model, user, ALL_KEPT, NO_NOISE) for user in users]
    logs = torch.tensor([log for log, _ in expected]).double()
    assert_close(model.scorer()(torch.tensor(users)).log().detach(), logs)
    terms = model.terms(UserBatch(torch.tensor(users)))
    surprise = -sum(row[v] for row, user in zip(logs, users, strict=True) for v in HISTORIES[user])
    assert_close(terms["reconstruction"].detach(), surprise / 4)
    assert_close(terms["kl"].item(), sum(divergence for _, divergence in expected) / 4)


def test_training_draws_tastes_and_leaves_out_history():
    model = build(dropout=0.25)
    torch.manual_seed(5)
    terms = model.terms(UserBatch(torch.tensor([0, 2])))
    torch.manual_seed(5)
    kept = F.dropout(torch.ones(7, 3, dtype=torch.float64), 0.25)
    noise = torch.randn(3, 2, 2, dtype=torch.float64)
    assert 0 < (kept == 0).sum() < 21
    first, _ = naive(model, 0, kept[:2], noise[:, 0])
    second, _ = naive(model, 2, kept[2:], noise[:, 1])
    assert_close(terms["reconstruction"].item(), -(first[4] + first[1] + sum(second)) / 2)


def test_a_sampled_assignment_favours_each_concept_as_often_as_the_softmax_says():
    model = build(sample_concepts=True, temperature=1.0)
    drawn = Counter(int(model._items().log_concepts[0].argmax()) for _ in range(4000))
    shares = torch.tensor([drawn[k] / 4000 for k in range(3)]).double()
    softmax = model.eval()._items().log_concepts[0].exp().detach()
    assert_close(shares, softmax, atol=0.03, rtol=0)  # four standard deviations
    assert softmax.min() > 0.1


def test_the_divergence_comes_in_step_by_step_while_training_alone():
    model, batch = build(anneal_steps=4), UserBatch(torch.arange(4))
    model.dropout = 0.0
    emitted = [model.terms(batch)["kl"].item() for _ in range(6)]
    full = emitted[-1]
    assert_close(emitted, [0.0, full / 4, full / 2, full * 3 / 4, full, full])
    model.eval().terms(batch)
    assert model.steps == 6


def fitted(run, epochs):
    """A model after so many epochs of three steps, gone on to from where the run stands."""
    torch.manual_seed(0)
    train = Interactions(USERS, ITEMS)
    model = MacridVAE(4, 5, train, anneal_steps=20)
    fit(
        model,
        train,
        lambda scorer: {"steps": float(model.steps)},
        seed=7,
        config=TrainConfig(
            epochs=epochs, batch_size=1, lr=0.1, early_stopping=EarlyStopping(metric="steps")
        ),
        objective=Objective(loss="reconstruction", penalties={"kl": 0.2}),
        run=run,
    )
    return model.state_dict()


def test_annealing_goes_on_where_a_run_was_stopped(tmp_path):
    whole = fitted(None, epochs=6)
    with RunDir.create(tmp_path / "run") as run:
        assert fitted(run, epochs=2)["steps"] == 6
    with RunDir.resume(tmp_path / "run") as run:
        resumed = fitted(run, epochs=6)
    assert whole["steps"] == 18
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_user_without_history_gets_finite_scores_and_gradients():
    model = build()
    sum(model.terms(UserBatch(torch.tensor([1, 3]))).values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    alone = model.eval().scorer()(torch.tensor([1]))
    assert alone.isfinite().all() and alone.std() > 0
    assert_close(alone, model.scorer()(torch.tensor([0, 1]))[1:])


def test_a_history_that_hardly_touches_a_concept_is_encoded_to_finite_tastes():
    model = MacridVAE(4, 5, Interactions(USERS, ITEMS), num_concepts=2)
    items = model._items()._replace(log_concepts=torch.tensor([[-60.0, 0.0]] * 5))
    assert model._encode(model._history(torch.tensor([0, 2])), items).mean.isfinite().all()


def test_an_item_that_nobody_knows_falls_behind_all_others():
    torch.manual_seed(0)
    model = MacridVAE(4, 6, Interactions(USERS, ITEMS), dim=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        model.terms(UserBatch(torch.arange(4)))["reconstruction"].backward()
        optimizer.step()
    scores = model.eval().scorer()(torch.tensor([2]))[0]
    assert scores.argmin() == 5


def test_no_block_of_users_by_items_is_kept_for_the_backward_pass():
    users, items = torch.arange(30).repeat(2), torch.arange(60) % 50
    model = MacridVAE(30, 50, Interactions(users, items), num_concepts=6, dim=3, hidden_dim=5)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.terms(UserBatch(torch.arange(30)))
    assert kept and max(kept) < 30 * 50


@pytest.mark.parametrize(
    ("options", "message"),
    [({"temperature": 0.01}, "greater than or equal to 0.05"), ({"dropout": 1.0}, "less than 1")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
