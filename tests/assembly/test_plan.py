import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from hugraph.assembly import SCHEMA, Experiment, begin, demand, finish, plan
from hugraph.assembly.memory import Room
from hugraph.assembly.plan import Plan, StagePlan, make_plan
from hugraph.data.export import write_directory
from hugraph.errors import DataError, DivergedError, ResourceError
from hugraph.graph.edge_estimate import EdgeEstimate
from hugraph.train import BatchDone, EpochDone, RunDir
from tests.assembly.small import MODELS, write_small_spec


@pytest.fixture
def spec(tmp_path):
    def resolve(*overrides):
        return SCHEMA.resolve(write_small_spec(tmp_path), overrides)

    return resolve


def planned(spec, path, seconds=0.02):
    made, _ = make_plan(spec, path, seconds=seconds)
    return made


def test_times_add_up_worked_by_hand():
    stage = StagePlan("bpr", steps=10, begin=1, step=0.5, validation=2, saving=0.25, epochs=4)
    assert stage.epoch() == 1 + 10 * 0.5 + 2 + 0.25
    made = Plan(model="m", disk_free=1, begin=3, stages=(stage, stage), end=4)
    assert made.seconds() == 3 + 2 * 4 * 8.25 + 4
    assert replace(made, display=5).seconds() == 3 + 2 * 4 * 8.25 + 4 + 5
    assert Plan(model="m", disk_free=1).seconds() is None
    assert made.tree()["stages"][0]["epoch"] == 8.25


def test_a_watch_tells_first_steps_others_and_saving_apart(monkeypatch):
    times = iter([0, 10, 11, 13, 20, 25, 28, 29, 30, 32, 33, 40, 41, 50, 51])
    monkeypatch.setattr(plan, "_clock", lambda: next(times))
    watch = plan._Watch("recall@10")
    assert watch.validate(None) == {"recall@10": 0.0}  # at 0, before the first step
    for stage, epoch, steps in (("a", 1, 3), ("a", 2, 3), ("b", 3, 2)):
        for step in range(1, steps + 1):
            watch(BatchDone(stage, epoch, 2, step, steps))  # at 10, 11, 13; 28, 29, 30; 40, 41
        watch.validate(None)  # at 20; 32; 50
        watch(EpochDone(stage, epoch, 0.1, {}, {}, 1, {}, 1.0, 1.0))  # at 25; 33; 51
    assert watch.first == {"a": 3, "b": 7}
    assert watch.steps == {"a": [1, 2, 1, 1], "b": [1]}
    assert watch.saving == {"a": 1, "b": 1}
    assert (watch.num_steps, watch.stepping) == ({"a": 3, "b": 2}, 26)


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01])
def test_validation_of_everybody_follows_from_that_of_some(spec, monkeypatch, rate):
    experiment = Experiment.prepare(spec("data.num_users=700", "data.num_items=60"))
    now = [0.0]
    monkeypatch.setattr(plan, "_clock", lambda: now[0])

    def evaluate(scorer, relevant, seen, popularity):
        now[0] += 0.125 + rate * len(relevant.users.unique())

    def make_scorer():
        now[0] += 0.5

    object.__setattr__(experiment.spec, "evaluate", evaluate)
    users = len(experiment.validation.users.unique())
    assert users > 256
    made = plan._validation(experiment, make_scorer)
    whole = 0.5 + 0.125 + rate * users
    # One look at 256 users took long enough; without a second one, all of it counts by user.
    scaled = 0.5 + (0.125 + rate * 256) * users / 256
    assert made == pytest.approx(scaled if 0.125 + rate * 256 > 0.3 else whole)


@pytest.mark.parametrize("name", ["huign", "cb2cf", "popularity", "macrid_vae"])
def test_a_plan_has_what_a_fit_then_has(spec, tmp_path, name):
    resolved = spec(*MODELS[name], "train.epochs=2")
    made = planned(resolved, tmp_path / "run")
    experiment = Experiment.prepare(resolved)
    model = experiment.build_model()
    events = []
    with RunDir.create(tmp_path / "run") as run:
        begin(experiment, run)
        finish(experiment, model, run, events.append)
    assert made.parameters == sum(p.numel() for p in model.parameters())
    assert made.parameter_bytes == 4 * made.parameters
    steps = {event.stage: event.num_steps for event in events if isinstance(event, BatchDone)}
    assert {stage.name: stage.steps for stage in made.stages} == steps
    assert all(stage.epochs == 2 and stage.epoch() > 0 for stage in made.stages)
    written = sum(path.lstat().st_size for path in (tmp_path / "run").rglob("*"))
    assert written <= made.disk <= 12 * written
    assert made.seconds() > 0 and made.refusal is None
    assert made.least_memory == demand.least_demand(experiment).total()


