"""The co-interaction graph of generated interactions, built in several ways.

    python benchmarks/graph_building.py [--sizes movielens tiktok kwai million] [--repeats 3]
    pip install sparse-dot-topn duckdb  # peers; without them their rows say so

First the counting alone: every pair of items that five users have in common. Each way runs in
processes of its own, one after the other in turns, and must find as many pairs as the others; peak
memory is that of the process at its end, and of it before it began. Then the whole path from ids to
`SymmetricAdjacency`, by hugraph and by the straightforward way with scipy. Times are medians, in
CPU seconds. Writes `benchmarks/results/graph_building.md`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy

from hugraph import __version__

SIZES = {  # users, items, interactions: the paper's three datasets, and a large one
    "movielens": (55_485, 5_986, 1_240_000),
    "tiktok": (36_656, 76_085, 726_000),
    "kwai": (7_010, 86_483, 298_000),
    "million": (1_000_000, 1_000_000, 20_000_000),
}
THRESHOLD = 5
WAYS = {
    "hugraph, 1 thread": None,
    "hugraph, 2 threads": None,
    "scipy in blocks": None,
    "scipy, float32": None,
    "sparse_dot_topn, 1 thread": "sparse_dot_topn",
    "sparse_dot_topn, 2 threads": "sparse_dot_topn",
    "DuckDB self-join, 1 thread": "duckdb",
    "hugraph, whole path": None,
    "scipy, whole path": None,
}
WHOLE = ("scipy, whole path", "hugraph, whole path")
TOO_MUCH = {  # of the largest size, with the reason
    "scipy, float32": "left out: the product may have 1.1 billion entries",
    "scipy, whole path": "left out, as above",
}
LIMIT_S = 120


def interactions(num_users, num_items, size, seed=0):
    """Distinct pairs in random order: items by Zipf's law (0.8), users lognormally active."""
    rng = np.random.default_rng(seed)
    popularity = np.cumsum(np.arange(1, num_items + 1) ** -0.8)
    activity = rng.lognormal(size=num_users)
    names = rng.permutation(num_items)
    keys = np.empty(0, np.int64)
    while len(keys) < size:
        draws = int(1.1 * (size - len(keys))) + 1000
        users = rng.choice(num_users, size=draws, p=activity / activity.sum())
        ranks = np.searchsorted(popularity, rng.random(draws) * popularity[-1])
        keys = np.unique(np.concatenate([keys, users * num_items + names[ranks]]))
    keys = rng.permutation(keys)[:size]
    return keys // num_items, keys % num_items


def by_hugraph(users, items, num_items):
    from hugraph.graph.pairs import count_pairs, item_owners

    owners = item_owners(users, items, num_items)
    return sum(len(block.first) for block in count_pairs(owners, at_least=THRESHOLD))


def incidence(users, items, num_items, dtype):
    ones = np.ones(len(users), dtype)
    return scipy.sparse.csr_array((ones, (users, items)), shape=(users.max() + 1, num_items))


def by_blocks_of_scipy(users, items, num_items):
    """What hugraph did before: blocks of rows from the diagonal on, rare items left out."""
    history = incidence(users, items, num_items, np.int32)
    enough = np.bincount(items, minlength=num_items) >= THRESHOLD
    history = history[:, np.flatnonzero(enough)]
    owners = history.T.tocsr()
    ends = np.concatenate([[0], np.cumsum(owners @ np.diff(history.indptr))])
    begin = found = 0
    while begin < owners.shape[0]:
        end = int(np.searchsorted(ends, ends[begin] + 4 * history.nnz, side="right")) - 1
        end = max(end, begin + 1)
        block = (owners[begin:end] @ history[:, begin:]).tocoo()
        found += int(((block.data >= THRESHOLD) & (block.col > block.row)).sum())
        begin = end
    return found


def by_scipy(users, items, num_items):
    history = incidence(users, items, num_items, np.float32)
    product = (history.T.tocsr() @ history).tocoo()
    return int(((product.data >= THRESHOLD) & (product.col > product.row)).sum())


def by_sparse_dot_topn(users, items, num_items, threads):
    from sparse_dot_topn import sp_matmul_topn

    history = scipy.sparse.csr_matrix(incidence(users, items, num_items, np.int32))
    neighbors = min(num_items, 20_000)  # its cost grows with this cap, which some items may exceed
    product = sp_matmul_topn(
        scipy.sparse.csr_matrix(history.T),
        history,
        top_n=neighbors,
        threshold=THRESHOLD - 1,
        density=min(1.0, 2e7 / (num_items * neighbors)),  # of what it reserves
        n_threads=threads,
    ).tocoo()
    return int((product.col > product.row).sum())


def by_duckdb(users, items, num_items):
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        limits = {"threads": 1, "memory_limit": "2GB", "temp_directory": folder}
        with duckdb.connect(config=limits) as base:
            pairs = {"user": users, "item": items}  # noqa: F841  read by the query
            base.execute("create table pairs as select * from pairs")
            base.execute(
                "create table often as select * from pairs where item in"
                f" (select item from pairs group by item having count(*) >= {THRESHOLD})"
            )
            (found,) = base.execute(
                "select count(*) from (select a.item, b.item from often a join often b"
                " on a.user = b.user and a.item < b.item group by a.item, b.item"
                f" having count(*) >= {THRESHOLD})"
            ).fetchone()
            return found


