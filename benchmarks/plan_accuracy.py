"""Asks `hugraph plan` what a fit will take, then fits, and writes the ratios as a table.

    python benchmarks/plan_accuracy.py DATA_DIR [--only tiktok/mmgcn] [--epochs 3] [--rounds 3]

DATA_DIR holds `tiktok`, `lastfm2k`, `ml-100k` and `ml-latest-small` as dataset directories. A plan
and a fit are processes of their own, one after the other, with one thread each. An epoch of the fit
is what lies between two lines of its progress: training, validation and saving; the first is left
out. All pairs take their turn in each round, since a machine may be slower for minutes; times and
their ratio are medians over the rounds. Only the first round draws figures; memory and disk are
measured there. Memory is what the system says of the process when it has ended.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from hugraph import __version__

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "plan_accuracy.md"
DATASETS = {
    "lastfm2k": "random",
    "ml-100k": "random",
    "ml-latest-small": "random",
    "tiktok": "given",
}
MODELS = {
    "huign": ("huign_3level.yaml", ("model.modalities=null",)),
    "huign_propagated": ("huign_propagated.yaml", ()),
    "lightgcn": ("lightgcn.yaml", ()),
    "mmgcn": ("mmgcn.yaml", ()),
    "lattice": ("lattice.yaml", ()),
    "bpr_mf": ("bpr_mf.yaml", ()),
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def planned(arguments):
    """The plan, and the seconds that it took."""
    command = [sys.executable, "-m", "hugraph", "plan", *arguments, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout), time.perf_counter() - began


def fitted(arguments):
    """The mean seconds of an epoch, and the most bytes that were held."""
    command = [sys.executable, "-m", "hugraph", "fit", *arguments]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    ends = [time.perf_counter() for line in process.stderr if line.startswith("epoch")]
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return (ends[-1] - ends[0]) / (len(ends) - 1), usage.ru_maxrss * 2**10


def compare(data, dataset, model, epochs, figures):
    """One plan and its fit: epochs in seconds, memory and disk in bytes, planned and real."""
    spec, overrides = MODELS[model]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        run = Path(directory) / "run"
        arguments = [
            *("--spec", str(ROOT / "examples" / spec), "--data", str(data / dataset)),
            *("--run", str(run), "--figures" if figures else "--no-figures"),
            *(*overrides, f"data.split={{scheme: {DATASETS[dataset]}}}", f"train.epochs={epochs}"),
        ]
        plan, took = planned(arguments)
        epoch, memory = fitted(arguments)
        disk = sum(path.lstat().st_size for path in run.rglob("*"))
    (stage,) = plan["stages"]
    return {
        "epoch": (stage["epoch"], epoch),
        "memory": (plan["memory"], memory),
        "disk": (plan["disk"], disk),
        "took": took,
    }


HEADER = (
    "| dataset | model | epoch planned, s | epoch, s | planned / real (range) | memory planned, MB "
    "| memory, MB | planned / real | disk at most, MB | disk, MB | plan took, s |\n"
    "|---|---|" + "---:|" * 9
)


def ratios(rounds):
    return [before / after for before, after in (one["epoch"] for one in rounds)]


def row(pair, rounds):
    epochs = (statistics.median(times) for times in zip(*(o["epoch"] for o in rounds), strict=True))
    low, middle, high = (f(ratios(rounds)) for f in (min, statistics.median, max))
    first = rounds[0]
    memory, disk = ([size / 1e6 for size in first[what]] for what in ("memory", "disk"))
    cells = [
        *pair,
        *(f"{seconds:.3f}" for seconds in epochs),
        f"{middle:.2f} ({low:.2f}-{high:.2f})",
        *(f"{size:.0f}" for size in memory),
        f"{memory[0] / memory[1]:.2f}",
        *(f"{size:.1f}" for size in disk),
        f"{first['took']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def summary(measured):
    """How many ratios lie within a quarter of 1."""
    memory = [before / after for before, after in (r[0]["memory"] for r in measured.values())]
    medians = [statistics.median(ratios(rounds)) for rounds in measured.values()]
    each = [ratio for rounds in measured.values() for ratio in ratios(rounds)]
    return "; ".join(
        f"{what}: {sum(0.75 <= ratio <= 1.25 for ratio in found)} of {len(found)} within 25 % "
        f"(ratios {min(found):.2f} to {max(found):.2f})"
        for what, found in (
            ("epochs, median of rounds", medians),
            ("epochs, each plan", each),
            ("memory", memory),
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", action="append", metavar="DATASET[/MODEL]")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    measured = {
        (dataset, model): []
        for dataset in DATASETS
        for model in MODELS
        if not arguments.only or {dataset, f"{dataset}/{model}"} & {*arguments.only}
    }
    for number in range(arguments.rounds):
        for pair, rounds in measured.items():
            rounds.append(compare(data, *pair, arguments.epochs, figures=number == 0))
            print(number + 1, row(pair, rounds[-1:]), flush=True)
    table = [HEADER, *(row(pair, rounds) for pair, rounds in measured.items())]
    print("\n".join([*table, summary(measured)]))
    if not arguments.only:
        header = (
            f"`hugraph plan`, then `hugraph fit` for {arguments.epochs} epochs, in one thread; an "
            f"epoch is the mean of all but the first, medians of {arguments.rounds} rounds. "
            f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}.\n\n"
        )
        RESULTS.write_text(header + "\n".join(table) + f"\n\n{summary(measured)}.\n")


if __name__ == "__main__":
    main()
