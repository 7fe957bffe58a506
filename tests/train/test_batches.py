import logging

import pytest
import torch

from hugraph.errors import DataError
from hugraph.interfaces import Interactions, ItemBatch, Triples, UserBatch
from hugraph.train.batches import Batches

PAIRS = [(0, 0), (0, 1), (1, 1), (3, 2), (3, 4), (3, 0), (4, 1)]


def batches(pairs=PAIRS, num_users=6, num_items=5, batch_size=3, seed=7):
    users, items = torch.tensor(pairs).T
    return Batches(
        Interactions(users, items), num_users, num_items, batch_size=batch_size, seed=seed
    )


def flat(epoch):
    return [row for batch in epoch for row in zip(*(c.tolist() for c in batch), strict=True)]


def test_an_epoch_of_triples_holds_each_interaction_once_with_an_unseen_item():
    epoch = batches().epoch("triples", 0, 1)
    assert all(isinstance(batch, Triples) for batch in epoch)
    assert [len(batch.users) for batch in epoch] == [3, 3, 1]
    rows = flat(epoch)
    assert sorted((u, p) for u, p, _ in rows) == sorted(PAIRS)
    assert all((u, n) not in PAIRS and 0 <= n < 5 for u, _, n in rows)


def test_users_and_items_are_those_that_occur_in_training_each_once():
    users, items = batches().epoch("users", 0, 1), batches().epoch("items", 0, 1)
    assert isinstance(users[0], UserBatch) and isinstance(items[0], ItemBatch)
    assert sorted(u for (u,) in flat(users)) == [0, 1, 3, 4]
    assert sorted(i for (i,) in flat(items)) == [0, 1, 2, 4]


@pytest.mark.parametrize("kind", ["triples", "users", "items"])
def test_an_epoch_depends_on_seed_stage_and_epoch_and_on_nothing_before(kind):
    pairs = [(u, i) for u in range(40) for i in range(40) if (u * i) % 3 == 1]
    reference = flat(batches(pairs, 40, 40).epoch(kind, 1, 5))
    other = batches(pairs, 40, 40)
    other.epoch("triples", 0, 1)
    assert flat(other.epoch(kind, 1, 5)) == reference
    for changed in (
        batches(pairs, 40, 40, seed=8).epoch(kind, 1, 5),
        other.epoch(kind, 0, 5),
        other.epoch(kind, 1, 6),
    ):
        assert flat(changed) != reference


def test_interactions_of_users_who_have_seen_everything_are_left_out_and_counted(caplog):
    with caplog.at_level(logging.WARNING):
        made = batches([(0, 0), (0, 1), (1, 1)], num_users=2, num_items=2)
    assert made.num_users_without_negative == 1
    assert "1 users have interacted with every item" in caplog.text
    assert flat(made.epoch("triples", 0, 1)) == [(1, 1, 0)]


def test_nothing_to_train_on_is_an_error_that_names_what_is_missing():
    made = batches([(0, 0), (0, 1)], num_users=1, num_items=2)
    with pytest.raises(DataError, match="there are no triples to train on"):
        made.epoch("triples", 0, 1)


def test_int32_interactions_give_the_same_int64_batches():
    users, items = torch.tensor(PAIRS, dtype=torch.int32).T
    narrow = Batches(Interactions(users, items), 6, 5, batch_size=3, seed=7)
    epoch = narrow.epoch("triples", 0, 1)
    assert flat(epoch) == flat(batches().epoch("triples", 0, 1))
    assert {column.dtype for batch in epoch for column in batch} == {torch.int64}
