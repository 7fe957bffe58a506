"""Several processes that train one model, each on its part of every batch."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist

# Its functions keep the group that is there when they are first imported, which computing
# deterministically does. A thread of a group that is kept aborts the process if it lets go of a
# tensor while the interpreter ends.
import torch.distributed.nn.functional
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from hugraph.errors import ResourceError, RunError, is_out_of_memory
from hugraph.interfaces import Batch, Triples

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_ARRIVAL = timedelta(minutes=5)  # until all have started
_PATIENCE = timedelta(hours=2)  # the others wait so long while the first one validates


@contextmanager
def joined() -> "Iterator[Processes | None]":
    """Joins the processes that `torchrun` has started; gives None where there is but one.

    They talk by gloo on a CPU, and by NCCL where torch sees a GPU.

    Raises:
        ResourceError: If the others do not arrive, or what `torchrun` sets is not a number.
    """
    if not all(name in os.environ for name in _LAUNCHED) or os.environ["WORLD_SIZE"] == "1":
        yield None
        return
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        if not os.environ.get(name, "0").isdecimal():
            raise ResourceError(
                f"{name} is {os.environ[name]!r}, which is no number",
                at="the environment",
                fix="start with `torchrun`, which sets it, or unset it to fit in one process",
            )
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    try:
        store, rank, size = next(rendezvous("env://", timeout=_ARRIVAL))
        store.set(f"here/{rank}", "")
        store.wait([f"here/{other}" for other in range(size)], _ARRIVAL)
    except (RuntimeError, ValueError) as error:
        raise ResourceError(
            f"the processes did not come together: {str(error).splitlines()[0].rstrip('.')}",
            at=f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
            fix="set MASTER_ADDR and MASTER_PORT to where process 0 is, and start all processes",
        ) from error
    store.set_timeout(_PATIENCE)
    with _within_reach():
        dist.init_process_group(
            backend,
            store=PrefixStore("training", store),
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
        )
    try:
        yield Processes(rank, size, store)
    finally:
        dist.destroy_process_group()


class Processes:
    """This process among those that train together, as `joined` gives it.

    Every method that talks to the others is called by all of them, in the same order.

    Attributes:
        rank: From 0. The first one validates and writes the run.
        size: How many there are.
        size_here: How many of them are on this machine, as far as `torchrun` says.
    """

    def __init__(self, rank: int, size: int, store: Store) -> None:
        self.rank = rank
        self.size = size
        self.size_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        self._store = store

    def part(self, batch: Batch) -> tuple[Batch, float]:
        """This process' rows of a batch, and what they weigh in it.

        If there are fewer rows than processes, each takes all of them, and weighs the same.
        """
        num_rows = len(batch[0])
        if num_rows < self.size:
            return batch, 1 / self.size
        begin, end = (num_rows * rank // self.size for rank in (self.rank, self.rank + 1))
        columns = [column[begin:end] for column in batch]
        share = (end - begin) / num_rows
        if not isinstance(batch, Triples):
            return type(batch)(*columns), share
        part = _PartOfTriples(*columns)
        part.begin, part.num_rows = begin, num_rows
        return part, share

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Adds up tensors over all processes, in one message; of sparse ones, the rows that occur.

        Args:
            tensors: Of the same shapes and layouts in every process; sparse ones are COO, with rows
                as their only sparse dimension.
        """
        dense = [tensor for tensor in tensors if not tensor.is_sparse]
        flat = torch.cat([tensor.reshape(-1) for tensor in dense])
        with _within_reach():
            dist.all_reduce(flat)
        parts = iter(flat.split([tensor.numel() for tensor in dense]))
        return [
            self._summed_rows(tensor) if tensor.is_sparse else next(parts).view_as(tensor)
            for tensor in tensors
        ]

    def _summed_rows(self, tensor: Tensor) -> Tensor:
        tensor = tensor.coalesce()
        counts = torch.zeros(self.size, dtype=torch.int64)
        counts[self.rank] = tensor.indices().shape[1]
        with _within_reach():
            dist.all_reduce(counts)
        begin, total = int(counts[: self.rank].sum()), int(counts.sum())
        rows = _gathered(tensor.indices()[0], begin, total)
        values = _gathered(tensor.values(), begin, total)
        return torch.sparse_coo_tensor(
            rows.unsqueeze(0), values, tensor.shape, check_invariants=True
        ).coalesce()

    def highest(self, number: int) -> int:
        """The highest of the numbers that the processes give."""
        number_of_all = torch.tensor(number)
        with _within_reach():
            dist.all_reduce(number_of_all, dist.ReduceOp.MAX)
        return int(number_of_all)

    def from_first(self, value: Any) -> Any:
        """What the first process gives, a JSON value; that of the others is ignored."""
        said = json.dumps(value).encode() if self.rank == 0 else b""
        length = torch.tensor(len(said))
        with _within_reach():
            dist.broadcast(length, 0)
            text = torch.zeros(int(length), dtype=torch.uint8)
            if self.rank == 0:
                text.copy_(torch.frombuffer(bytearray(said), dtype=torch.uint8))
            dist.broadcast(text, 0)
        return json.loads(bytes(text.tolist()))

    def tensors_from_first(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of the first process by name, on the CPU; those of the others are ignored."""
        shapes = self.from_first(
            {name: (str(t.dtype).split(".")[1], list(t.shape)) for name, t in tensors.items()}
        )
        received = {}
        for name, (dtype, shape) in shapes.items():
            if self.rank == 0:
                received[name] = tensors[name].detach().cpu().contiguous()
            else:
                received[name] = torch.empty(shape, dtype=getattr(torch, dtype))
            with _within_reach():
                dist.broadcast(received[name], 0)
        return received

    def require_same(self, what: str) -> None:
        """Makes sure that all processes do the same thing.

        Raises:
            RunError: If this one does another than the first.
        """
        if self.from_first(what) != what:
            raise RunError(
                f"process {self.rank} does not train the same model on the same data as process 0",
                fix="give all processes the same spec, data and version of hugraph",
            )

    def speaks_first(self) -> bool:
        """Whether no other process has called this before."""
        mine = f"process {self.rank}"
        with suppress(RuntimeError):  # whoever keeps the store has gone
            said = cast(bytes, self._store.compare_set("speaks", "", mine))
            return said.decode() == mine
        return True


class _PartOfTriples(Triples):
    begin: int  # where this part begins in the whole batch
    num_rows: int  # of the whole batch

    def first(self, rows: Tensor, count: int) -> Tensor:
        """The first `count` rows of the whole batch."""
        first: Tensor = _First.apply(rows, self.begin, min(count, self.num_rows))
        return first


class _First(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, begin: int, count: int) -> Tensor:
        own = rows[: max(count - begin, 0)]
        ctx.shape, ctx.begin, ctx.num_own = rows.shape, begin, len(own)
        return _gathered(own, begin, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        with _within_reach():
            dist.all_reduce(total)
        own = gradient.new_zeros(ctx.shape)
        own[: ctx.num_own] = total[ctx.begin : ctx.begin + ctx.num_own]
        return own, None, None


def _gathered(own: Tensor, begin: int, total: int) -> Tensor:
    """The rows of all processes, of which `own` are this one's, from `begin` on.

    The others add their rows to zeros, which is exact, and takes parts of any size.
    """
    rows = own.new_zeros(total, *own.shape[1:])
    rows[begin : begin + len(own)] = own
    with _within_reach():
        dist.all_reduce(rows)
    return rows


@contextmanager
def _within_reach() -> Iterator[None]:
    """Says plainly what gloo and NCCL say when a connection breaks."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ResourceError(
            "another process of this training has ended, or cannot be reached",
            fix="see what it said; `hugraph fit --resume RUN` goes on from the last finished epoch",
        ) from error
