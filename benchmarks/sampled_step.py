"""A step of HUIGN with a sampled hierarchy at ten thousand, a hundred thousand and a million items.

    python benchmarks/sampled_step.py [--items 10000 100000 1000000] [--repeats 9] [--folder DIR]

Graphs, features and triples are random: ten neighbours an item on average, features of
`--columns` in `.npy` files under DIR, which are checked, scaled and propagated from disk as
`data.memory_map` does it. Each size has a process of its own, set up as the command line does it,
with one thread, so that its memory is its own; groups of five steps alternate between the
processes. Beside them are exact steps with dense Adam and features in memory, where sizes are
small. Medians of CPU seconds; memory is that of the process after all steps, and the most that it
reached, as the system counts it. Of few items some are drawn twice, and computed once but for those
of the entropy: the table says how many a step computes. Writes to
`benchmarks/results/sampled_step.md`.
"""

import argparse
import multiprocessing
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_array

from hugraph import __version__, process
from hugraph.data.features import checked_float32, scale_features, scaled_on_disk
from hugraph.data.npy import map_npy
from hugraph.graph.symmetric import symmetric_graph
from hugraph.interfaces import Triples
from hugraph.models.huign import HUIGN
from hugraph.nn import IntraLevelConv
from hugraph.train.optimizer import StageOptimizer

GROUP = 5
BATCH = 1024
NUM_USERS = 100_000
NEIGHBORS = 10
LARGEST_EXACT = 100_000


def write_features(folder, num_items, columns):
    """Random features, written a block of rows at a time."""
    rng = np.random.default_rng(0)
    for name, dim in enumerate(columns):
        with (folder / f"{name}.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (num_items, dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, num_items, 10_000):
                rows = rng.standard_normal((min(10_000, num_items - start), dim), np.float32)
                file.write(rows.data)


def random_graph(num_items):
    rng = np.random.default_rng(1)
    one = np.arange(num_items, dtype=np.int32).repeat(NEIGHBORS // 2)
    other = rng.integers(num_items, size=len(one), dtype=np.int32)
    apart = one != other
    ends = one[apart], other[apart]
    weights = np.ones(len(ends[0]), dtype=np.float32)
    upper = coo_array((weights, ends), shape=(num_items, num_items)).tocsr()
    both = upper + upper.T
    both.data[:] = 1
    return symmetric_graph(both, weighted=False)


def memory():
    """MiB by the names that the system gives them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def serve(pipe, folder, num_items, hierarchy, columns, edges):
    """Prepares a model, then takes a group of steps for each message."""
    process.prepare()
    torch.set_num_threads(1)
    sampled = hierarchy == "sampled"
    began = time.process_time()
    ids = np.arange(num_items)
    features = {}
    for name in map(str, range(len(columns))):
        mapped = map_npy(folder / f"{name}.npy")
        checked_float32(mapped, ids, at=name)
        if sampled:
            features[name] = scaled_on_disk(mapped, "standardize")
        else:
            features[name] = torch.from_numpy(scale_features(np.array(mapped), "standardize"))
    torch.manual_seed(0)
    model = HUIGN(
        NUM_USERS,
        num_items,
        features,
        random_graph(num_items),
        conv=lambda dim: IntraLevelConv(dim, self_loops="add"),
        hierarchy=hierarchy,
        sampled_edges=edges,
        sparse_gradients=sampled,
    )
    features.clear()  # and with them the scaled files, whose pages would push out those in use
    (stage,) = model.stages()
    optimizer = StageOptimizer(stage, {n: 1.0 if n == "bpr" else 1e-4 for n in stage.term_names})
    pipe.send(time.process_time() - began)
    seen = []
    refine = model._refined

    def counting(modalities, items=None):
        seen.append(num_items if items is None else len(items))
        return refine(modalities, items)

    model._refined = counting
    while pipe.recv() is not None:
        batches = [
            Triples(
                torch.randint(NUM_USERS, (BATCH,)),
                *(torch.randint(num_items, (BATCH,)) for _ in range(2)),
            )
            for _ in range(GROUP)
        ]
        began = time.process_time()
        for batch in batches:
            optimizer.step(batch, 1e-3)
        pipe.send((time.process_time() - began) / GROUP)
    tables = 3 * sum(p.nbytes for p in model.parameters()) / 2**20
    pipe.send({**memory(), "tables": tables, "rows": statistics.median(seen)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", type=int, nargs="+", default=[768, 384, 128])
    parser.add_argument("--edges", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    columns = arguments.columns
    cases = [(n, "sampled") for n in arguments.items]
    cases += [(n, "exact") for n in arguments.items if n <= LARGEST_EXACT]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        pipes, workers, prepared = {}, [], {}
        for case in cases:
            home = Path(folder) / str(case[0])
            if not home.exists():
                home.mkdir()
                write_features(home, case[0], columns)
            pipes[case], end = context.Pipe()
            worker = context.Process(
                target=serve, args=(end, home, *case, columns, arguments.edges)
            )
            worker.start()
            workers.append(worker)
            prepared[case] = pipes[case].recv()
            print(f"{case[0]:,} items, {case[1]}: {prepared[case]:.0f} CPU s", flush=True)
        seconds = {case: [] for case in cases}
        for repeat in range(arguments.repeats + 1):
            for case, pipe in pipes.items():
                pipe.send("go")
                spent = pipe.recv()
                if repeat:  # the first group warms up
                    seconds[case].append(spent)
        for pipe in pipes.values():
            pipe.send(None)
        used = {case: pipe.recv() for case, pipe in pipes.items()}
        for worker in workers:
            worker.join()

    baseline = {}
    lines = []
    for case in cases:
        num_items, hierarchy = case
        times = [1e3 * t for t in seconds[case]]
        median = statistics.median(times)
        base = baseline.setdefault(hierarchy, median)
        matrix = 4 * num_items * sum(columns) / 2**20
        mine = used[case]
        lines.append(
            f"| {num_items:,} | {hierarchy} | {median:.1f} ({min(times):.1f}-{max(times):.1f}) "
            f"| {median / base:.2f} | {mine['rows']:,.0f} | {matrix:,.0f} "
            f"| {mine['tables']:,.0f} | {mine['VmRSS']:,.0f} | {mine['VmHWM']:,.0f} "
            f"| {prepared[case]:.0f} |"
        )
    text = "\n".join(
        [
            f"Random data, {NUM_USERS:,} users, {' + '.join(map(str, columns))} columns, "
            f"{NEIGHBORS} neighbours an item, levels 32, 8, 4, batch {BATCH:,}, "
            f"{arguments.edges:,} sampled edges, one thread; medians (ranges) of "
            f"{arguments.repeats} alternating groups of {GROUP} steps. hugraph {__version__}, "
            f"torch {torch.__version__}, {platform.machine()}.",
            "",
            "| items | hierarchy | step, CPU ms | times the smallest | items computed "
            "| features, MiB | tables and moments, MiB | RSS, MiB | peak RSS, MiB "
            "| preparation, CPU s |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *lines,
        ]
    )
    out = Path(__file__).parent / "results" / "sampled_step.md"
    out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
