"""HUIGN in the paper's form at the paper's sizes: an epoch, its memory, and how far both can fall.

    python benchmarks/paper_size.py [--sizes movielens tiktok kwai]

Interactions and features are generated, of as many users, items, interactions and columns as the
paper states: how dense its item graphs are is not known. Each size is trained for one epoch of
`hugraph.train.fit` in a process of its own with one thread. Beside the CPU seconds stands what the
arithmetic of a step takes at 60 GFLOP/s and 15 GB/s, about what a core of the machine of our first
measurements did, without any overlap: the products with the assignments forward and backward, the
features read twice, ten temporaries of the size of the assignments, and 28 bytes for each parameter
by Adam. Writes `benchmarks/results/paper_size.md`.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from graph_building import SIZES, interactions

from hugraph import __version__, process
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.interfaces import Interactions
from hugraph.models.huign import HUIGN
from hugraph.train import TrainConfig, fit

COLUMNS = {"movielens": (2048, 128, 100), "tiktok": (128, 128, 128), "kwai": (2048,)}
BATCH = 1024
FLOPS, BYTES = 60e9, 15e9  # a second


def bound(num_items, columns, num_edges, num_parameters, num_intents=32):
    """Seconds of arithmetic and of memory traffic that one step cannot do without."""
    width = num_intents * len(columns)
    flops = 4 * num_items * sum(columns) * num_intents + 2 * num_edges * width
    moved = 8 * num_items * sum(columns) + 10 * 4 * num_items * width + 28 * num_parameters
    return flops / FLOPS, moved / BYTES


def train(name):
    """One epoch; what it took."""
    process.prepare()  # as the command line does
    torch.set_num_threads(1)
    num_users, num_items, _ = SIZES[name]
    users, items = interactions(*SIZES[name])
    kept = np.random.default_rng(1).random(len(users)) < 0.8
    users, items = users[kept], items[kept]
    generator = torch.Generator().manual_seed(0)
    features = {
        f"modality_{number}": torch.randn(num_items, dim, generator=generator) / dim**0.5
        for number, dim in enumerate(COLUMNS[name])
    }
    graph = CoInteractionGraphBuilder(min_common_users=5).build(users, items, num_items)
    torch.manual_seed(0)
    model = HUIGN(num_users, num_items, features, graph)
    train = Interactions(torch.from_numpy(users), torch.from_numpy(items))
    config = TrainConfig(epochs=1, batch_size=BATCH)
    began = time.process_time()
    fit(model, train, lambda scorer: {"recall@10": 0.0}, seed=0, config=config)
    seconds = time.process_time() - began
    num_parameters = sum(p.numel() for p in model.parameters())
    return {
        "edges": graph.num_edges(),
        "parameters": num_parameters,
        "steps": -(-len(users) // BATCH),
        "seconds": seconds,
        "bound": bound(num_items, COLUMNS[name], graph.num_edges(), num_parameters),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def row(name):
    output = subprocess.run(
        [sys.executable, __file__, "--train", name], check=True, capture_output=True, text=True
    ).stdout
    took = json.loads(output)
    num_users, num_items, _ = SIZES[name]
    step = took["seconds"] / took["steps"]
    arithmetic, traffic = took["bound"]
    return (
        f"| {name} | {num_users:,} | {num_items:,} | {'+'.join(map(str, COLUMNS[name]))} "
        f"| {took['edges']:,} | {took['parameters'] / 1e6:.1f} M | {took['steps']:,} "
        f"| {took['seconds']:.0f} | {1e3 * step:.0f} "
        f"| {1e3 * arithmetic:.0f} + {1e3 * traffic:.0f} "
        f"| {step / (arithmetic + traffic):.2f}x | {took['peak_mb']:,.0f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--train", choices=COLUMNS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(json.dumps(train(arguments.train)))
        return
    lines = [
        "| size of | users | items | columns | edges | parameters | steps | epoch, CPU s "
        "| step, CPU ms | bound, ms | step / bound | peak RSS, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in arguments.sizes:
        lines.append(row(name))
        print(lines[-1], flush=True)
    header = (
        f"One epoch at the paper's sizes, generated data, levels 32, 8, 4, batch {BATCH:,}, one "
        f"thread, co-interaction threshold 5. hugraph {__version__}, torch {torch.__version__}, "
        f"{platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "paper_size.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
