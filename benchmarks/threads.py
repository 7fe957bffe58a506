"""Training steps in one thread and in two.

    python benchmarks/threads.py [--repeats 5]

Generated interactions of a small shop, of the public part of TikTok and of the sizes of the paper's
Movielens and TikTok. For each model there are three processes: one thread; two that sleep as soon
as they wait; two that spin for some 25 microseconds first, as `hugraph.process.prepare` asks. They
take turns, a group of steps each, after one that does not count. Writes
`benchmarks/results/threads.md`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from graph_building import SIZES, interactions
from paper_size import BATCH, COLUMNS

from hugraph import __version__, process
from hugraph.graph import CoInteractionGraphBuilder, user_item_graph
from hugraph.interfaces import Interactions
from hugraph.models.huign import HUIGN
from hugraph.models.lightgcn import LightGCN
from hugraph.models.mmgcn import MMGCN
from hugraph.train import TrainConfig, fit

SIZES = {**SIZES, "small": (2_000, 400, 30_000), "public tiktok": (9_308, 6_710, 59_541)}
COLUMNS = {**COLUMNS, "small": (64, 64, 64), "public tiktok": (128, 128)}
CASES = (
    ("huign", "small"),
    ("lightgcn", "public tiktok"),
    ("huign", "public tiktok"),
    ("mmgcn", "public tiktok"),
    ("huign", "movielens"),
    ("huign", "tiktok"),
)
WAYS = {"one": (1, "0"), "two, asleep at once": (2, "0"), "two, spinning for 25 µs": (2, "1000")}
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}  # as the command line sets it
STEPS = 20  # of a group
CLOCKS = time.perf_counter, time.process_time


def build(model, size):
    """A model with generated data, and its interactions."""
    num_users, num_items, _ = SIZES[size]
    users, items = interactions(*SIZES[size])
    torch.manual_seed(0)
    train = Interactions(torch.from_numpy(users), torch.from_numpy(items))
    features = {
        f"modality_{number}": torch.randn(num_items, dim) / dim**0.5
        for number, dim in enumerate(COLUMNS[size])
    }
    if model == "huign":
        graph = CoInteractionGraphBuilder(min_common_users=5).build(users, items, num_items)
        return HUIGN(num_users, num_items, features, graph), train
    graph = user_item_graph(users, items, num_users, num_items)
    if model == "mmgcn":
        return MMGCN(num_users, num_items, features, graph), train
    return LightGCN(num_users, num_items, graph), train


def train_steps(model, train, count, seed):
    """Wall and CPU seconds of a step, as means of `count`."""
    some = np.random.default_rng(0).permutation(len(train.users))[: count * BATCH]
    batches = Interactions(*(column[some] for column in train))
    config = TrainConfig(epochs=1, batch_size=BATCH)
    began = [now() for now in CLOCKS]
    fit(model, batches, lambda scorer: {"recall@10": 0.0}, seed=seed, config=config)
    return tuple((now() - then) / count for now, then in zip(CLOCKS, began, strict=True))


def work(model, size):
    """Answers each line of the input with the seconds of a step."""
    process.prepare()
    built, train = build(model, size)
    for number, _ in enumerate(sys.stdin):
        print(json.dumps(train_steps(built, train, STEPS, number)), flush=True)


def in_turn(ways, repeats):
    """What each `(command, environment)` answers to each line but the first, one at a time."""
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        for command, environment in ways
    ]
    answers = [[] for _ in workers]
    for _ in range(repeats + 1):
        for worker, mine in zip(workers, answers, strict=True):
            worker.stdin.write("\n")
            worker.stdin.flush()
            mine.append(json.loads(worker.stdout.readline()))
    for worker in workers:
        worker.communicate()
    return [mine[1:] for mine in answers]


def measure(model, size, repeats):
    """A line of the table."""
    command = [sys.executable, __file__, "--worker", model, size]
    ways = [
        (
            command,
            {**os.environ, **PASSIVE, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": spin},
        )
        for threads, spin in WAYS.values()
    ]
    cells = []
    for mine in in_turn(ways, repeats):
        wall, cpu = (1000 * statistics.median(each) for each in zip(*mine, strict=True))
        cells.append(f"{wall:,.1f} ({cpu:,.1f})")
    return f"| {model} | {size} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    lines = [f"| model | size | {' | '.join(WAYS)} |", f"|---|---{'|---' * len(WAYS)}|"]
    for model, size in CASES:
        lines.append(measure(model, size, arguments.repeats))
        print(lines[-1], flush=True)
    header = (
        f"Wall (CPU) milliseconds of a step, batch {BATCH:,}, {os.cpu_count()} cores; medians of "
        f"{arguments.repeats} groups of {STEPS}, in turn. hugraph {__version__}, "
        f"torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "threads.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
