"""Ranking every item for every user: hugraph, implicit, RecBole and a matrix product alone.

    python benchmarks/ranking_speed.py [--implicit PYTHON] [--recbole PYTHON] [--repeats 5]

All sides rank the same random vectors, leave out the same seen items, use one thread, and take
turns. A peer runs in a process of its own, under the interpreter given for it: implicit 0.7.3, and
RecBole 1.2.1 of which the evaluation's own classes for the top-k and the metrics are used, fed with
the product and the mask as its trainer makes them. Peers get the block size that suits them best,
of 64, 256 and 1024 users. That the sides agree is checked before anything is timed. Writes
`benchmarks/results/ranking_speed.md`.
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

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

DIM, K, SEEN = 64, 10, 20
CASES = ((6_000, 8_192), (76_085, 2_048))  # items, users
BLOCKS = (64, 256, 1024)
METRICS = ("recall", "mrr", "ndcg", "hit_rate", "precision")


def make_case(num_items, num_users):
    """Random vectors; of each user some seen items and one to find."""
    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((n, DIM), dtype=np.float32) for n in (num_users, num_items))
    pairs = np.unique(rng.integers(0, num_users * num_items, SEEN * num_users))
    relevant = rng.integers(0, num_items, num_users)
    pairs = pairs[~np.isin(pairs, np.arange(num_users) * num_items + relevant)]
    seen_users, seen_items = np.divmod(pairs, num_items)
    return {
        "users": users,
        "items": items,
        "seen_users": seen_users,
        "seen_items": seen_items,
        "relevant": relevant,
    }


def implicit_pass(case, block):
    """The lists of all users, block after block."""
    from implicit.cpu.topk import topk
    from scipy.sparse import csr_matrix

    users, items = case["users"], case["items"]
    seen = csr_matrix(
        (np.ones(len(case["seen_users"]), np.float32), (case["seen_users"], case["seen_items"])),
        shape=(len(users), len(items)),
    )
    parts = [slice(start, start + block) for start in range(0, len(users), block)]
    masks = [seen[part] for part in parts]

    def run():
        return [
            topk(items, users[part], K, filter_query_items=mask, num_threads=1)[0]
            for part, mask in zip(parts, masks, strict=True)
        ]

    return run, lambda lists: {"lists": np.concatenate(lists).tolist()}


def recbole_pass(case, block):
    """RecBole's collector and evaluator over blocks, their masks made before."""
    import torch
    from recbole.evaluator import Collector, Evaluator

    np.float = float  # which RecBole still asks numpy for
    torch.set_num_threads(1)
    names = {"hit_rate": "Hit", "recall": "Recall", "mrr": "MRR", "ndcg": "NDCG"}
    config = {
        "metrics": [names.get(name, "Precision").lower() for name in METRICS],
        "topk": [K],
        "device": torch.device("cpu"),
        "eval_args": {"mode": "full"},
        "metric_decimal_place": 10,
    }
    users, items = (torch.from_numpy(case[side]) for side in ("users", "items"))
    relevant = torch.from_numpy(case["relevant"])
    batches = []
    for start in range(0, len(users), block):
        part = torch.arange(start, min(start + block, len(users)))
        mine = (case["seen_users"] >= start) & (case["seen_users"] <= int(part[-1]))
        history = (
            torch.from_numpy(case["seen_users"][mine] - start),
            torch.from_numpy(case["seen_items"][mine]),
        )
        batches.append((part, history, torch.arange(len(part)), relevant[part]))

    def run():
        collector, evaluator = Collector(config), Evaluator(config)
        with torch.no_grad():
            for part, history, positive_rows, positive_items in batches:
                scores = users[part] @ items.T
                scores[history] = -np.inf
                collector.eval_batch_collect(scores, None, positive_rows, positive_items)
            return evaluator.evaluate(collector.get_data_struct())

    return run, lambda result: {
        "metrics": {n: float(result[f"{names.get(n, 'Precision').lower()}@{K}"]) for n in METRICS}
    }


