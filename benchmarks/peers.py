"""One epoch of training: hugraph beside other libraries, on the same interactions.

    python benchmarks/peers.py DIR [--peers PYTHON] [--repeats 5] [--only LightGCN] [KEY=VALUE ...]

DIR is a dataset directory; KEY=VALUE overrides the specs of `examples/`, for example
`data.split.scheme=given`. PYTHON is the interpreter of an environment that has the other libraries,
which do not go together with hugraph's dependencies:

    pip install recbole==1.2.1 cornac==3.0.1 implicit==0.7.3 torch_geometric==2.8.1 dgl==1.1.3

beside the same torch as hugraph's. Where one is missing, its rows say so and the rest runs.

Each side of a row is a process of its own, with one thread, that trains epoch after epoch on
request; the two take turns, and report their own CPU seconds for training alone. The first epoch of
each is not counted. Figures are medians of CPU seconds. All get the same interactions; batch size
is 2,048, and vectors have 64 entries, unless the table says otherwise. Peers' options that cost
nothing, such as the weight of a penalty, are their defaults.

RecBole 1.2.1 predates current NumPy, SciPy and torch. `_mend_for_recbole` gives back the names that
it misses, from outside; none is part of an epoch. MMRec is not on a package index: its rows are
reconstructions, in `mmrec_formulation.py`. Cornac's and implicit's BPR are compiled C++ that steps
after every triple, without batches and without Adam: a different optimiser. They and Cornac's
LightGCN have no epoch that can be called, so that the time of a fit without epochs is taken off
that of a fit with some.

Writes `benchmarks/results/peers.md`.
"""

import argparse
import atexit
import importlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
BATCH_SIZE = 2048


class Row(NamedTuple):
    """What to put beside what: one of `WORKERS` with its options, and a spec of `examples/`."""

    model: str
    peer: str
    worker: str
    options: dict[str, Any]
    spec: str
    overrides: tuple[str, ...] = ()
    note: str = ""


MMGCN_3 = ("model.num_layers=3",)
ROWS = [
    Row("BPR-MF", "RecBole", "recbole", {"model": "BPR"}, "bpr_mf"),
    Row("BPR-MF", "Cornac", "cornac_bpr", {}, "bpr_mf", note="C++, SGD after every triple"),
    Row("BPR-MF", "implicit", "implicit_bpr", {}, "bpr_mf", note="C++, SGD after every triple"),
    Row("LightGCN", "RecBole", "recbole", {"model": "LightGCN", "n_layers": 3}, "lightgcn"),
    Row("LightGCN", "Cornac", "cornac_lightgcn", {}, "lightgcn"),
    Row("LightGCN", "as MMRec", "mmrec", {"model": "LightGCN"}, "lightgcn"),
    Row("NGCF", "RecBole", "recbole", {"model": "NGCF"}, "ngcf"),
    Row(
        "VBPR",
        "as MMRec",
        "mmrec",
        {"model": "VBPR"},
        "vbpr",
        ("model.id_dim=64", "model.content_dim=64"),
    ),
    Row("FREEDOM", "as MMRec", "mmrec", {"model": "FREEDOM"}, "freedom"),
    Row("BM3", "as MMRec", "mmrec", {"model": "BM3"}, "bm3"),
    Row("GRCN", "as MMRec", "mmrec", {"model": "GRCN"}, "grcn"),
    Row(
        "MMGCN",
        "as MMRec",
        "mmrec",
        {"model": "MMGCN", "first_dim": 256},
        "mmgcn",
        MMGCN_3,
        note="as it is: first modality widened to 256, which hugraph leaves out",
    ),
    Row(
        "MMGCN",
        "as MMRec",
        "mmrec",
        {"model": "MMGCN"},
        "mmgcn",
        MMGCN_3,
        note="the same without widening: equal work on both sides",
    ),
]


# The workers: each prepares, and gives back a function that trains one epoch and returns the number
# of triples and, where the process's clock would count too much, the CPU seconds.


class Data(NamedTuple):
    users: Any  # (num_interactions,) int64 tensor
    items: Any
    num_users: int
    num_items: int
    features: list[Any]  # (num_items, dim) float32 tensors


def _read(path: str) -> Data:
    import numpy as np
    import torch

    arrays = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    features = [arrays[name] for name in sorted(arrays) if name.startswith("features_")]
    num_users, num_items = arrays["sizes"].tolist()
    return Data(arrays["users"], arrays["items"], num_users, num_items, features)


