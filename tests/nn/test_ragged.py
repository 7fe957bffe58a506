from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.nn.ragged import entries_of


def test_entries_of_some_rows_worked_by_hand():
    offsets = torch.tensor([0, 2, 2, 5])
    entries, own = entries_of(torch.tensor([2, 1, 0, 2]), offsets)
    assert entries.tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert own.tolist() == [0, 3, 3, 5, 8]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_entries_equal_those_of_a_list_of_lists(lengths, data):
    bounds = [sum(lengths[:row]) for row in range(len(lengths) + 1)]
    table = [list(range(*bounds[row : row + 2])) for row in range(len(lengths))]
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    entries, own = entries_of(torch.tensor(rows, dtype=torch.int64), torch.tensor(bounds))
    taken = [table[row] for row in rows]
    assert entries.tolist() == [*chain(*taken)]
    assert own.diff().tolist() == [len(row) for row in taken]