def serve(peer, file):
    """Makes a pass for each line: `BLOCK` answers CPU seconds, `BLOCK check` the result."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not garble the answers
    passes = {"implicit": implicit_pass, "recbole": recbole_pass}
    with np.load(file) as loaded:
        case = dict(loaded)
    made = {block: passes[peer](case, block) for block in BLOCKS}
    print("ready", file=answer, flush=True)
    for line in sys.stdin:
        block, *check = line.split()
        run, summary = made[int(block)]
        began = time.process_time()
        result = run()
        seconds = time.process_time() - began
        print(json.dumps(summary(result) if check else seconds), file=answer, flush=True)


class Peer:
    """A peer in a process of its own, for one case."""

    def __init__(self, name, python, file):
        command = [python, __file__, "--serve", name, file]
        # of the interpreter alone: what this process has on its path is not the peer's
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if self._process.stdout.readline().strip() != "ready":
            reason = self._process.stderr.read().strip().splitlines() or ["no reason"]
            raise RuntimeError(reason[-1])
        self.block = min(BLOCKS, key=lambda block: min(self._ask(block) for _ in range(2)))

    def result(self):
        return self._ask(f"{self.block} check")

    def seconds(self):
        return self._ask(self.block)

    def stop(self):
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, question):
        print(question, file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(self._process.stderr.read().strip().splitlines()[-1])
        return json.loads(line)


def measure(num_items, num_users, pythons, repeats):
    """The lines of a table, and what was left out."""
    import torch

    from hugraph.interfaces import DotProduct, Interactions
    from hugraph.train import evaluate, top_k

    torch.set_num_threads(1)
    case = make_case(num_items, num_users)
    scorer = DotProduct(torch.from_numpy(case["users"]), torch.from_numpy(case["items"]))
    everybody = torch.arange(num_users)
    seen, relevant = (
        Interactions(torch.as_tensor(users), torch.from_numpy(case[items]))
        for users, items in ((case["seen_users"], "seen_items"), (everybody, "relevant"))
    )
    popularity = torch.bincount(seen.items, minlength=num_items)
    tile = torch.empty(1024, 512)

    def product():
        for users in scorer.users.split(1024):
            for items in scorer.items.split(512):
                torch.mm(users, items.T, out=tile[: len(users), : len(items)])

    def full():
        return evaluate(scorer, relevant, seen, popularity, metrics=METRICS, k=[K])

    sides = {
        "hugraph, lists": lambda: top_k(scorer, everybody, seen, K, num_items),
        "hugraph, lists and metrics": full,
        "hugraph, any scorer, lists": lambda: top_k(scorer.__call__, everybody, seen, K, num_items),
        "the product alone": product,
    }

    def own_seconds(run):
        began = time.process_time()
        run()
        return time.process_time() - began

    lists = sides["hugraph, lists"]().items
    require_a_full_sort(scorer, seen, lists)
    metrics = {name.removesuffix(f"@{K}"): v for name, v in full().metrics.items()}
    left_out, peers = [], {}
    with tempfile.TemporaryDirectory() as directory:
        file = f"{directory}/case.npz"
        np.savez(file, **case)
        for name, label in (("implicit", "implicit, lists"), ("recbole", "RecBole, with metrics")):
            try:
                peers[label] = Peer(name, pythons[name], file)
            except (RuntimeError, OSError) as error:
                left_out.append(f"{label}: {error}")
                continue
            result = peers[label].result()
            if "lists" in result:
                assert (torch.tensor(result["lists"]) == lists).float().mean() > 0.999
            else:
                assert all(abs(metrics[n] - v) < 1e-3 for n, v in result["metrics"].items())
        rates = {side: [] for side in (*sides, *peers)}
        for repeat in range(repeats + 1):
            for side, values in rates.items():
                run = sides.get(side)
                seconds = peers[side].seconds() if run is None else own_seconds(run)
                if repeat:  # the first round warms up
                    values.append(num_users / seconds)
        for peer in peers.values():
            peer.stop()
    ours = rates["hugraph, lists and metrics"]
    lines = []
    for side, values in rates.items():
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        block = f", blocks of {peers[side].block}" if side in peers else ""
        lines.append(
            f"| {num_items:,} | {side}{block} | {statistics.median(values):,.0f} "
            f"({min(values):,.0f}-{max(values):,.0f}) | {statistics.median(ratios):.2f}x "
            f"({min(ratios):.2f}-{max(ratios):.2f}) |"
        )
    return lines, left_out


def require_a_full_sort(scorer, seen, lists):
    """Asserts that sorting all scores gives these lists, but for scores that round otherwise."""
    for start in range(0, len(lists), 256):
        import torch

        rows = torch.arange(start, min(start + 256, len(lists)))
        scores = scorer(rows)
        mine = (seen.users >= start) & (seen.users <= rows[-1])
        scores[seen.users[mine] - start, seen.items[mine]] = float("-inf")
        values, order = scores.sort(dim=1, descending=True, stable=True)
        differ = order[:, :K] != lists[rows]
        found = scores.gather(1, lists[rows])
        assert (values[:, :K] - found)[differ].abs().max().item() < 1e-4 if differ.any() else True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--implicit", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--recbole", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", nargs=2, metavar=("PEER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    import torch

    from hugraph import __version__

    pythons = {"implicit": arguments.implicit, "recbole": arguments.recbole}
    lines = [
        "| items | what | users per CPU second (range) | hugraph with metrics, against it |",
        "|---|---|---|---|",
    ]
    notes = []
    for num_items, num_users in CASES:
        measured, left_out = measure(num_items, num_users, pythons, arguments.repeats)
        lines += measured
        notes += [f"{num_items:,} items, left out: {reason}" for reason in left_out]
    header = (
        f"Random vectors of {DIM} numbers, top {K}, {SEEN} seen items a user left out, one thread; "
        f"medians of {arguments.repeats} rounds in turn. Metrics: {', '.join(METRICS)}. "
        f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}."
    )
    text = "\n".join([header, "", *lines, *(["", *notes] if notes else [])]) + "\n"
    out = Path(__file__).parent / "results" / "ranking_speed.md"
    out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
