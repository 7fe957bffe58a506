"""Tables too large for one process: each process keeps some of the rows."""

from collections.abc import Sequence
from typing import cast

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor


def shard_rows(model: nn.Module, names: Sequence[str]) -> None:
    """Replaces tables of a model by `DTensor`s, of which each process keeps an equal run of rows.

    Gradients and the moments of Adam are shared out likewise. An optimiser takes either such tables
    or other parameters, not both. Every process gives the model the same batches.
    [`fit`][hugraph.train.fit], which writes and ranks with whole tables, takes no such model.

    Args:
        model: Looks rows of these tables up by `hugraph.models.pairwise.take`, never all of them
            while it trains: `BPRMF`, `VBPR`, `DUIF`, or `HUIGN` without propagation.
        names: The tables, parameters of `model` itself.

    Source:
        torch's `DTensor`; the processes have joined by
        [`joined`][hugraph.train.processes.joined] or `torch.distributed.init_process_group`.
    """
    for name in names:
        table = model.get_parameter(name).detach()
        mesh = init_device_mesh(table.device.type, (dist.get_world_size(),))
        setattr(model, name, nn.Parameter(distribute_tensor(table, mesh, [Shard(0)])))


def sharded_rows(table: Tensor, index: Tensor) -> Tensor:
    """The rows `(n, dim)` of a sharded table at `index` `(n,)`, which all processes give alike."""
    assert isinstance(table, DTensor)
    everywhere = DTensor.from_local(index, table.device_mesh, [Replicate()], run_check=False)
    rows = cast(DTensor, F.embedding(everywhere, table))  # zeros for rows of the others
    return rows.full_tensor()
