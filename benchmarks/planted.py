"""What HUIGN learns on the planted dataset: how well it ranks, and whether it finds the intents.

    python benchmarks/planted.py [--runs runs/planted]

Each model is fitted by `hugraph fit` for three seeds (of split, initialisation and training) and
each L2 weight of the same grid; per seed the weight with the best validation recall@10 counts, on
test. NMI and ARI compare each item's strongest fine intent, per modality, with the planted one. A
run that is there already is not repeated. Writes `benchmarks/results/planted.md`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from hugraph.assembly import runs
from hugraph.models.huign import HUIGN
from hugraph.train import RunDir

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SEEDS = (7, 8, 9)
L2 = ("1e-3", "1e-2", "3e-2", "7e-2", "1e-1")
METRICS = ("recall@10", "recall@20", "ndcg@10")
SAME_DATA = ["data.num_users=1000", "data.interactions_per_user=12"]
SAME_GRAPH = "graph.min_common_users=3"
MODELS = {
    "popularity": ("popularity.yaml", []),
    "bpr_mf": ("bpr_mf.yaml", []),
    "vbpr": ("vbpr.yaml", []),
    "huign, paper": ("huign_paper.yaml", [*SAME_DATA, SAME_GRAPH]),
    "huign": ("huign_3level.yaml", []),
    "huign, propagated": ("huign_propagated.yaml", [SAME_GRAPH]),
    "huign, propagated, bpr": (
        "huign_propagated.yaml",
        [SAME_GRAPH, "model.ranking=bpr", "model.intent_scale=3.0"],
    ),
    "lightgcn": ("lightgcn.yaml", []),
}


def fit(model, seed, l2, directory):
    run = directory / f"{model.replace(', ', '_')}-{seed}-{l2}"
    if not (run / "result.json").exists():
        spec, own = MODELS[model]
        overrides = [f"seed={seed}", "evaluate.k=[10,20]", *own]
        overrides += [] if l2 is None else [f"objective.penalties.l2={l2}"]
        call = [sys.executable, "-m", "hugraph", "fit", "--quiet", "--run", str(run)]
        call += ["--spec", str(EXAMPLES / spec), *overrides]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    return run, json.loads((run / "result.json").read_text())


def agreement(run):
    """NMI and ARI of the fine intents with the planted ones, by modality."""
    experiment = runs.reopen(run)
    model = runs.trained_model(experiment, RunDir(run))
    if not isinstance(model, HUIGN):
        return {}
    planted = experiment.dataset.truth["level_1"]
    found = {}
    with torch.no_grad():
        for name, intents in model.intents().items():
            strongest = intents.assignments[0].argmax(dim=1).numpy()
            nmi = normalized_mutual_info_score(planted, strongest)
            found[name] = (nmi, adjusted_rand_score(planted, strongest))
    return found


def row(model, directory):
    best = []
    for seed in SEEDS:
        grid = (None,) if model == "popularity" else L2
        tried = [(*fit(model, seed, l2, directory), l2) for l2 in grid]
        best.append(max(tried, key=lambda one: one[1]["validation"]["recall@10"]))
    cells = []
    for metric in METRICS:
        values = [result["test"][metric] for _, result, _ in best]
        cells.append(f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}")
    found = [agreement(run) for run, _, _ in best]
    intents = ", ".join(
        f"{name} {statistics.mean(one[name][0] for one in found):.2f} / "
        f"{statistics.mean(one[name][1] for one in found):.2f}"
        for name in found[0]
    )
    weights = ", ".join(str(l2 or "") for _, _, l2 in best).strip(", ")
    seconds = statistics.mean(result["seconds"] for _, result, _ in best)
    return f"| {model} | {' | '.join(cells)} | {intents} | {weights} | {seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/planted"))
    arguments = parser.parse_args()
    header = f"| model | {' | '.join(METRICS)} | NMI / ARI of fine intents | L2 by seed | s |"
    table = [header, "|" + "---|" * (header.count("|") - 1)]
    for model in MODELS:
        table.append(row(model, arguments.runs))
        print(table[-1], flush=True)
    out = Path(__file__).parent / "results" / "planted.md"
    out.write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
