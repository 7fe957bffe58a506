"""On a GPU the host runs ahead of the device: a step that asks for a value makes it wait."""

from collections import Counter

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from hugraph.assembly import SCHEMA, Experiment
from hugraph.train.batches import Batches
from hugraph.train.optimizer import StageOptimizer
from tests.assembly.small import MODELS, UNTRAINED, write_small_spec

# What needs values on the host: of one number, or to know how large its result is.
ASKING = {
    "_coalesce",
    "_local_scalar_dense",
    "_unique2",
    "equal",
    "index of bools",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave to any size",
    "unique_consecutive",
    "unique_dim",
}
KNOWN = {
    # A batch's rows, each once.
    **dict.fromkeys(["huign_sampled", "mgcn", "mmgcn", "ngcf"], frozenset({"_unique2"})),
    "lgmrec": {"_unique2", "index of bools"},  # those that have both modalities
    "macrid_vae": {"repeat_interleave to any size"},  # the histories of a batch
    "huign_lazy": {"_local_scalar_dense", "_coalesce"},  # lazy Adam's steps, and its rows
}


class Operations(TorchDispatchMode):
    """Counts what torch is asked to compute."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name, kwargs = function.overloadpacket.__name__, kwargs or {}
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            name += " to any size"
        if name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1]):
            name += " of bools"
        self.counts[name] += 1
        return function(*args, **kwargs)


def steps(model_name, directory, device="cpu"):
    """One function per stage, which takes a step; the first step is taken already."""
    overrides = [*MODELS[model_name], f"train.device={device}"]
    experiment = Experiment.prepare(SCHEMA.resolve(write_small_spec(directory), overrides))
    model = experiment.build_model()
    batches = Batches(experiment.train, model.num_users, model.num_items, batch_size=64, seed=0)
    for index, stage in enumerate(model.stages()):
        optimizer = StageOptimizer(stage, dict.fromkeys(stage.term_names, 1.0))
        if stage.begin_epoch is not None:
            stage.begin_epoch()
        batch, *_ = batches.epoch(stage.batches, index, 1, experiment.device)
        optimizer.step(batch, 1e-3)
        yield lambda optimizer=optimizer, batch=batch: optimizer.step(batch, 1e-3)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - UNTRAINED))
def test_a_step_asks_for_no_value_but_those_it_reports(name, tmp_path):
    for step in steps(name, tmp_path):
        with Operations() as operations:
            step()
        assert operations.counts.total() > 50
        assert operations.counts.keys() & ASKING == KNOWN.get(name, set())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("name", ["bpr_mf", "huign", "lightgcn"])
def test_on_a_gpu_a_step_copies_its_terms_to_the_host_and_nothing_else(name, tmp_path):
    for step in steps(name, tmp_path, device="cuda"):
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            step()
        copies = [event.name for event in profiled.events() if "Memcpy" in event.name]
        assert sum("DtoH" in copy for copy in copies) == 1
        assert not any("HtoD" in copy for copy in copies)