def test_what_a_run_keeps_of_features_on_disk_counts(spec, tmp_path):
    write_directory(Experiment.prepare(spec()).dataset, tmp_path / "data")
    source = f"source: directory, path: {tmp_path / 'data'}"
    in_memory, on_disk = (
        planned(spec(f"data={{{source}, memory_map: {how}}}"), tmp_path / "run").disk
        for how in ("false", "true")
    )
    assert on_disk - in_memory == pytest.approx(3 * 60 * 8 * 4, abs=200)  # three modalities


@pytest.mark.parametrize("loops", ["none", "isolated", "all"])
def test_edges_are_those_of_the_graph_without_loops(spec, tmp_path, loops):
    resolved = spec(f"graph.self_loops={loops}", "graph.weight=count")
    edges = Experiment.prepare(resolved).edges([2])[2]
    assert planned(resolved, tmp_path / "run").edges == EdgeEstimate(edges, 60, 60)


def test_a_model_without_an_item_graph_has_no_edges(spec, tmp_path):
    assert planned(spec(*MODELS["lightgcn"]), tmp_path / "run").edges is None


def test_where_memory_is_not_enough_nothing_is_made(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(demand, "room", lambda **_: Room(1000, "the memory of a test"))
    resolved = spec("train.epochs=2")
    experiment = Experiment.prepare(resolved)
    edges, whole = experiment.edges([2])[2], demand.least_demand(experiment)
    monkeypatch.setattr(plan, "fit", None)
    made = planned(resolved, tmp_path / "run")
    assert isinstance(made.refusal, ResourceError)
    assert (made.least_memory, made.edges.edges) == (whole.total(), edges)
    assert made.disk == 5 * whole.checkpoint // 2
    assert made.seconds() is None and made.memory is None
    assert made.tree()["refusal"]["what"].startswith("fitting takes at least")


def test_a_graph_that_is_refused_is_estimated_and_refused_here_too(spec, tmp_path):
    resolved = spec("graph.max_pairs=10")
    made = planned(resolved, tmp_path / "run")
    assert isinstance(made.refusal, DataError) and "max_pairs" in made.refusal.fix
    assert made.edges.edges == Experiment.prepare(spec()).edges([2])[2]


def test_what_shows_a_finished_run_is_called_once_and_counted(spec, tmp_path):
    shown = []

    def display(experiment, model, run, result):
        shown.append((run.path.parent.parent, model.num_items, result))
        run.write("picture", bytes(1_000_000))
        time.sleep(0.05)

    home = tmp_path / "home"
    home.mkdir()
    resolved = spec("train.epochs=3")
    alone = planned(resolved, home / "run")
    made, _ = make_plan(resolved, home / "run", seconds=0.02, display=display)
    assert shown == [(home, 60, {"epochs": 2, "best_epoch": 1})]
    assert (alone.display, alone.tree()["display"]) == (None, None)
    assert made.display >= 0.05
    assert made.disk - alone.disk == pytest.approx(1_000_000, rel=0.01)
    assert list(home.iterdir()) == []


def test_nothing_stays_whatever_happens(spec, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    planned(spec(), home / "not" / "yet" / "run")
    with pytest.raises(DivergedError):
        planned(spec("train.lr=1e30"), home / "run", seconds=1)
    assert list(home.iterdir()) == []


def test_more_steps_are_taken_the_longer_a_plan_may_take(spec, tmp_path, monkeypatch):
    """With a clock on which every look takes a second, all but the first few rows need no time."""
    ticks = count()
    monkeypatch.setattr(plan, "_clock", lambda: next(ticks))
    experiment = Experiment.prepare(spec("train.batch_size=50"))
    model = experiment.build_model()

    def steps(seconds, name):
        (Path(tmp_path) / name).mkdir()
        watch, *_ = plan._calibrated(experiment, model, tmp_path / name, seconds)
        return watch.num_steps["bpr"]

    whole = -(-len(experiment.train.users) // 50)
    assert [steps(5, "a"), steps(12, "b"), steps(1e9, "c")] == [3, 6, whole]


def test_a_plan_changes_nothing_for_the_fit_that_follows(spec, tmp_path):
    resolved = spec("train.epochs=1")

    def weights():
        return Experiment.prepare(resolved).build_model().state_dict()

    before = weights()
    planned(resolved, tmp_path / "run")
    after = weights()
    assert all(torch.equal(before[name], after[name]) for name in before)
