"""HUIGN with a sampled hierarchy against the exact one: what it learns on real datasets.

    python benchmarks/sampled_hierarchy.py DATA/lastfm2k DATA/ml-100k DATA/tiktok [--seeds 5]

Each dataset is fitted by its own spec in `examples/`, in the paper's form, with the exact and with
a sampled hierarchy from the same seeds: the same split, first weights and batches. One table gives
the validation metric that training stops by, as mean and standard deviation over seeds, and the
mean difference of pairs with its standard error. `--set KEY=VALUE` changes all specs alike. Writes `benchmarks/results/sampled_hierarchy.md`.
"""

import argparse
import platform
import statistics
import time
from pathlib import Path

import torch

from hugraph import __version__
from hugraph.assembly import SCHEMA, Experiment
from hugraph.train import fit

ROOT = Path(__file__).resolve().parents[1]
SPECS = {
    "lastfm2k": "huign_lastfm2k.yaml",
    "ml-100k": "huign_ml100k.yaml",
    "ml-latest-small": "huign_ml_latest_small.yaml",
    "tiktok": "huign_tiktok.yaml",
}
METRIC = "ndcg@10"
TRAINING = (
    "train.epochs=100",
    "train.lr=3e-3",
    "train.batch_size=2048",
    f"train.early_stopping.metric={METRIC}",
    "train.early_stopping.patience=10",
    "evaluate.metrics=[ndcg]",
    "evaluate.k=[10]",
)


def fitted(directory, hierarchy, edges, seed, overrides):
    """The best validation metric, the epochs it took, and CPU seconds per epoch."""
    spec = SCHEMA.resolve(
        ROOT / "examples" / SPECS[directory.name],
        [
            f"data.path={directory.resolve()}",
            f"seed={seed}",
            *TRAINING,
            *overrides,
            f"model.hierarchy={hierarchy}",
            f"model.sampled_edges={edges}",
        ],
    )
    experiment = Experiment.prepare(spec)
    model = experiment.build_model()
    began = time.process_time()
    result = fit(
        model,
        experiment.train,
        experiment.validate,
        seed=seed,
        config=spec.train,
        objective=spec.objective(),
    )
    seconds = (time.process_time() - began) / result.epochs
    num_edges = model.adjacency.matrix.num_edges()
    return result.validation[METRIC], result.best_epoch, seconds, num_edges


def row(directory, edges, seeds, overrides):
    fits = {"exact": [], "sampled": []}
    for seed in range(seeds):
        for hierarchy, results in fits.items():
            results.append(fitted(directory, hierarchy, edges, seed, overrides))
            value, epochs, seconds, _ = results[-1]
            print(
                f"{directory.name} seed {seed} {hierarchy}: {value:.4f} at epoch {epochs}, "
                f"{seconds:.2f} CPU s an epoch",
                flush=True,
            )
    exact, sampled = ([value for value, *_ in results] for results in fits.values())
    pairs = [b - a for a, b in zip(exact, sampled, strict=True)]
    error = statistics.stdev(pairs) / len(pairs) ** 0.5 if seeds > 1 else float("nan")
    epochs = [statistics.mean(best for _, best, *_ in results) for results in fits.values()]
    return (
        f"| {directory.name} | {fits['exact'][0][3]:,} | {spread(exact)} | {spread(sampled)} "
        f"| {statistics.mean(pairs):+.4f} ({error:.4f}) | {epochs[0]:.0f}, {epochs[1]:.0f} |"
    )


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.4f} ({deviation:.4f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--edges", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        row(directory, arguments.edges, arguments.seeds, arguments.set)
        for directory in arguments.datasets
    ]
    changes = f" With {', '.join(arguments.set)}." if arguments.set else ""
    text = "\n".join(
        [
            f"Validation {METRIC}: mean (standard deviation) over {arguments.seeds} seeds, "
            f"{arguments.edges:,} sampled edges a step; the difference of pairs with its standard "
            f"error in brackets.{changes} hugraph {__version__}, torch {torch.__version__}, "
            f"{platform.machine()}.",
            "",
            "| dataset | entries of A | exact | sampled | sampled - exact | best epochs |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    out = ROOT / "benchmarks" / "results" / "sampled_hierarchy.md"
    out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