def _hugraph(data: Data, spec: str, overrides: list[str]) -> Callable:
    from hugraph import process
    from hugraph.assembly import SCHEMA, Experiment
    from hugraph.train import fit

    process.prepare()  # as the command line does
    resolved = SCHEMA.resolve(HERE.parent / "examples" / f"{spec}.yaml", overrides)
    experiment = Experiment.prepare(resolved)
    model = experiment.build_model()
    metric = resolved.train.early_stopping.metric

    def epoch(number):
        fit(
            model,
            experiment.train,
            lambda scorer: {metric: 0.0},
            seed=number,
            config=resolved.train,
            objective=resolved.objective(),
        )
        return len(experiment.train.users), None

    return epoch


def _mmrec(data: Data, model: str, **options: Any) -> Callable:
    if model in ("MMGCN", "GRCN"):
        importlib.import_module("torch_geometric")
    sys.path.insert(0, str(HERE))
    from mmrec_formulation import Training

    training = Training(model, data, batch_size=BATCH_SIZE, **options)
    return lambda number: (training.epoch(), None)


def _mend_for_recbole() -> None:
    """Gives back what NumPy and SciPy have dropped, and hides a broken tuner of parameters."""
    import types

    import numpy as np
    import scipy.sparse

    same = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex}
    other = {"str": str, "long": int, "unicode": str}
    of_numpy = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
    for name, kind in {**same, **other, **of_numpy}.items():
        if name not in vars(np):
            setattr(np, name, kind)
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        scipy.sparse.dok_matrix._update = lambda matrix, entries: matrix._dict.update(entries)
    ray = types.ModuleType("ray")
    ray.tune = types.ModuleType("ray.tune")
    sys.modules |= {"ray": ray, "ray.tune": ray.tune}


def _recbole(data: Data, model: str, **options: Any) -> Callable:
    _mend_for_recbole()
    importlib.import_module("recbole")
    import logging

    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer

    here = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, here)
    os.chdir(here)  # where RecBole leaves its logs
    folder = here / "pairs"
    folder.mkdir()
    pairs = [f"{u}\t{i}" for u, i in zip(data.users.tolist(), data.items.tolist(), strict=True)]
    header = "user_id:token\titem_id:token"
    for part, rows in (("train", pairs), ("valid", pairs[:2]), ("test", pairs[:2])):
        (folder / f"pairs.{part}.inter").write_text("\n".join([header, *rows]) + "\n")
    settings = {
        "data_path": str(here),
        "checkpoint_dir": str(here),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "train_batch_size": BATCH_SIZE,
        "embedding_size": 64,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        **options,
    }
    sys.argv = sys.argv[:1]  # RecBole reads the command line
    config = Config(model=model, dataset="pairs", config_dict=settings)
    logging.disable(logging.INFO)
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(
        config, get_model(model)(config, train.dataset)
    )

    def epoch(number):
        trainer._train_epoch(train, number, show_progress=False)
        return len(train.dataset), None

    return epoch


def _by_difference(data: Data, fit: Callable[[int], None], epochs: int) -> Callable:
    def epoch(number):
        seconds = []
        for count in (0, epochs):
            began = time.process_time()
            fit(count)
            seconds.append(time.process_time() - began)
        return len(data.users), (seconds[1] - seconds[0]) / epochs

    return epoch


def _cornac(data: Data) -> Any:
    cornac = importlib.import_module("cornac")
    ones = [1.0] * len(data.users)
    return cornac.data.Dataset.from_uir(
        zip(data.users.tolist(), data.items.tolist(), ones, strict=True)
    )


def _cornac_bpr(data: Data) -> Callable:
    train = _cornac(data)
    from cornac.models import BPR

    return _by_difference(
        data, lambda n: BPR(k=64, max_iter=n, num_threads=1, verbose=False).fit(train), epochs=50
    )


def _cornac_lightgcn(data: Data) -> Callable:
    train = _cornac(data)
    from cornac.models import LightGCN

    def fit(count):
        LightGCN(
            emb_size=64, num_layers=3, batch_size=BATCH_SIZE, num_epochs=count, verbose=False
        ).fit(train)

    return _by_difference(data, fit, epochs=1)


def _implicit_bpr(data: Data) -> Callable:
    implicit = importlib.import_module("implicit.bpr")
    from scipy.sparse import csr_matrix

    pairs = data.users.numpy(), data.items.numpy()
    shape = data.num_users, data.num_items
    matrix = csr_matrix(([1.0] * len(data.users), pairs), shape=shape)

    def fit(count):
        model = implicit.BayesianPersonalizedRanking(factors=64, iterations=count, num_threads=1)
        model.fit(matrix, show_progress=False)

    return _by_difference(data, fit, epochs=50)


WORKERS = {
    "hugraph": _hugraph,
    "mmrec": _mmrec,
    "recbole": _recbole,
    "cornac_bpr": _cornac_bpr,
    "cornac_lightgcn": _cornac_lightgcn,
    "implicit_bpr": _implicit_bpr,
}


