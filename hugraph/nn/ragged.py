"""Tables whose rows have different lengths, held as one array of entries and one of offsets."""

import torch
import torch.nn.functional as F
from torch import Tensor


def entries_of(rows: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Finds where some rows of a ragged table lie.

    Args:
        rows: Which rows, `(b,)`.
        offsets: Row `r` holds the entries `offsets[r]` to `offsets[r + 1]`, without the last.

    Returns:
        The positions of their entries, row after row, `(num_entries,)`, and the offsets `(b + 1,)`
        of the rows among these.
    """
    lengths = offsets.diff().index_select(0, rows)
    ends = lengths.cumsum(0)
    shift = torch.repeat_interleave(offsets.index_select(0, rows) - ends + lengths, lengths)
    return shift + torch.arange(len(shift), device=shift.device), F.pad(ends, (1, 0))
