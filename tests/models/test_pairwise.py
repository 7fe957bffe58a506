"""What `sparse_gradients` must not change, for every model that has it."""

import pytest
import torch
from torch.testing import assert_close

from hugraph.interfaces import Triples
from hugraph.models.bpr_mf import BPRMF
from hugraph.models.huign import HUIGN
from hugraph.models.vbpr import VBPR
from hugraph.nn import LightPropagation
from hugraph.train.optimizer import StageOptimizer
from tests.contracts.recommender import World

WORLD = World()
BATCH = Triples(torch.tensor([0, 7, 7]), torch.tensor([1, 2, 2]), torch.tensor([30, 1, 39]))


def huign(**options):
    world = WORLD
    return HUIGN(
        world.num_users,
        world.num_items,
        world.modality_features,
        world.item_adjacency,
        world.user_item_adjacency,
        levels=[8, 4],
        id_dim=4,
        **options,
    )


def sampled(**options):
    return huign(hierarchy="sampled", sampled_edges=20, **options)


def bpr_mf(**options):
    return BPRMF(WORLD.num_users, WORLD.num_items, dim=4, **options)


def vbpr(**options):
    return VBPR(WORLD.num_users, WORLD.num_items, WORLD.modality_features, **options)


def gradients(make, **options):
    torch.manual_seed(0)
    model = make(**options)
    torch.manual_seed(1)
    terms = model.terms(BATCH)
    loss = torch.stack(list(terms.values())).sum()
    names = [name for name, _ in model.named_parameters()]
    return model, dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))


@pytest.mark.parametrize("make", [huign, sampled, bpr_mf, vbpr])
def test_sparse_gradients_hold_a_batchs_rows_of_the_lazy_tables_and_equal_the_dense_ones(make):
    _, dense = gradients(make)
    model, sparse = gradients(make, sparse_gradients=True)
    lazy = {id(table) for table in model.stages()[0].lazy}
    assert lazy
    for name, parameter in model.named_parameters():
        assert sparse[name].is_sparse == (id(parameter) in lazy)
        assert_close(sparse[name].to_dense(), dense[name])
        if sparse[name].is_sparse:
            touched = {*BATCH.users.tolist()} if "user" in name else {1, 2, 30, 39}
            assert {*sparse[name].coalesce().indices()[0].tolist()} == touched


@pytest.mark.parametrize("make", [huign, sampled, bpr_mf, vbpr])
def test_a_step_with_sparse_gradients_is_the_dense_one_in_a_batchs_rows_and_none_elsewhere(make):
    after = {}
    for sparse in (False, True):
        torch.manual_seed(0)
        model = make(sparse_gradients=sparse)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        stage = model.stages()[0]
        torch.manual_seed(1)
        StageOptimizer(stage, dict.fromkeys(stage.term_names, 1.0), clip_norm=0.5).step(BATCH, 0.1)
        after[sparse] = dict(model.named_parameters())
    for name, table in after[True].items():  # Adam's first step moves nothing without a gradient
        assert_close(table, after[False][name], rtol=1e-5, atol=1e-6)
    outside = [i for i in range(WORLD.num_users) if i not in BATCH.users]
    assert torch.equal(after[True]["user_embeddings"][outside], before["user_embeddings"][outside])


def test_sparse_gradients_under_propagation_are_refused():
    with pytest.raises(ValueError, match="propagation takes every row"):
        huign(propagation=LightPropagation, sparse_gradients=True)