def whole_path_of_hugraph(users, items, num_items):
    from hugraph.graph import CoInteractionGraphBuilder
    from hugraph.nn import SymmetricAdjacency

    graph = CoInteractionGraphBuilder(min_common_users=THRESHOLD).build(users, items, num_items)
    return SymmetricAdjacency(graph).matrix.num_edges() // 2


def whole_path_of_scipy(users, items, num_items):
    import torch

    from hugraph.dgl_backend import dgl

    _, rows = np.unique(users, return_inverse=True)
    history = incidence(rows, items, num_items, np.float32)
    product = history.T.tocsr() @ history
    product.setdiag(0)
    product.data = (product.data >= THRESHOLD).astype(np.float32)
    product.eliminate_zeros()
    rows, columns = (torch.from_numpy(ends) for ends in product.nonzero())
    graph = dgl.graph((columns, rows), num_nodes=num_items)
    there = torch.sort(rows.long() * num_items + columns.long()).values
    back = torch.sort(columns.long() * num_items + rows.long()).values
    assert torch.equal(there, back)
    return graph.num_edges() // 2


def run(way, path):
    """In a process of its own: one measurement, as a line of JSON."""
    import torch

    torch.set_num_threads(2 if way == "hugraph, 2 threads" else 1)
    threads = 2 if way.endswith("2 threads") else 1
    count = {
        "scipy in blocks": by_blocks_of_scipy,
        "scipy, float32": by_scipy,
        "DuckDB self-join, 1 thread": by_duckdb,
        "hugraph, whole path": whole_path_of_hugraph,
        "scipy, whole path": whole_path_of_scipy,
    }.get(way)
    if way.startswith("sparse_dot_topn"):
        count = lambda *pairs: by_sparse_dot_topn(*pairs, threads)
    count = count or by_hugraph
    with np.load(path) as arrays:
        users, items, num_items = arrays["users"], arrays["items"], int(arrays["num_items"])
    count(np.repeat(np.arange(9), 2), np.tile(np.arange(2), 9), 2)  # loads what it needs
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found = count(users, items, num_items)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps([found, cpu, wall, before.ru_maxrss / 1024, after.ru_maxrss / 1024]))


def measure(way, path):
    command = [sys.executable, __file__, "--way", way, "--path", path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done in {LIMIT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["killed"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(size, repeats, folder):
    path = str(Path(folder) / f"{size}.npz")
    users, items = interactions(*SIZES[size])
    np.savez(path, users=users, items=items, num_items=SIZES[size][1])
    ways = {
        way: f"not installed: {peer}"
        for way, peer in WAYS.items()
        if peer is not None and find_spec(peer) is None
    }
    if size == "million":
        ways |= TOO_MUCH
        repeats = 1
    results = {way: [] for way in WAYS if way not in ways}
    for _ in range(repeats):
        for way, found in results.items():
            if not found or not (isinstance(found[-1], str) or found[-1][2] > 60):  # once is enough
                found.append(measure(way, path))
    done = {way: found for way, found in results.items() if not isinstance(found[-1], str)}
    ways |= {way: found[-1] for way, found in results.items() if way not in done}
    pairs = statistics.mode(run[0] for found in done.values() for run in found)
    for way in [way for way, found in done.items() if {run[0] for run in found} != {pairs}]:
        ways[way] = f"wrong: found {done.pop(way)[0][0]:,} pairs"
    lines = []
    for way in WAYS:
        if way in ways:
            lines.append(f"| {size} | {way} | {ways[way]} | | | |")
            continue
        reference = "scipy, whole path" if way in WHOLE else "scipy, float32"
        cpu = [run[1] for run in done[way]]
        _, _, wall, before, peak = (statistics.median(column) for column in zip(*done[way]))  # noqa: B905
        ratio = ""
        if reference in done:
            times = statistics.median(run[1] for run in done[reference])
            ratio = f"{statistics.median(cpu) / times:.2f}"
        spread = f"{statistics.median(cpu):.2f} ({min(cpu):.2f}-{max(cpu):.2f})"
        lines.append(
            f"| {size} | {way} | {spread} | {wall:.2f} | {before:,.0f} → {peak:,.0f} | {ratio} |"
        )
    return lines, pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        return run(arguments.way, arguments.path)
    lines = [
        "| size | way | CPU s (range) | wall s | RSS before → peak, MB | CPU, of scipy's |",
        "|---|---|---|---|---|---|",
    ]
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            rows, found = rows_of(size, arguments.repeats, folder)
            users, items, number = SIZES[size]
            counts.append(
                f"{size}: {users:,} users, {items:,} items, {number:,} interactions,"
                f" {found:,} pairs at threshold {THRESHOLD}."
            )
            lines += rows
            print("\n".join(rows), flush=True)
    header = (
        "\n".join(f"- {line}" for line in counts)
        + f"\n\nGenerated data, medians of {arguments.repeats} runs in turns (million: one run). "
        f"hugraph {__version__}, numba {version('numba')}, scipy {scipy.__version__}, "
        f"{platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "graph_building.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(header)


if __name__ == "__main__":
    main()
