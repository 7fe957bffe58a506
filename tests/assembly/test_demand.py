import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from hugraph.assembly import SCHEMA, Experiment, demand
from hugraph.assembly.demand import Demand, TooLargeError, least_demand, require_memory
from hugraph.assembly.memory import Room, room
from hugraph.errors import ResourceError
from hugraph.interfaces import TokenBag
from tests.assembly.small import MODELS, write_small_spec

LARGER = ["data.num_users=500", "data.num_items=300"]  # than the handful that is looked at


@pytest.fixture
def prepared(tmp_path):
    def prepare(*overrides, **options):
        return Experiment.prepare(SCHEMA.resolve(write_small_spec(tmp_path), overrides), **options)

    return prepare


def give(monkeypatch, free):
    monkeypatch.setattr(
        demand, "room", lambda beside=0: Room(free - beside, "the memory of a test")
    )


def test_the_demand_of_a_factorisation_worked_by_hand(prepared):
    experiment = prepared(*LARGER, "model={component: bpr_mf, dim: 4}", "objective.penalties=0")
    table = 4 * (500 + 300) * 4  # float32
    weights, moments = table, 2 * table
    assert least_demand(experiment) == Demand(2 * weights, moments, 2 * (weights + moments), 0)
    assert least_demand(experiment).total() == 10 * table


@pytest.mark.parametrize("name", MODELS)
def test_the_tables_of_every_model_are_known_to_the_byte_before_it_is_made(prepared, name):
    experiment = prepared(*LARGER, *MODELS[name])
    model = experiment.build_model()
    state = sum(tensor.nbytes for tensor in model.state_dict().values())
    trained = [sum(p.nbytes for p in stage.parameters) for stage in model.stages()]
    known = least_demand(experiment)
    assert (known.weights, known.optimizer) == (2 * state, 2 * max(trained, default=0))
    assert known.checkpoint == 2 * (state + known.optimizer)


def test_tokens_and_many_intents_are_counted_too(prepared):
    experiment = prepared(*LARGER, "model.levels=[128,4]", "model.token_dim=16")
    bag = TokenBag(torch.arange(300), torch.arange(301), 300)
    dataset = replace(experiment.dataset, features={"textual": bag})
    experiment = Experiment(experiment.spec, dataset, experiment.split)
    state = experiment.build_model().state_dict().values()
    known = least_demand(experiment)
    assert known.weights == 2 * sum(tensor.nbytes for tensor in state)
    assert known.features == 0


@pytest.mark.parametrize("scaling", ["raw", "standardize"])
def test_features_count_where_they_are_copied(prepared, scaling):
    experiment = prepared(f"data.scaling={scaling}")
    copies = {id(f) for f in experiment.modality_features.values()}
    raw = experiment.dataset.features
    shared = sum(
        experiment.modality_features[name].data_ptr() == features.ctypes.data
        for name, features in raw.items()
    )
    assert (len(copies), shared) == (3, 3 if scaling == "raw" else 0)
    expected = 0 if shared else sum(features.nbytes for features in raw.values())
    assert least_demand(experiment).features == expected


@pytest.mark.parametrize("scaling", ["raw", "standardize"])
def test_features_count_as_wide_as_they_are_projected(prepared, scaling):
    experiment = prepared(f"data.scaling={scaling}", "data.project=3")
    made = experiment.modality_features.values()
    assert least_demand(experiment).features == sum(features.nbytes for features in made)


