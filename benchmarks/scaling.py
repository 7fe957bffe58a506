"""What two processes cost and gain, and what 100M users and 10M items would need, by calculation.

    torchrun --nproc-per-node 2 benchmarks/scaling.py

The first process measures steps alone while the other one waits, then both take them together. Then
constants are measured: messages by gloo, a dense step of Adam, a product of matrices. The last
table follows from them and from sizes. One thread each. Writes `benchmarks/results/scaling.md`.
"""

import statistics
import time
from pathlib import Path

import torch
import torch.distributed as dist

import hugraph
from hugraph.data.synthetic import planted
from hugraph.graph import CoInteractionGraphBuilder, user_item_graph
from hugraph.interfaces import Interactions
from hugraph.models.bpr_mf import BPRMF
from hugraph.models.huign import HUIGN
from hugraph.nn import IntraLevelConv, LightPropagation, SampledSoftmaxLoss
from hugraph.train.batches import Batches
from hugraph.train.objective import Objective
from hugraph.train.optimizer import StageOptimizer
from hugraph.train.processes import joined

NUM_USERS, NUM_ITEMS = 20_000, 4_000
BATCHES = (1024, 16384)
USERS, ITEMS, ID_DIM, TASTES, FEATURES = 100_000_000, 10_000_000, 64, 3 * 44, 384
PROCESSES, BATCH = 64, 65_536


def world():
    data = planted(num_users=NUM_USERS, num_items=NUM_ITEMS, interactions_per_user=12, seed=1)
    users, items = torch.from_numpy(data.users).long(), torch.from_numpy(data.items).long()
    return data, Interactions(users, items)


def models(data, train):
    features = {name: torch.from_numpy(array) for name, array in data.features.items()}
    users, items = data.users, data.items
    graph = user_item_graph(users, items, NUM_USERS, NUM_ITEMS)
    item_graph = CoInteractionGraphBuilder(min_common_users=3).build(users, items, NUM_ITEMS)

    def huign(propagation, ranking):
        return HUIGN(
            NUM_USERS,
            NUM_ITEMS,
            features,
            item_graph,
            graph,
            conv=lambda dim: IntraLevelConv(dim, self_loops="add"),
            propagation=propagation,
            **({"ranking": ranking} if ranking else {}),
        )

    return {
        "bpr_mf": lambda: BPRMF(NUM_USERS, NUM_ITEMS),
        "huign": lambda: huign(None, None),
        "huign, propagated, softmax": lambda: huign(LightPropagation, SampledSoftmaxLoss),
    }


def step_times(make, train, batch_size, processes, steps=7):
    """Median wall and CPU milliseconds of a step."""
    torch.manual_seed(0)
    model = make()
    (stage,) = model.stages()
    (weights,) = Objective().weights((stage,))
    optimizer = StageOptimizer(stage, weights, processes=processes)
    batches = Batches(train, NUM_USERS, NUM_ITEMS, batch_size=batch_size, seed=1)
    wall, cpu = [], []
    for batch in batches.epoch(stage.batches, 0, 1)[: steps + 2]:
        if processes is not None:
            dist.barrier()
        before = time.perf_counter(), time.process_time()
        optimizer.step(batch, 1e-3)
        wall.append(1e3 * (time.perf_counter() - before[0]))
        cpu.append(1e3 * (time.process_time() - before[1]))
    return statistics.median(wall[2:]), statistics.median(cpu[2:])


def seconds(action, repeats):
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def constants():
    small, large = torch.zeros(16), torch.zeros(2**24)
    latency = seconds(lambda: dist.all_reduce(small), 100)
    bandwidth = large.nbytes / seconds(lambda: dist.all_reduce(large), 5)
    table = torch.nn.Parameter(torch.zeros(2**18, 64))
    table.grad = torch.ones_like(table)
    adam = table.nbytes / seconds(torch.optim.Adam([table], fused=True).step, 5)
    a, b = torch.rand(1024, 256), torch.rand(256, 4096)
    flops = 2 * 1024 * 256 * 4096 / seconds(lambda: a @ b, 20)
    return latency, bandwidth, adam, flops