def work(name: str, path: str, options: str) -> None:
    """The other end of a `Worker`: answers every line with an epoch."""
    import warnings

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    warnings.simplefilter("ignore")

    def answer(**values):
        print(json.dumps(values), file=answers, flush=True)

    try:
        import torch

        torch.set_num_threads(1)
        epoch = WORKERS[name](_read(path), **json.loads(options))
    except ImportError as error:
        return answer(missing=str(error))
    answer(ready=True)
    for number, _ in enumerate(sys.stdin):
        began = time.process_time()
        triples, seconds = epoch(number)
        spent = time.process_time() - began
        answer(triples=triples, seconds=spent if seconds is None else seconds)


class Worker:
    """A process that trains one epoch at a time."""

    def __init__(self, python, name, path, options):
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115, lives as long as the process
        self.process = subprocess.Popen(
            [python, __file__, "--worker", name, path, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, **one, "DGLBACKEND": "pytorch"},
        )
        self.missing = self._answer().get("missing")

    def epoch(self):
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.log.seek(0)
        last = self.log.read().strip().splitlines()[-1:]
        return {"missing": f"it failed: {''.join(last)[:120]}"}


def measure(row: Row, peers: str, path: str, settings: list[str], repeats: int) -> str:
    start = f"| {row.model} | {row.peer} |"
    options = {"spec": row.spec, "overrides": [*settings, *row.overrides]}
    peer = Worker(peers, row.worker, path, row.options)
    if peer.missing:
        return f"{start} skipped: {peer.missing} | | | {row.note} |"
    ours = Worker(sys.executable, "hugraph", path, options)
    seconds: dict[Worker, list[float]] = {peer: [], ours: []}
    triples = set()
    for _ in range(repeats + 1):
        for worker, spent in seconds.items():
            done = worker.epoch()
            if "missing" in done:
                return f"{start} skipped: {done['missing']} | | | {row.note} |"
            triples.add(done["triples"])
            spent.append(done["seconds"])
    for worker in seconds:
        worker.close()
    assert len(triples) == 1, f"{row}: not the same number of triples: {triples}"
    theirs, own = (spent[1:] for spent in seconds.values())
    ratios = [o / t for t, o in zip(theirs, own, strict=True)]
    return (
        f"{start} {statistics.median(theirs):.3g} | {statistics.median(own):.3g} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {row.note} |"
    )


def _versions(peers: str) -> str:
    names = ["torch", "recbole", "cornac", "implicit", "torch-geometric", "dgl"]
    program = (
        "import sys, importlib.metadata as m\n"
        "have = {d.metadata['Name'].lower().replace('_', '-'): d.version "
        "for d in m.distributions()}\n"
        f"print(', '.join(n + ' ' + have[n] for n in {names} if n in have))"
    )
    return subprocess.run([peers, "-c", program], capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=sorted({row.model for row in ROWS}), action="append")
    arguments = parser.parse_intermixed_args()

    import numpy as np
    import torch

    from hugraph import __version__
    from hugraph.assembly import SCHEMA, Experiment

    directory = arguments.directory.resolve()
    settings = [
        "data.source=directory",
        f"data.path={json.dumps(str(directory))}",
        "train.epochs=1",
        f"train.batch_size={BATCH_SIZE}",
        *arguments.overrides,
    ]
    spec = SCHEMA.resolve(HERE.parent / "examples" / "mmgcn.yaml", settings)
    experiment = Experiment.prepare(spec)
    arrays = {f"features_{n}": x.numpy() for n, x in experiment.modality_features.items()}
    arrays |= {"users": experiment.train.users.numpy(), "items": experiment.train.items.numpy()}
    arrays["sizes"] = np.array([experiment.dataset.num_users, experiment.dataset.num_items])

    lines = [
        "| model | beside | its CPU s | hugraph, CPU s | hugraph / peer (range) | note |",
        "|---|---|---|---|---|---|",
    ]
    given = "".join(f", `{override}`" for override in arguments.overrides)
    header = (
        f"One epoch on {directory.name}{given}: {len(arrays['users']):,} triples in batches of "
        f"{BATCH_SIZE:,}, one thread; medians of {arguments.repeats} alternating epochs. "
        f"hugraph {__version__}, torch {torch.__version__}, {platform.machine()}; "
        f"peers on {_versions(arguments.peers)}.\n\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "data.npz")
        np.savez(path, **arrays)
        for row in ROWS:
            if arguments.only is None or row.model in arguments.only:
                lines.append(measure(row, arguments.peers, path, settings, arguments.repeats))
                print(lines[-1], flush=True)
                (HERE / "results" / "peers.md").write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        main()
