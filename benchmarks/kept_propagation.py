"""A command on a run whose features stay on disk: with the kept propagation, and without.

    python benchmarks/kept_propagation.py [--items 100000 1000000] [--repeats 3] [--folder DIR]

A dataset of random features, in `.npy` files under DIR, and generated interactions is read with
`data.memory_map`; the graph has at most ten neighbours an item, HUIGN is sampled. A run is begun as
`hugraph fit` begins it. Then, in turn, its experiment is brought back and its model built: once
from what the run keeps, once without it. Both hash and check all data first, which is also measured
alone. One thread, set up as the command line does it. Writes
`benchmarks/results/kept_propagation.md`.
"""

import argparse
import json
import logging
import platform
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl
import torch
from graph_building import interactions
from sampled_step import write_features

from hugraph import __version__, process
from hugraph.assembly import SCHEMA, Experiment, begin, reopen
from hugraph.assembly.experiment import load_data
from hugraph.assembly.propagation import INDEX, MATRIX, keep_propagated
from hugraph.train import RunDir

COLUMNS = (768, 384, 128)
SPEC = """\
version: 1
graph: {component: co_interaction, min_common_users: 1, max_neighbors: 10}
model: {component: huign, hierarchy: sampled, conv: {component: intra_level, self_loops: add}}
objective: {penalties: {assignment_entropy: 1e-4, intent_independence: 1e-4, l2: 1e-3}}
"""


def timed(work):
    """Wall and CPU seconds, and what `work` returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


def begun(spec, path):
    """Begins a run; what keeping the propagation takes."""
    experiment = Experiment.prepare(spec)
    model = experiment.build_model()
    with RunDir.create(path) as run:
        begin(experiment, run)
        spent, _ = timed(lambda: keep_propagated(experiment, model, run))
    return spent


def measure(num_items, repeats, home):
    """A line of the table."""
    data, run_path = home / "data", home / "run"
    data.mkdir()
    write_features(data, num_items, COLUMNS)
    users, items = interactions(num_items // 5, num_items, 2 * num_items)
    columns = {"user": users.astype(str), "item": items.astype(str)}
    pl.DataFrame(columns).write_parquet(data / "interactions.parquet")
    (home / "spec.yaml").write_text(SPEC)
    source = {"source": "directory", "path": str(data), "memory_map": True}
    spec = SCHEMA.resolve(home / "spec.yaml", [f"data={json.dumps(source)}"])

    written = begun(spec, run_path)
    size = sum((run_path / name).stat().st_size for name in (MATRIX, INDEX)) / 1e9
    index, aside = run_path / INDEX, home / INDEX
    times = {"data": [], "kept": [], "again": []}
    for _ in range(repeats):
        spent, _ = timed(lambda: load_data(spec))
        times["data"].append(spent)
        for way in ("kept", "again"):
            if way == "again":
                index.rename(aside)
            spent, _ = timed(lambda: reopen(run_path).build_model())
            times[way].append(spent)
        aside.rename(index)
    shown = {
        way: f"{statistics.median(wall for wall, _ in each):.1f} "
        f"({statistics.median(cpu for _, cpu in each):.1f})"
        for way, each in times.items()
    }
    return (
        f"| {num_items:,} | {4 * num_items * sum(COLUMNS) / 1e9:.1f} | {shown['data']} "
        f"| {shown['again']} | {shown['kept']} | {written[0]:.1f} ({written[1]:.1f}) "
        f"| {size:.1f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    process.prepare()
    torch.set_num_threads(1)
    logging.getLogger("hugraph").setLevel(logging.ERROR)
    lines = [
        f"Random features of {' + '.join(map(str, COLUMNS))} columns on disk; one thread; wall "
        f"(CPU) seconds, medians of {arguments.repeats} in turn. hugraph {__version__}, torch "
        f"{torch.__version__}, {platform.machine()}.",
        "",
        "| items | features, GB | data read and checked | model built again | model from the run "
        "| written to the run | file, GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for num_items in arguments.items:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as home:
            lines.append(measure(num_items, arguments.repeats, Path(home)))
        print(lines[-1], flush=True)
    out = Path(__file__).parent / "results" / "kept_propagation.md"
    out.write_text("\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
