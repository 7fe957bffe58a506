"""HUIGN with a sampled hierarchy against the exact one: what it learns on real datasets.

    python benchmarks/sampled_hierarchy.py DATA/lastfm2k DATA/ml-100k DATA/tiktok [--seeds 5]

Each dataset is fitted by its own spec in `examples/`, in the paper's form and with the propagation
and the loss of `huign_propagated.yaml`; with the exact hierarchy, and with one sampled from each
number of edges, from the same seeds: the same split, first weights and batches. The table gives the
validation metric that training stops by as mean and standard deviation over seeds, and the mean
difference to the exact one of the same seed with its standard error. `--edges 10` is a control: as
good as nothing is known of the pooled graph then. `--set KEY=VALUE` changes all specs alike. Writes
`benchmarks/results/sampled_hierarchy.md`.
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


FORMS = {
    "paper": (),
    "propagated": (
        "model.intent_scale=0.5",
        "model.propagation={component: light, num_layers: 2}",
        "model.ranking={component: sampled_softmax, temperature: 0.2, num_negatives: 512}",
    ),
}


def fitted(directory, seed, overrides):
    """The best validation metric, the entries of the adjacency, and CPU seconds per epoch."""
    place = [f"data.path={directory.resolve()}", f"seed={seed}"]
    spec = SCHEMA.resolve(
        ROOT / "examples" / SPECS[directory.name], [*place, *TRAINING, *overrides]
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
    num_entries = model.adjacency.matrix.num_edges()
    return result.validation[METRIC], num_entries, seconds, result.best_epoch


def rows(directory, form, numbers_of_edges, seeds, overrides):
    """One row of the table for each way to build the hierarchy."""
    ways = {"exact": ("model.hierarchy=exact",)}
    for edges in numbers_of_edges:
        chosen = (f"model.sampled_edges={edges}",)
        ways[f"{edges:,} edges"] = ("model.hierarchy=sampled", *chosen)
    fits = {way: [] for way in ways}
    for seed in range(seeds):
        for way, options in ways.items():
            fits[way].append(fitted(directory, seed, [*FORMS[form], *options, *overrides]))
            value, _, seconds, epoch = fits[way][-1]
            what = f"{directory.name} {form} seed {seed} {way}"
            print(f"{what}: {value:.5f}, epoch {epoch}, {seconds:.2f} CPU s an epoch", flush=True)
    exact = [value for value, *_ in fits["exact"]]
    for way, results in fits.items():
        values, entries, seconds, epochs = zip(*results, strict=True)
        differences = [value - other for value, other in zip(values, exact, strict=True)]
        difference = "" if way == "exact" else spread(differences, "{:+.4f}", len(values) ** 0.5)
        yield (
            f"| {directory.name} | {form} | {entries[0]:,} | {way} | {spread(values)} "
            f"| {difference} | {statistics.mean(epochs):.0f} | {statistics.median(seconds):.2f} |"
        )


def spread(values, form="{:.4f}", shrink=1.0):
    """The mean with the standard deviation, or a part of it, in brackets."""
    mean = form.format(statistics.mean(values))
    return f"{mean} ({statistics.stdev(values) / shrink:.4f})" if len(values) > 1 else mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--edges", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = [
        row
        for directory in arguments.datasets
        for form in arguments.forms
        for row in rows(directory, form, arguments.edges, arguments.seeds, arguments.set)
    ]
    changes = f" With {', '.join(arguments.set)}." if arguments.set else ""
    text = "\n".join(
        [
            f"Validation {METRIC}: mean (standard deviation) over {arguments.seeds} seeds; "
            f"difference to exact of the same seed: mean (standard error).{changes} One thread. "
            f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}.",
            "",
            "| dataset | form | entries of A | hierarchy | validation | difference | best epoch "
            "| epoch, CPU s |",
            "|---|---|---|---|---|---|---|---|",
            *table,
        ]
    )
    out = ROOT / "benchmarks" / "results" / "sampled_hierarchy.md"
    out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
