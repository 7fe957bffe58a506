"""Trains HUIGN and the reference models on real datasets and writes the table of results.

    python benchmarks/real_data.py DATA_DIR [--runs runs/real] [--only tiktok/lightgcn]

DATA_DIR holds `tiktok`, `lastfm2k`, `ml-100k` and `ml-latest-small` as dataset directories. Every
model is fitted by `hugraph fit` to early stopping once for each L2 weight of the same small grid;
the weight with the best validation recall@10 is reported, on test. A run that is there already is
not repeated, and one that was stopped goes on. Writes `benchmarks/results/real_data.md`.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
L2 = ("1e-4", "1e-3", "1e-2")
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")

DATASETS = {
    "tiktok": ("huign_tiktok.yaml", ["data.split.scheme=given"]),
    "lastfm2k": ("huign_lastfm2k.yaml", []),
    "ml-100k": ("huign_ml100k.yaml", []),
    "ml-latest-small": ("huign_ml_latest_small.yaml", []),
}
MODELS = {
    "popularity": ("popularity.yaml", []),
    "bpr_mf": ("bpr_mf.yaml", []),
    "vbpr": ("vbpr.yaml", []),
    "huign, paper": ("huign_paper.yaml", ["model.modalities=null", "evaluate.k=[1,5,10,20]"]),
    "huign": (None, []),  # the spec of the dataset
    "lightgcn": ("lightgcn.yaml", []),
}


def fit(data, dataset, model, l2, runs):
    """Fits one model, or takes the run that is there; returns its result and its command."""
    own_spec, split = DATASETS[dataset]
    spec, overrides = MODELS[model]
    spec, overrides = spec or own_spec, [*split, *overrides]
    if l2 is not None:
        overrides.append(f"objective.penalties.l2={l2}")
    name = f"{dataset}-{model.replace(', ', '_')}" + ("" if l2 is None else f"-{l2}")
    run = runs / name
    options = ["--spec", f"examples/{spec}", "--data", f"DATA/{dataset}", *overrides]
    command = shlex.join(["hugraph", "fit", *options])
    if not (run / "result.json").exists():
        call = [sys.executable, "-m", "hugraph", "fit", "--quiet"]
        if (run / "checkpoints" / "state.json").exists():
            call += ["--resume", str(run)]
        else:
            call += ["--spec", str(EXAMPLES / spec), "--data", str(data / dataset)]
            call += ["--run", str(run), *overrides]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return json.loads((run / "result.json").read_text()), command


def rows(data, dataset, runs, only):
    """One table row for each model of a dataset, with the best L2 weight on validation."""
    for model in MODELS:
        if only and only not in f"{dataset}/{model}":
            continue
        grid = (None,) if model == "popularity" else L2
        tried = [(*fit(data, dataset, model, l2, runs), l2) for l2 in grid]
        result, command, l2 = max(tried, key=lambda one: one[0]["validation"]["recall@10"])
        figures = " | ".join(f"{result['test'][metric]:.4f}" for metric in METRICS)
        yield (
            f"| {dataset} | {model} | {l2 or ''} | {figures} | {result['best_epoch']} "
            f"| {result['seconds']:.0f} | `{command}` |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/real"))
    parser.add_argument("--only", help="part of dataset/model")
    arguments = parser.parse_args()
    header = f"| dataset | model | L2 | {' | '.join(METRICS)} | best epoch | s | command |"
    table = [header, "|" + "---|" * (header.count("|") - 1)]
    for dataset in DATASETS:
        for row in rows(arguments.data, dataset, arguments.runs, arguments.only):
            print(row, flush=True)
            table.append(row)
    if not arguments.only:
        out = Path(__file__).parent / "results" / "real_data.md"
        out.write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
