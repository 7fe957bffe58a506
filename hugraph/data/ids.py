"""Raw ids: text, kept exactly as written, and mapped to indices only by equality."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import polars as pl

_ORDINARY = re.compile(r"[a-z_.:-]*([1-9][0-9]*)?")  # spelled in one way only


def indices_of(column: pl.Series, ids: Sequence[str] | np.ndarray | pl.Series) -> np.ndarray:
    """Where each value of `column` stands in `ids`: int64 `(len(column),)`, -1 if nowhere."""
    names = pl.Series(ids, dtype=pl.String)
    return column.replace_strict(
        names, pl.int_range(len(names), eager=True), default=-1, return_dtype=pl.Int64
    ).to_numpy(writable=True)


def lookalikes(ids: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of distinct ids that a person would take for the same.

    Such are ids that differ only in case, surrounding space, leading zeros, a decimal `.0`, or in
    the Unicode form of the same characters.
    """
    first: dict[str, str] = {}
    pairs = []
    for raw_id in ids:
        seen = first.setdefault(_plain(raw_id), raw_id)
        if seen != raw_id:
            pairs.append((seen, raw_id))
    return pairs


def _plain(raw_id: str) -> str:
    if _ORDINARY.fullmatch(raw_id):
        return raw_id
    text = unicodedata.normalize("NFKC", raw_id).strip().casefold()
    text = re.sub(r"(?<=[0-9])\.0+$", "", text)
    return re.sub(r"^0+(?=[0-9])", "", text)
