import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.interfaces import Triples
from hugraph.models.members import members

ids = st.integers(0, 5)


def test_a_batch_of_three_worked_by_hand():
    batch = Triples(torch.tensor([7, 2, 7]), torch.tensor([9, 4, 9]), torch.tensor([4, 1, 8]))
    users, items, user_rows, item_rows, pos_rows = members(batch)
    assert users.tolist() == [2, 7] and user_rows.tolist() == [1, 0, 1]
    assert items.tolist() == [1, 4, 8, 9] and item_rows.tolist() == [3, 1, 3, 1, 0, 2]
    assert pos_rows.tolist() == [1, 3]


@given(st.lists(st.tuples(ids, ids, ids), min_size=1))
def test_the_rows_lead_back_to_the_batch_and_nobody_is_listed_twice(triples):
    batch = Triples(*torch.tensor(triples).T)
    found = members(batch)
    assert torch.equal(found.users[found.user_rows], batch.users)
    assert torch.equal(found.items[found.item_rows], torch.cat([batch.pos_items, batch.neg_items]))
    assert set(found.items[found.pos_rows].tolist()) == set(batch.pos_items.tolist())
    for listed in (found.users, found.items, found.pos_rows):
        assert len(listed.unique()) == len(listed)