def rows_of_steps(rows):
    yield "| model | batch | one process, wall (CPU) ms | two, wall (CPU) ms | wall, two / one |"
    yield "| --- | --- | --- | --- | --- |"
    for name, batch_size, one, two in rows:
        yield (
            f"| {name} | {batch_size:,} | {one[0]:.1f} ({one[1]:.1f}) | "
            f"{two[0]:.1f} ({two[1]:.1f}) | {two[0] / one[0]:.2f} |"
        )


def calculation(latency, bandwidth, adam, flops):
    """Each quantity, for whole tables in every process and for tables shared out."""
    gb = 1e9
    bpr, huign = (USERS + ITEMS) * ID_DIM * 4, (USERS * (ID_DIM + TASTES) + ITEMS * ID_DIM) * 4
    ring = 2 * (PROCESSES - 1) / PROCESSES
    yield f"| of BPR-MF or HUIGN, by calculation | whole | shared out to {PROCESSES} |"
    yield "| --- | --- | --- |"
    for name, size in (("BPR-MF", bpr), ("HUIGN", huign)):
        yield (
            f"| {name}: weights, both moments and a dense gradient, GB in a process "
            f"| {4 * size / gb:,.0f} | {4 * size / PROCESSES / gb:,.2f} |"
        )
        yield (
            f"| {name}: seconds of a dense step of Adam | {size / adam:,.0f} "
            f"| {size / PROCESSES / adam:,.2f} |"
        )
    dense, rows = (ring * size for size in (huign, BATCH * (ID_DIM + TASTES + 2 * ID_DIM) * 4))
    yield (
        f"| HUIGN: GB that a process sends in a step of {BATCH:,} triples "
        f"| {dense / gb:,.0f}; {rows / gb:.2f} with sparse gradients | {rows / gb:.2f} |"
    )
    yield (
        f"| HUIGN: seconds for it at the measured rate | {dense / bandwidth:,.0f}; "
        f"{rows / bandwidth:.2f} with sparse gradients | {rows / bandwidth:.2f} |"
    )
    gamma = ITEMS * 3 * 32 * 4
    yield f"| HUIGN: one assignment of all items in 3 modalities, GB | {gamma / gb:.1f} | |"
    yield f"| HUIGN: fixed features of {FEATURES} columns, GB | {ITEMS * FEATURES * 4 / gb:.1f} | |"
    propagated = (USERS + ITEMS) * (ID_DIM + TASTES) * 4
    yield f"| HUIGN, propagated: one layer of all nodes, GB | {propagated / gb:.0f} | |"
    score = 2 * USERS * ITEMS * (ID_DIM + TASTES)
    days = score / flops / 86_400
    yield f"| exact ranking of everybody, days of a core | {days:,.0f} | {days / PROCESSES:,.0f} |"


def main():
    torch.set_num_threads(1)
    with joined() as processes:
        assert processes is not None, "run it by torchrun"
        data, train = world()
        rows = []
        for name, make in models(data, train).items():
            for batch_size in BATCHES:
                one = step_times(make, train, batch_size, None) if processes.rank == 0 else None
                dist.barrier()
                two = step_times(make, train, batch_size, processes)
                rows.append((name, batch_size, one, two))
        measured = constants()
        if processes.rank:
            return
        latency, bandwidth, adam, flops = measured
        lines = [
            f"{NUM_USERS:,} planted users, {NUM_ITEMS:,} items, two processes of one thread "
            "on one machine, medians of 7 steps. "
            f"hugraph {hugraph.__version__}, torch {torch.__version__}.",
            "",
            *rows_of_steps(rows),
            "",
            f"Measured: a message of gloo takes {1e6 * latency:.0f} µs, a long one is added up at "
            f"{bandwidth / 1e9:.2f} GB/s; a dense step of Adam takes a table at "
            f"{adam / 1e9:.2f} GB/s; products of matrices run at {flops / 1e9:.0f} GFLOP/s.",
            "",
            f"Calculated, not measured: {USERS:,} users, {ITEMS:,} items, float32, IDs of {ID_DIM} "
            f"columns, {TASTES} tastes.",
            "",
            *calculation(*measured),
        ]
        text = "\n".join(lines) + "\n"
        print(text)
        (Path(__file__).parent / "results" / "scaling.md").write_text(text)


if __name__ == "__main__":
    main()
