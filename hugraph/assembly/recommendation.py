"""Lists for people: raw ids and titles instead of indices."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from polars.io.plugins import register_io_source

from hugraph.assembly.experiment import Experiment
from hugraph.interfaces import Recommender
from hugraph.train import atomic, top_k

BLOCK_ROWS = 2**18  # of recommendations at a time
SCHEMA = pl.Schema(
    {
        "user": pl.String,
        "rank": pl.Int64,
        "item": pl.String,
        "title": pl.String,
        "score": pl.Float32,
    }
)


def recommend(
    experiment: Experiment, model: Recommender, users: Sequence[int], k: int
) -> pl.DataFrame:
    """Ranks for each user the items that they have neither in training nor in validation.

    Args:
        experiment: Data and split of the run.
        model: With the weights to rank by.
        users: User indices.
        k: Length of the lists; shorter where a user has fewer items left.

    Returns:
        Columns `user` (raw id), `rank` (from 1), `item` (raw id), `title`, `score`.

    Raises:
        DivergedError: If a score is not finite.
    """
    blocks = (lists for _, lists in recommend_in_blocks(experiment, model, users, k))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *blocks])


def recommend_in_blocks(
    experiment: Experiment, model: Recommender, users: Sequence[int], k: int
) -> Iterator[tuple[Sequence[int], pl.DataFrame]]:
    """The same for one block of users after the other: of these there may be any number.

    Args:
        experiment: Data and split of the run.
        model: With the weights to rank by.
        users: User indices.
        k: Length of the lists.

    Yields:
        Some of `users`, and their lists.
    """
    dataset = experiment.dataset
    titles = np.array([dataset.title(item) for item in range(dataset.num_items)], dtype=object)
    with torch.no_grad():
        scorer = model.scorer()
    size = max(1, BLOCK_ROWS // min(k, dataset.num_items))
    for start in range(0, len(users), size):
        block = users[start : start + size]
        indices = torch.as_tensor(list(block), dtype=torch.int64, device=experiment.device)
        lists = top_k(scorer, indices, experiment.known, k, dataset.num_items)
        rows, places = (lists.items >= 0).nonzero(as_tuple=True)
        items = lists.items[rows, places].cpu().numpy()
        columns: dict[str, Any] = {
            "user": dataset.user_ids[indices[rows].cpu().numpy()],
            "rank": places.cpu().numpy() + 1,
            "item": dataset.item_ids[items],
            "title": titles[items],
            "score": lists.scores[rows, places].cpu().numpy(),
        }
        yield block, pl.DataFrame(columns, schema=SCHEMA)


def write_lists(blocks: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes lists as they come, so that a few blocks at a time are in memory.

    Args:
        blocks: What [`recommend`][hugraph.assembly.recommendation.recommend] gives, in parts.
        path: Ends in `.parquet`, `.csv` or `.jsonl`; replaced when all of it is written.

    Raises:
        ResourceError: If the system refuses; the old file or the new one is then there.
    """
    lists = register_io_source(lambda *asked: iter(blocks), schema=SCHEMA)
    with atomic.writing(path) as file, _system_errors():
        if path.suffix == ".parquet":
            lists.sink_parquet(file)
        elif path.suffix == ".csv":
            lists.sink_csv(file)
        else:
            lists.sink_ndjson(file)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Where polars tells of an error of the system, such as a full disk, in words: as `OSError`."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        if number := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise
