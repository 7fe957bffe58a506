"""Tunes every model on real datasets by one small grid and writes the tables of results.

    python benchmarks/real_data.py DATA_DIR [--runs runs/real] [--only tiktok/lightgcn] [--table]

DATA_DIR holds `tiktok`, `lastfm2k`, `ml-100k` and `ml-latest-small` as dataset directories. Every
model is fitted by `hugraph fit`, three times for each dataset: with three weights of L2, or three
values of what matters more in a model that L2 does nothing for. The run with the best validation
NDCG@10 is reported, on test, with the standard error over users. A run that is there already is not
repeated, and one that was stopped goes on; so several processes may share the work by `--only`.
With `--first N`, only the first N points of each grid are fitted; with `--table`, nothing is, and
`benchmarks/results/real_data.md` is written from the runs there are.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
SELECTED_BY = "ndcg@10"

DATASETS = {
    "tiktok": ("huign_tiktok.yaml", "given"),
    "lastfm2k": ("huign_lastfm2k.yaml", "random"),
    "ml-100k": ("huign_ml100k.yaml", "random"),
    "ml-latest-small": ("huign_ml_latest_small.yaml", "random"),
}
TRAINING = (
    "train.epochs=150",
    "train.lr=3e-3",
    "train.batch_size=2048",
    f"train.early_stopping.metric={SELECTED_BY}",
    "train.early_stopping.patience=10",
    "evaluate.k=[10,20]",
)
SMALL_BATCH = "train.batch_size=256"  # for batches of users or items, of which there are few
L2 = tuple(f"objective.penalties.l2={weight}" for weight in ("1e-3", "1e-4", "1e-2"))
NEIGHBORS = tuple(f"model.num_neighbors={k}" for k in (20, 100, 500))
SOFTMAX = "model.ranking=sampled_softmax"
LENGTHS = tuple(f"model.ranking.item_length={power}" for power in (0.0, 0.15, 0.3))

# By name: the spec (None for that of the dataset), further overrides, and the grid.
MODELS = {
    "popularity": ("popularity.yaml", (), ("",)),
    "item_knn": ("item_knn.yaml", (), NEIGHBORS),
    "item_knn_content": ("item_knn_content.yaml", (), NEIGHBORS),
    "bpr_mf": ("bpr_mf.yaml", (), L2),
    "vbpr": ("vbpr.yaml", (), L2),
    "duif": ("duif.yaml", (), L2),
    "cb2cf": ("cb2cf.yaml", (SMALL_BATCH,), L2),
    "ngcf": ("ngcf.yaml", (), L2),
    "mmgcn": ("mmgcn.yaml", (), L2),
    "disen_gcn": ("disen_gcn.yaml", (), L2),
    "macrid_vae": (
        "macrid_vae.yaml",
        (SMALL_BATCH,),
        tuple(f"objective.penalties.kl={weight}" for weight in (0.2, 0.05, 0.8)),
    ),
    "lightgcn": ("lightgcn.yaml", (), L2),
    "grcn": ("grcn.yaml", (), L2),
    "lattice": ("lattice.yaml", (), L2),
    "freedom": ("freedom.yaml", (), L2),
    "bm3": ("bm3.yaml", (), L2),
    "mgcn": ("mgcn.yaml", (), L2),
    "lgmrec": ("lgmrec.yaml", (), L2),
    "huign_paper": ("huign_paper.yaml", ("model.modalities=null",), L2),
    "huign": (None, (), L2),
    "huign_propagated_bpr": (
        "huign_propagated.yaml",
        ("model.ranking=bpr", "model.intent_scale=3.0"),
        L2,
    ),
    "lightgcn_softmax": ("lightgcn.yaml", ("model.num_layers=2", SOFTMAX), LENGTHS),
    "huign_propagated": ("huign_propagated.yaml", (), LENGTHS),
}


def short(point):
    key, _, value = point.partition("=")
    return f"{key.rpartition('.')[2]}={value}" if point else ""


def run_of(dataset, model, point, runs):
    return runs / dataset / f"{model}-{short(point)}".rstrip("-")


def options_of(data, dataset, model, point):
    own_spec, split = DATASETS[dataset]
    spec, further, _ = MODELS[model]
    overrides = [f"data.split={split}", *TRAINING, *further, *filter(None, [point])]
    return [
        "--spec",
        f"{EXAMPLES.name}/{spec or own_spec}",
        "--data",
        f"{data}/{dataset}",
        *overrides,
    ]


def fit(data, dataset, model, point, runs):
    run = run_of(dataset, model, point, runs)
    if (run / "result.json").exists():
        return
    call = [sys.executable, "-m", "hugraph", "fit", "--quiet"]
    if (run / "checkpoints" / "state.json").exists():
        call += ["--resume", str(run)]
    else:
        call += ["--run", str(run), *options_of(data, dataset, model, point)]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, cwd=EXAMPLES.parent)


def best_first(dataset, model, runs):
    """The runs of a model on a dataset, the one with the best validation first."""
    found = []
    for point in MODELS[model][2]:
        run = run_of(dataset, model, point, runs)
        if (run / "result.json").exists():
            found.append((json.loads((run / "result.json").read_text()), point, run))
    return sorted(found, key=lambda one: -one[0]["validation"][SELECTED_BY])


def rows(dataset, runs):
    for model in MODELS:
        found = best_first(dataset, model, runs)
        if not found:
            continue
        result, point, run = found[0]
        scores = pl.read_parquet(run / "per_user.parquet")[SELECTED_BY]
        error = scores.std() / len(scores) ** 0.5
        figures = " | ".join(
            f"{result['test'][metric]:.4f}" + (f" ± {error:.4f}" if metric == SELECTED_BY else "")
            for metric in METRICS
        )
        yield (
            f"| {dataset} | {model} | {short(point)} | {len(found)} | {figures} "
            f"| {result['validation'][SELECTED_BY]:.4f} | {result['best_epoch']} "
            f"| {result['seconds']:.0f} |",
            shlex.join(["hugraph", "fit", *options_of("DATA", dataset, model, point)]),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/real"))
    parser.add_argument("--only", help="part of dataset/model", default="")
    parser.add_argument("--first", type=int, help="points of each grid; all if left out")
    parser.add_argument("--table", action="store_true", help="fit nothing")
    arguments = parser.parse_args()
    data, runs = arguments.data.resolve(), arguments.runs.resolve()
    if not arguments.table:
        for model in MODELS:
            for dataset in DATASETS:
                if arguments.only in f"{dataset}/{model}":
                    for point in MODELS[model][2][: arguments.first]:
                        fit(data, dataset, model, point, runs)
        return
    header = (
        f"| dataset | model | chosen | of | {' | '.join(METRICS)} | validation {SELECTED_BY} "
        "| best epoch | s |"
    )
    table, commands = [header, "|" + "---|" * (header.count("|") - 1)], []
    for dataset in DATASETS:
        for row, command in rows(dataset, runs):
            table.append(row)
            commands.append(command)
    out = Path(__file__).parent / "results" / "real_data.md"
    out.write_text("\n".join([*table, "", "```text", *commands, "```"]) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
