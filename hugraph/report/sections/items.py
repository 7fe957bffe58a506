"""Items in few dimensions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hugraph.data.dataset import Dataset
from hugraph.report import figures
from hugraph.report.page import Block, Plot, Prose, Section
from hugraph.report.sections.pictures import TITLE, png
from hugraph.report.views import ItemSpace


def items(
    spaces: Mapping[str, ItemSpace],
    layouts: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    shown: NDArray[np.int64],
    dataset: Dataset,
) -> tuple[Section, dict[str, Any]]:
    """Items in three and in two dimensions, and what the page's script draws of them.

    Args:
        spaces: By modality.
        layouts: By modality, the places of the items in three and in two dimensions.
        shown: Which items these are.
        dataset: Whose titles are shown.
    """

    def views(name: str, dimension: int) -> list[tuple[str, figures.Cloud]]:
        space, points = spaces[name], layouts[name][dimension]
        if not space.levels:
            return [(name, figures.Cloud(points, np.zeros(len(shown), np.int64), ""))]
        return [
            (
                f"{name}, level {level.level}",
                figures.Cloud(
                    points,
                    strongest[shown],
                    "strongest intent",
                    [intent.name for intent in level.intents],
                ),
            )
            for level, strongest in zip(space.levels, space.strongest, strict=True)
        ]

    solid = figures.clouds(dict(views(name, 0)[-1] for name in spaces))
    flat = figures.clouds(dict(view for name in spaces for view in views(name, 1)))
    whose = "their strongest intent" if any(s.levels for s in spaces.values()) else "one kind"
    text = (
        f"Items placed by t-SNE in three dimensions, coloured by {whose}. Drag or use the arrow "
        "keys to turn, point at an item for its title, click a name to hide its items."
    )
    some = len(shown) < dataset.num_items
    blocks: list[Block] = [
        Prose(
            "t-SNE keeps near items near; distances between groups and their sizes mean little."
            + (f" Shown are {len(shown):,} of {dataset.num_items:,} items, drawn at random." * some)
        ),
        Plot("items", text, png(solid, text)),
        Prose("The same by t-SNE in two dimensions, at each level that tells items apart:"),
        png(flat, "Items in two dimensions, coloured by their strongest intent."),
    ]
    titles = [dataset.title(item) or str(dataset.item_ids[item]) for item in shown.tolist()]
    drawn = {
        "titles": [title[:TITLE] for title in titles],
        "spaces": {
            name: {
                **dict(zip("xyz", _coordinates(layouts[name][0]), strict=True)),
                "levels": [
                    {
                        "level": level.level,
                        "strongest": strongest[shown].tolist(),
                        "intents": [intent.name for intent in level.intents],
                    }
                    for level, strongest in zip(space.levels, space.strongest, strict=True)
                ],
            }
            for name, space in spaces.items()
        },
    }
    return Section("items", "Items", blocks), drawn


def _coordinates(points: NDArray[np.float32]) -> list[list[int]]:
    """Columns of whole numbers within ±1000, which are short in a file."""
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    scale = max(float(np.abs(centred).max()), 1e-12)
    columns: list[list[int]] = np.rint(centred / scale * 1000).astype(int).T.tolist()
    return columns
