"""The first propagation over fixed features: computed anew, or kept in a file and known by a hash.

    python benchmarks/first_propagation.py [--sizes movielens tiktok kwai million] [--repeats 5]

A file that is used again must be known to belong to the same features and graph: their bytes are
hashed, by the quickest that Python's library has. Generated data as in `paper_size.py`; a million
items have 384 columns and the ten strongest edges of each. One thread; the file is in the system's
cache when it is read. Writes `benchmarks/results/first_propagation.md`.
"""

import argparse
import hashlib
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from graph_building import SIZES, interactions
from paper_size import COLUMNS
from safetensors.torch import load_file, save_file

from hugraph import __version__, process
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.nn import IntraLevelConv, adjacency_on

COLUMNS = {**COLUMNS, "million": (384,)}
HASHES = ("sha256", "sha1", "blake2b")


def make(size):
    """Features, and the adjacency of the items."""
    num_items = SIZES[size][1]
    users, items = interactions(*SIZES[size])
    most = 10 if size == "million" else None
    builder = CoInteractionGraphBuilder(min_common_users=5, max_neighbors=most)
    graph = builder.build(users, items, num_items)
    return torch.randn(num_items, sum(COLUMNS[size])), graph


def measure(size, repeats):
    """A line of the table."""
    features, graph = make(size)
    adjacency = adjacency_on(graph, torch.device("cpu"))
    sources, targets = (ends.numpy() for ends in graph.edges())
    conv = IntraLevelConv(features.shape[1])

    def hashed(name):
        digest = hashlib.new(name)
        for part in (features.numpy(), sources, targets):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "propagated.safetensors"
        save_file({"propagated": conv.propagate(features, adjacency)}, file)
        ways = {
            "computed": lambda: conv.propagate(features, adjacency),
            **{name: lambda name=name: hashed(name) for name in HASHES},
            "read": lambda: load_file(file)["propagated"].sum(),
            "written": lambda: save_file({"propagated": features}, file),
        }
        times = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                began = time.process_time()
                way()
                times[name].append(time.process_time() - began)
        size_mb = file.stat().st_size / 1e6
    middle = {name: statistics.median(each) for name, each in times.items()}
    known = min(middle[name] for name in HASHES)
    return (
        f"| {size} | {graph.num_nodes():,} | {features.shape[1]:,} | {graph.num_edges():,} "
        f"| {middle['computed']:.2f} | {known:.2f} | {middle['read']:.2f} "
        f"| {middle['written']:.2f} | {size_mb:,.0f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    process.prepare()  # as the command line does
    torch.set_num_threads(1)
    lines = [
        "| size of | items | columns | edges | computed, CPU s | hashed, CPU s | read, CPU s "
        "| written, CPU s | file, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in arguments.sizes:
        lines.append(measure(size, arguments.repeats))
        print(lines[-1], flush=True)
    header = (
        f"Generated data, one thread; medians of {arguments.repeats}. hugraph {__version__}, "
        f"torch {torch.__version__}, {platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "first_propagation.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
