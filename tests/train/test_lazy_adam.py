import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from hugraph.train.lazy_adam import LazyAdam


def batches(seed, num_rows, num_steps):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(num_rows, (num_steps, 3), generator=generator)
    return [(r, torch.randn(3, 2, generator=generator).double()) for r in rows]


def trained(make_optimizer, steps, num_rows, *, sparse):
    torch.manual_seed(0)
    table = nn.Parameter(torch.randn(num_rows, 2).double())
    optimizer = make_optimizer([table])
    for rows, slope in steps:
        taken = F.embedding(rows, table, sparse=sparse)
        (gradient,) = torch.autograd.grad((taken * slope).sum(), table)
        table.grad = gradient.coalesce() if sparse else gradient
        optimizer.step()
    return table.detach()


def test_a_row_waits_with_its_moments_until_its_next_gradient_worked_by_hand():
    table = nn.Parameter(torch.zeros(2, 1).double())
    optimizer = LazyAdam([table], lr=0.1, betas=(0.5, 0.5), eps=0.0)
    seen = []
    for row, slope in ((0, 1.0), (1, 2.0), (0, 4.0)):
        indices, values = torch.tensor([[row]]), torch.tensor([[slope]]).double()
        table.grad = torch.sparse_coo_tensor(
            indices, values, (2, 1), is_coalesced=True, check_invariants=True
        )
        optimizer.step()
        seen.append(table.flatten().tolist())
    # First step: m = 1/2, v = 1/2, each over 1 - 1/2. Second, of the other row: over 3/4.
    # Third: m = 1/4 + 2, v = 1/4 + 8, over 7/8.
    after_first, after_second = -0.1, -0.1 * (1 / 0.75) / (2 / 0.75) ** 0.5
    third = -0.1 * (2.25 / 0.875) / (8.25 / 0.875) ** 0.5
    expected = [[after_first, 0], [after_first, after_second], [after_first + third, after_second]]
    assert_close(torch.tensor(seen), torch.tensor(expected))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_it_is_adam_where_every_row_has_a_gradient_in_every_step(seed, num_steps):
    every = torch.tensor([0, 1, 2])
    steps = [(every, slope) for _, slope in batches(seed, 3, num_steps)]
    lazy = trained(LazyAdam, steps, 3, sparse=True)
    assert_close(lazy, trained(torch.optim.Adam, steps, 3, sparse=False))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_it_is_torchs_sparse_adam_but_for_where_epsilon_is_added(seed, num_steps):
    steps = batches(seed, 5, num_steps)
    lazy = trained(LazyAdam, steps, 5, sparse=True)
    theirs = trained(torch.optim.SparseAdam, steps, 5, sparse=True)
    assert_close(lazy, theirs, rtol=1e-4, atol=1e-6)  # epsilon is 1e-8, slopes may be 1e-3


def test_rows_outside_of_a_batch_stay_to_the_last_bit():
    torch.manual_seed(0)
    before = torch.randn(5, 2).double()
    after = trained(
        LazyAdam, [(torch.tensor([1, 1, 3]), torch.ones(3, 2).double())] * 2, 5, sparse=True
    )
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [False, True, False, True, False]