def test_features_on_disk_take_no_memory(prepared, tmp_path):
    experiment = prepared()
    stored = {}
    for name, features in experiment.dataset.features.items():
        np.save(tmp_path / f"{name}.npy", features)
        stored[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    dataset = replace(experiment.dataset, features=stored)
    on_disk = Experiment(experiment.spec, dataset, experiment.split)
    assert least_demand(on_disk) == least_demand(experiment)._replace(features=0)


def test_wide_features_are_not_projected_to_find_out_what_they_take(prepared, monkeypatch):
    def refuse(*_):
        raise AssertionError("the directions of wide features take long to find")

    monkeypatch.setattr("hugraph.data.projection._leading_directions", refuse)
    assert least_demand(prepared("data.project=3")) is not None


def test_what_is_there_is_not_refused_and_a_byte_less_is(prepared, monkeypatch):
    experiment = prepared()
    total = least_demand(experiment).total()
    give(monkeypatch, total)
    require_memory(experiment)
    give(monkeypatch, total - 1)
    with pytest.raises(ResourceError) as caught:
        require_memory(experiment)
    assert caught.value.at == "the memory of a test"
    assert "for a checkpoint being written" in caught.value.what


class Together:
    """Three processes on this machine, of which this is the one of a rank."""

    size_here = 3

    def __init__(self, rank):
        self.rank = rank
        self.waited = 0

    def highest(self, number):
        self.waited += 1


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_on_one_machine_share_its_memory(prepared, monkeypatch, rank):
    experiment, processes = prepared(), Together(rank)
    demand = least_demand(experiment)
    in_each = demand.weights + demand.optimizer + demand.features
    whole = 3 * in_each + (0 if rank else demand.checkpoint)  # which the first one writes
    give(monkeypatch, whole)
    require_memory(experiment, processes)
    assert processes.waited == 1  # until the others have asked as well
    give(monkeypatch, whole - 1)
    with pytest.raises(TooLargeError):
        require_memory(experiment, processes)
    assert processes.waited == 1
    give(monkeypatch, demand.total() + 2 * in_each // 10)
    with pytest.raises(TooLargeError, match="are free beside what the other processes") as caught:
        require_memory(experiment, processes)
    assert ("for a checkpoint" in caught.value.what) == (rank == 0)
    require_memory(experiment)


def test_a_refusal_names_the_largest_setting_that_asks_for_less_than_there_is(
    prepared, monkeypatch
):
    experiment = prepared("model.id_dim=1024")
    give(monkeypatch, 1_000_000)
    with pytest.raises(ResourceError) as caught:
        require_memory(experiment)
    fix = caught.value.fix
    assert fix.startswith("set model.id_dim=128 (at least 8")
    need = {dim: least_demand(prepared(f"model.id_dim={dim}")).total() for dim in (128, 256)}
    assert need[128] <= 1_000_000 < need[256]


def test_a_refusal_names_modalities_where_features_weigh_most(prepared, monkeypatch):
    experiment = prepared(*LARGER, "model.id_dim=0", "data.dim=900")
    source = experiment.spec.data.source
    source.options["modalities"] = None  # as that of a directory has
    give(monkeypatch, least_demand(experiment).total() * 2 // 3)
    with pytest.raises(ResourceError) as caught:
        require_memory(experiment)
    assert caught.value.fix.startswith("set data.modalities=[")


def test_a_refusal_without_a_setting_that_helps_says_what_else_does(prepared, monkeypatch):
    give(monkeypatch, 10)
    with pytest.raises(ResourceError) as caught:
        require_memory(prepared())
    assert "data.k_core" in caught.value.fix


def test_a_model_that_cannot_be_made_for_a_few_is_not_refused(prepared, monkeypatch):
    experiment = prepared("model.levels=[50,2]")
    monkeypatch.setattr(demand, "_FEW_ITEMS", (20,))
    give(monkeypatch, 10)
    assert least_demand(experiment) is None
    require_memory(experiment)


def test_a_system_that_does_not_tell_refuses_nothing(prepared, monkeypatch):
    experiment = prepared()
    give(monkeypatch, 10)
    with pytest.raises(ResourceError):
        require_memory(experiment)
    monkeypatch.setattr(demand, "room", lambda **_: None)
    require_memory(experiment)


def test_nothing_is_drawn_from_the_callers_random_numbers(prepared):
    experiment, before = prepared(), torch.get_rng_state()
    least_demand(experiment)
    assert torch.equal(torch.get_rng_state(), before)


FIT = """
import resource, sys
from pathlib import Path
from hugraph.assembly import SCHEMA, Experiment, begin, finish, memory
from hugraph.assembly.demand import least_demand
from hugraph.train import RunDir
import torch.utils.tensorboard

spec = SCHEMA.resolve(sys.argv[1], sys.argv[3:])
experiment = Experiment.prepare(spec)
least = least_demand(experiment).total()
before = memory.resident()
with RunDir.create(Path(sys.argv[2])) as run:
    begin(experiment, run)
    finish(experiment, experiment.build_model(), run)
print(least, memory.peak() - before)
"""

REFUSED = """
import resource, sys
from hugraph.assembly import Experiment, demand, runs
from hugraph.cli.main import main
import hugraph.cli.progress

with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 250 * 10**6, now + 250 * 10**6))
main(sys.argv[1:])
"""


def python(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(room() is None, reason="the system does not tell")
def test_a_fit_really_takes_the_least_and_not_much_more(tmp_path):
    sizes = ["data.num_users=2000", "data.num_items=1000", "data.interactions_per_user=5"]
    model = ["model={component: bpr_mf, dim: 2500}", "objective.penalties=0", "train.epochs=1"]
    done = python(FIT, write_small_spec(tmp_path), tmp_path / "run", *sizes, *model)
    assert not done.stderr
    least, taken = map(int, done.stdout.split())
    assert least == 10 * 4 * (2000 + 1000) * 2500
    assert least < taken < 2 * least  # safetensors makes the bytes twice


@pytest.mark.skipif(room() is None, reason="the system does not tell")
def test_a_fit_is_refused_under_a_limit_of_the_system_before_the_model_is_made(tmp_path):
    wide = ["model={component: bpr_mf, dim: 50000}", "objective.penalties=0"]
    spec, run = write_small_spec(tmp_path), tmp_path / "run"
    done = python(REFUSED, "fit", "--spec", spec, "--run", run, "-q", *wide)
    assert done.returncode == 7
    assert done.stderr.startswith("error[7]: fitting takes at least 300 MB of memory more than")
    assert "at: RLIMIT_AS (ulimit -v)\n  fix: set model.dim=25000 (at least 150 MB)" in done.stderr
    assert not run.exists()


@pytest.mark.parametrize("dim", [10**7, 10**12])
def test_a_model_too_large_even_for_a_handful_is_refused_with_a_setting_that_fits(
    prepared, monkeypatch, dim
):
    experiment = prepared(f"model={{component: bpr_mf, dim: {dim}}}", "objective.penalties=0")
    assert least_demand(experiment).total() == 10 * (90 + 60) * dim * 4
    give(monkeypatch, 10**9)
    with pytest.raises(ResourceError, match="fitting takes at least") as caught:
        require_memory(experiment)
    assert caught.value.fix.startswith("set model.dim=")


# LATTICE computes with its weights as it is made.
@pytest.mark.parametrize("name", [name for name in MODELS if name != "lattice"])
def test_a_model_is_measured_without_taking_its_memory(prepared, monkeypatch, name):
    def build(experiment, device):
        return original(experiment, device)

    original = Experiment.build_model
    experiment = prepared(*MODELS[name])
    monkeypatch.setattr(Experiment, "build_model", build)  # the real one has no device
    assert least_demand(experiment) is not None


def test_demand_is_linear_in_users_and_items(prepared):
    sizes = [(200, 100), (300, 100), (200, 150), (300, 150)]
    totals = [
        np.array(least_demand(prepared(f"data.num_users={u}", f"data.num_items={i}")))
        for u, i in sizes
    ]
    np.testing.assert_array_equal(totals[0] + totals[3], totals[1] + totals[2])
