"""Asks whether axes of a three-dimensional t-SNE of items show the levels of intents.

    python benchmarks/figure4.py RUN [RUN ...] [--modality textual]

HUIGN's Figure 4 places items by t-SNE and reads four regions off one axis and eight off another.
For each run, level and axis this prints how many peaks the density along the axis has, and how far
as many regions of the axis as the level has intents agree with the strongest intents (NMI), next to
what directions drawn at random and all three dimensions together give. Regions are those of
k-means. Writes `benchmarks/results/figure4.md`.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import gaussian_kde
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from hugraph.assembly import runs
from hugraph.report.intents import describe_intents
from hugraph.report.projection import tsne
from hugraph.report.views import item_spaces
from hugraph.train import RunDir

DIRECTIONS = 30  # drawn at random
GRID = 512  # places at which a density is looked at


def peaks(places):
    """How many local maxima the density has, with Scott's bandwidth."""
    grid = np.linspace(places.min(), places.max(), GRID)
    density = np.pad(gaussian_kde(places)(grid), 1)
    inner = density[1:-1]
    return int(((inner > density[:-2]) & (inner >= density[2:])).sum())


def agreement(places, intents, regions):
    """NMI of so many regions with the intents."""
    found = KMeans(regions, n_init=3, random_state=0).fit_predict(places.reshape(len(places), -1))
    return normalized_mutual_info_score(intents, found)


def rows(run, modality):
    experiment = runs.reopen(run)
    model = runs.trained_model(experiment, RunDir(run))
    levels = describe_intents(model, experiment.dataset, seed=experiment.spec.seed)
    space = item_spaces(model, levels)[modality]
    points = tsne(space.vectors, seed=experiment.spec.seed)
    points -= points.mean(axis=0)
    directions = np.random.default_rng(0).normal(size=(3, DIRECTIONS))
    drawn = (points @ (directions / np.linalg.norm(directions, axis=0))).T
    along = " / ".join(str(peaks(axis)) for axis in points.T)
    for level, intents in zip(space.levels, space.strongest, strict=True):
        count = len(level.intents)
        own = " / ".join(f"{agreement(axis, intents, count):.2f}" for axis in points.T)
        others = [agreement(direction, intents, count) for direction in drawn]
        yield (
            f"| {run.parent.name}/{run.name} | {level.level} | {count} | {along} | {own} "
            f"| {np.median(others):.2f} ({min(others):.2f} to {max(others):.2f}) "
            f"| {agreement(points, intents, count):.2f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--modality", default="textual")
    arguments = parser.parse_args()
    header = (
        "| run | level | intents | peaks along x / y / z | NMI along x / y / z "
        f"| along {DIRECTIONS} random directions | in space |"
    )
    table = [header, "|" + "---|" * (header.count("|") - 1)]
    for run in arguments.runs:
        table += rows(run, arguments.modality)
    out = Path(__file__).parent / "results" / "figure4.md"
    out.write_text("\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
