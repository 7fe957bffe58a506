"""Asks `hugraph plan` what a fit will take, then fits, and writes the ratios as a table.

    python benchmarks/plan_accuracy.py DATA_DIR [--only tiktok/mmgcn] [--epochs 6]

DATA_DIR holds `tiktok`, `lastfm2k`, `ml-100k` and `ml-latest-small` as dataset directories. Two
plans, one by the clock on the wall and one by processor time, and a fit are processes of their own,
one after the other, with one thread each. An epoch of the fit is what lies between two lines of its
progress: training, validation and saving; the first is left out. Its memory is what the system says
of the process when it has ended. Beside other work, processor time means more.
"""

import argparse
import json
import os
import platform
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
WITH_PROCESSOR_TIME = """
import time
from hugraph.assembly import plan
from hugraph.cli.main import main
plan._clock = time.process_time
main()
"""


def planned(program, arguments):
    """The plan, and the seconds that it took."""
    command = [sys.executable, *program, "plan", *arguments, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout), time.perf_counter() - began


def fitted(arguments, run):
    """The mean seconds of an epoch, wall-clock and processor, and the most bytes that were held."""
    command = [sys.executable, "-m", "hugraph", "fit", *arguments, "--run", str(run)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    ends = []
    for line in process.stderr:
        if line.startswith("epoch"):
            ends.append((time.perf_counter(), processor_time(process.pid)))
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    wall, cpu = (
        (after - before) / (len(ends) - 1)
        for before, after in zip(*ends[:: len(ends) - 1], strict=True)
    )
    return wall, cpu, usage.ru_maxrss * 2**10


def processor_time(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(data, dataset, model, epochs):
    spec, overrides = MODELS[model]
    arguments = [
        *("--spec", str(ROOT / "examples" / spec), "--data", str(data / dataset)),
        *(*overrides, f"data.split={{scheme: {DATASETS[dataset]}}}", f"train.epochs={epochs}"),
    ]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        run = Path(directory) / "run"
        plan, took = planned(["-m", "hugraph"], [*arguments, "--run", str(run)])
        cpu_plan, _ = planned(["-c", WITH_PROCESSOR_TIME], [*arguments, "--run", str(run)])
        wall, cpu, memory = fitted(arguments, run)
        disk = sum(path.lstat().st_size for path in run.rglob("*"))
    (stage,), (cpu_stage,) = plan["stages"], cpu_plan["stages"]
    return {
        "dataset": dataset,
        "model": model,
        "epoch, wall-clock": (stage["epoch"], wall),
        "epoch, processor": (cpu_stage["epoch"], cpu),
        "memory": (plan["memory"], memory),
        "disk": (plan["disk"], disk),
        "took": took,
    }


def table(rows):
    lines = [
        "| dataset | model | epoch planned, s | epoch, s | planned / real | epoch planned, CPU s "
        "| epoch, CPU s | planned / real | memory planned, MB | memory, MB | planned / real "
        "| disk at most, MB | disk, MB | plan took, s |",
        "|---|---|" + "---:|" * 12,
    ]
    for row in rows:
        planned_wall, wall = row["epoch, wall-clock"]
        planned_cpu, cpu = row["epoch, processor"]
        planned_memory, memory = row["memory"]
        disk = " | ".join(f"{size / 1e6:.1f}" for size in row["disk"])
        lines.append(
            f"| {row['dataset']} | {row['model']} | {planned_wall:.3f} | {wall:.3f} "
            f"| {planned_wall / wall:.2f} | {planned_cpu:.3f} | {cpu:.3f} "
            f"| {planned_cpu / cpu:.2f} | {planned_memory / 1e6:.0f} | {memory / 1e6:.0f} "
            f"| {planned_memory / memory:.2f} | {disk} | {row['took']:.0f} |"
        )
    return lines


def summary(rows):
    """How many ratios lie within a quarter of 1."""
    said = []
    for name in ("epoch, wall-clock", "epoch, processor", "memory"):
        ratios = [before / after for before, after in (row[name] for row in rows)]
        within = sum(0.75 <= ratio <= 1.25 for ratio in ratios)
        said.append(
            f"{name}: {within} of {len(ratios)} plans within 25 % of what happened "
            f"(ratios {min(ratios):.2f} to {max(ratios):.2f})"
        )
    return "; ".join(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", action="append", metavar="DATASET[/MODEL]")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    rows = []
    for dataset in DATASETS:
        for model in MODELS:
            if not arguments.only or {dataset, f"{dataset}/{model}"} & {*arguments.only}:
                rows.append(compare(data, dataset, model, arguments.epochs))
                print(table(rows[-1:])[-1], flush=True)
    print(summary(rows))
    if not arguments.only:
        header = (
            f"`hugraph plan`, then `hugraph fit` for {arguments.epochs} epochs, in one thread; "
            f"an epoch is the mean of all but the first. "
            f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}.\n\n"
        )
        RESULTS.write_text(header + "\n".join(table(rows)) + f"\n\n{summary(rows)}.\n")


if __name__ == "__main__":
    main()
