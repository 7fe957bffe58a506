"""Lists for people: raw ids and titles instead of indices."""

from collections.abc import Sequence

import polars as pl
import torch

from hugraph.assembly.experiment import Experiment
from hugraph.interfaces import Recommender
from hugraph.train import top_k


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
    dataset = experiment.dataset
    indices = torch.as_tensor(list(users), dtype=torch.int64, device=experiment.device)
    with torch.no_grad():
        lists = top_k(model.scorer(), indices, experiment.known, k, dataset.num_items)
    rows, places = (lists.items >= 0).nonzero(as_tuple=True)
    items = lists.items[rows, places].cpu().numpy()
    return pl.DataFrame(
        {
            "user": dataset.user_ids[indices[rows].cpu().numpy()],
            "rank": places.cpu().numpy() + 1,
            "item": dataset.item_ids[items],
            "title": [dataset.title(int(item)) for item in items],
            "score": lists.scores[rows, places].cpu().numpy(),
        },
        schema={
            "user": pl.String,
            "rank": pl.Int64,
            "item": pl.String,
            "title": pl.String,
            "score": pl.Float32,
        },
    )
