import errno
import json
import math
import os
import signal
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from hugraph.errors import DivergedError, ResourceError, RunError, SpecError
from hugraph.interfaces import DotProduct, Stage
from hugraph.sizes import in_bytes
from hugraph.train import atomic
from hugraph.train.checkpoint import _seal
from hugraph.train.config import EarlyStopping, TrainConfig
from hugraph.train.objective import Objective
from hugraph.train.ranking import top_k
from hugraph.train.run_dir import RunDir
from hugraph.train.signals import Stopped
from hugraph.train.trainer import BatchDone, EpochDone, fit, restore_best
from tests.train.faults import FailingOs
from tests.train.recommenders import (
    NUM_ITEMS,
    NUM_USERS,
    POPULARITY,
    TRAIN,
    DotProductModel,
    MultinomialModel,
    PopularityModel,
    TwoStageModel,
    history,
    validate,
)

FEATURES = torch.eye(NUM_ITEMS)
STOP_BY = EarlyStopping(metric="recall@1")


def dot_product():
    return DotProductModel(NUM_USERS, NUM_ITEMS)


def two_stage():
    return TwoStageModel(NUM_USERS, NUM_ITEMS, FEATURES)


BOTH_LOSSES = Objective(loss=["bpr", "squared_error"], penalties={"l2": 1e-3})


def start(model, config=None, objective=None, run=None, on_progress=None, validate=validate):
    config = config or TrainConfig(epochs=5, batch_size=32, lr=0.02, early_stopping=STOP_BY)
    return fit(
        model,
        TRAIN,
        validate,
        seed=7,
        config=config,
        objective=objective,
        run=run,
        on_progress=on_progress,
    )


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        (dot_product(), Objective(penalties=1e-3)),
        (MultinomialModel(history()), Objective(loss="multinomial")),
        (two_stage(), BOTH_LOSSES),
    ],
    ids=["triples", "users", "triples then items"],
)
def test_every_kind_of_model_learns_the_planted_blocks(model, objective):
    with torch.no_grad():
        assert validate(model.eval().scorer())["recall@1"] < 0.6
    config = TrainConfig(epochs=40, batch_size=8, lr=0.02, early_stopping=STOP_BY)
    fitted = start(model, config, objective)
    assert fitted.validation["recall@1"] > 0.9
    with torch.no_grad():
        assert validate(model.scorer()) == fitted.validation


def test_a_model_without_stages_is_validated_and_committed(tmp_path):
    model = PopularityModel(POPULARITY, NUM_USERS)
    with RunDir.create(tmp_path / "run") as run:
        fitted = start(model, run=run)
    assert (fitted.best_epoch, fitted.epochs) == (0, 0)
    assert fitted.validation == validate(model.scorer())
    other = PopularityModel(torch.zeros(NUM_ITEMS), NUM_USERS)
    restore_best(other, RunDir(tmp_path / "run"))
    assert_close(other.counts, POPULARITY.float())
    with RunDir.resume(tmp_path / "run") as run:
        assert start(model, run=run) == fitted


class NoisyScorer(DotProductModel):
    def scorer(self):
        return DotProduct(F.dropout(self.users.weight, 0.5, self.training), self.items.weight)


def test_a_restored_model_ranks_without_dropout_like_the_fitted_one(tmp_path):
    model, other = (NoisyScorer(NUM_USERS, NUM_ITEMS) for _ in range(2))
    with RunDir.create(tmp_path / "run") as run:
        fitted = start(model, run=run)
    restore_best(other, RunDir(tmp_path / "run"))
    with torch.no_grad():
        assert validate(other.scorer()) == fitted.validation


def test_the_weights_at_the_end_are_those_of_the_best_epoch():
    model, weights = dot_product(), {}

    def remember(event):
        if isinstance(event, EpochDone):
            weights[event.epoch] = model.users.weight.detach().clone()

    scores = iter([0.9, 0.1, 0.5, 0.3, 0.5, 0.2])  # the first is that of no epoch
    fitted = start(model, on_progress=remember, validate=lambda scorer: {"recall@1": next(scores)})
    assert (fitted.best_epoch, fitted.epochs, fitted.validation) == (2, 5, {"recall@1": 0.5})
    assert_close(model.users.weight.detach(), weights[2], rtol=0, atol=0)
    assert not torch.equal(weights[2], weights[5])


def test_training_stops_after_patience_epochs_without_a_gain():
    config = TrainConfig(epochs=50, early_stopping=EarlyStopping(metric="recall@1", patience=3))
    scores = iter([0.9, 0.1, 0.2, 0.2, 0.3, *[0.3] * 46])
    fitted = start(dot_product(), config, validate=lambda scorer: {"recall@1": next(scores)})
    assert (fitted.best_epoch, fitted.epochs) == (4, 7)


def test_each_stage_starts_from_the_best_weights_of_the_one_before():
    model, at_start = two_stage(), {}
    scores = iter([0.9, 0.1, 0.9, 0.2, 0.1, 0.2])
    config = TrainConfig(epochs=3, batch_size=32, early_stopping=EarlyStopping(metric="recall@1"))

    def watch(event):
        if isinstance(event, EpochDone):
            at_start[event.epoch] = (event.stage, model.users.weight.detach().clone())

    validation = lambda scorer: {"recall@1": next(scores, 0.0)}
    fitted = start(model, config, BOTH_LOSSES, on_progress=watch, validate=validation)
    assert [at_start[e][0] for e in range(1, 7)] == ["factorise"] * 3 + ["regress"] * 3
    assert_close(at_start[4][1], at_start[2][1], rtol=0, atol=0)  # the vectors are frozen now
    assert (fitted.best_epoch, fitted.epochs) == (5, 6)


def files(path):
    """What must not depend on interruptions: metrics, and checkpoints by name, which is a hash."""
    checkpoints = sorted(p.name for p in (path / "checkpoints").glob("epoch-*"))
    return (path / "metrics.jsonl").read_bytes(), checkpoints


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights, the result and the files of a model's run that nothing disturbed."""

    @cache
    def run_once(make, objective=None):
        model, path = make(), tmp_path_factory.mktemp("whole") / "run"
        with RunDir.create(path) as run:
            fitted = start(model, objective=objective, run=run)
        return model.state_dict(), fitted, files(path)

    return run_once


class StopHere(BaseException):
    pass


STOPS = [
    (dot_product, None, 0, 1),  # before anything is committed
    (dot_product, None, 2, 3),  # epochs 1 and 2 are committed, in the middle of the third
    (dot_product, None, 3, None),  # between two epochs
    (dot_product, None, 5, None),  # after the last
    (two_stage, BOTH_LOSSES, 1, 2),  # in the first stage
    (two_stage, BOTH_LOSSES, 5, 1),  # in the second, before its first commit
    (two_stage, BOTH_LOSSES, 6, 1),  # in the second
]


@pytest.mark.parametrize(("make", "objective", "epochs", "step"), STOPS)
def test_a_run_that_was_stopped_anywhere_ends_bit_for_bit_the_same(
    tmp_path, uninterrupted, make, objective, epochs, step
):
    weights, fitted, written = uninterrupted(make, objective)

    def interrupt(event):
        if isinstance(event, BatchDone) and (event.epoch, event.step) == (epochs + 1, step):
            raise StopHere
        if isinstance(event, EpochDone) and step is None and event.epoch == epochs:
            raise StopHere

    path = tmp_path / "stopped"
    with pytest.raises(StopHere), RunDir.create(path) as run:
        start(make(), objective=objective, run=run, on_progress=interrupt)
    if epochs:
        with (path / "metrics.jsonl").open("a") as lines:
            lines.write('{"epoch": "never committed')
    model, events_after = make(), []
    with RunDir.resume(path) as run:
        resumed = start(model, objective=objective, run=run, on_progress=events_after.append)
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert files(path) == written
    assert (resumed.best_epoch, resumed.validation) == (fitted.best_epoch, fitted.validation)
    replayed = [e.epoch for e in events_after if isinstance(e, EpochDone)]
    assert replayed == list(range(epochs + 1, fitted.epochs + 1))


def test_a_run_killed_twice_by_kill_9_ends_bit_for_bit_the_same(tmp_path, uninterrupted):
    weights, _, written = uninterrupted(dot_product)
    path = tmp_path / "killed"
    for opener, epoch, step in ((RunDir.create, 2, 2), (RunDir.resume, 4, 1)):

        def die(event, at=(epoch, step)):
            if isinstance(event, BatchDone) and (event.epoch, event.step) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        child = os.fork()
        if not child:
            with opener(path) as run:
                start(dot_product(), run=run, on_progress=die)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    model = dot_product()
    with RunDir.resume(path) as run:
        start(model, run=run)
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert files(path) == written


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_training_stops_after_the_step_and_the_run_goes_on(
    tmp_path, uninterrupted, signum, code
):
    weights, _, written = uninterrupted(dot_product)
    seen = []

    def send(event):
        seen.append(event)
        if isinstance(event, BatchDone) and (event.epoch, event.step) == (3, 2):
            os.kill(os.getpid(), signum)

    with pytest.raises(Stopped) as caught, RunDir.create(tmp_path / "run") as run:
        start(dot_product(), run=run, on_progress=send)
    assert caught.value.code == code
    assert (seen[-1].epoch, seen[-1].step) == (3, 2)
    model = dot_product()
    with RunDir.resume(tmp_path / "run") as run:
        start(model, run=run)
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert files(tmp_path / "run") == written


def test_a_signal_in_validation_stops_before_the_next_block_of_users():
    def validate_and_signal(scorer):
        os.kill(os.getpid(), signal.SIGTERM)
        top_k(scorer, torch.arange(2), TRAIN, 1, NUM_ITEMS)
        raise AssertionError("ranked on")

    with pytest.raises(Stopped) as caught:
        start(dot_product(), validate=validate_and_signal)
    assert caught.value.code == 143


def test_the_same_seed_gives_the_same_weights_whatever_ran_before():
    first, second = dot_product(), dot_product()
    start(first)
    torch.rand(17)
    start(second)
    assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_metrics_lines_hold_the_terms_the_rate_and_the_validation(tmp_path):
    seen = []
    config = TrainConfig(epochs=2, lr=0.5, lr_schedule="cosine", early_stopping=STOP_BY)
    with RunDir.create(tmp_path / "run") as run:
        start(dot_product(), config, run=run, on_progress=seen.append)
    rows = [
        json.loads(line)
        for line in RunDir(tmp_path / "run").read_text("metrics.jsonl").splitlines()
    ]
    epochs = [event for event in seen if isinstance(event, EpochDone)]
    for row, event in zip(rows, epochs, strict=True):
        assert row == {
            "epoch": event.epoch,
            "stage": "train",
            "lr": event.lr,
            "terms": event.terms,
            "validation": event.validation,
        }
    assert [row["lr"] for row in rows] == pytest.approx([0.5, 0.005])


def test_the_terms_of_an_epoch_are_means_over_its_rows():
    class Counting(DotProductModel):
        def bpr(self, batch):
            terms = super().bpr(batch)
            return {"bpr": terms["bpr"] * 0 + float(len(batch.users)), "l2": terms["l2"] * 0}

    seen = []
    config = TrainConfig(epochs=1, batch_size=64, early_stopping=STOP_BY)
    start(Counting(NUM_USERS, NUM_ITEMS), config, on_progress=seen.append)
    assert len(TRAIN.users) == 80
    assert seen[-1].terms["bpr"] == pytest.approx((64 * 64 + 16 * 16) / 80)
    assert [(e.step, e.num_steps, e.last_epoch) for e in seen[:-1]] == [(1, 2, 1), (2, 2, 1)]


def test_divergence_says_where_and_keeps_the_weights_before_the_step(tmp_path):
    class Diverging(DotProductModel):
        steps = 0

        def bpr(self, batch):
            self.steps += 1
            self.before = self.users.weight.detach().clone()
            terms = super().bpr(batch)
            return terms if self.steps < 5 else {**terms, "bpr": terms["bpr"] * math.nan}

    model = Diverging(NUM_USERS, NUM_ITEMS)
    with RunDir.create(tmp_path / "run") as run, pytest.raises(DivergedError) as caught:
        start(model, run=run)
    assert caught.value.at == "epoch 2, step 2 of stage 'train'"
    assert caught.value.what.startswith("the loss became nan (lr 0.02; bpr nan, l2 ")
    assert_close(model.users.weight.detach(), model.before, rtol=0, atol=0)
    assert RunDir(tmp_path / "run").checkpoints.load().epoch == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_metric_that_is_not_finite_ends_training(value):
    with pytest.raises(DivergedError, match="recall@1 is") as caught:
        scores = iter([0.1, 0.1, value])
        start(dot_product(), validate=lambda scorer: {"recall@1": next(scores)})
    assert caught.value.at == "validation after epoch 2"


@pytest.mark.parametrize("make", [dot_product, lambda: PopularityModel(POPULARITY, NUM_USERS)])
def test_an_early_stopping_metric_that_is_not_measured_is_named_before_the_first_step(make):
    config = TrainConfig(early_stopping=EarlyStopping(metric="recal@1"))
    with pytest.raises(SpecError, match="no metric 'recal@1'; did you mean 'recall@1'"):
        start(make(), config, on_progress=lambda event: pytest.fail("trained"))


def test_a_run_that_goes_on_is_not_validated_before_its_first_step(tmp_path):
    config = TrainConfig(epochs=1, early_stopping=STOP_BY)
    with RunDir.create(tmp_path / "run") as run:
        start(dot_product(), config, run=run)
    seen = []

    def counting(scorer):
        seen.append("validation")
        return validate(scorer)

    with RunDir.resume(tmp_path / "run") as run:
        config = replace(config, epochs=2)
        start(dot_product(), config, run=run, on_progress=seen.append, validate=counting)
    assert isinstance(seen[0], BatchDone) and seen.count("validation") == 1


def test_a_checkpoint_of_another_model_is_refused_with_the_tensors_that_differ(tmp_path):
    with RunDir.create(tmp_path / "run") as run:
        start(dot_product(), run=run)
    wider = DotProductModel(NUM_USERS, NUM_ITEMS, dim=9)
    with pytest.raises(RunError, match=r"items\.weight \(12, 8\) instead of \(12, 9\)"):
        restore_best(wider, RunDir(tmp_path / "run"))
    with RunDir.resume(tmp_path / "run") as run, pytest.raises(RunError, match="2 tensors"):
        start(wider, run=run)


def tampered(path, **changes):
    """Gives the record of a run another training state, sealed as a forger would."""
    state = path / "checkpoints" / "state.json"
    record = json.loads(state.read_bytes())
    del record["sha256"]
    record["state"] |= changes
    state.write_bytes(_seal(record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "its keys are best_epoch, .*, more, "),
        ({"epoch": "two"}, "epoch must be a valid integer, got 'two'"),
        ({"metrics_bytes": -1}, "metrics_bytes must be greater than or equal to 0, got -1"),
        ({"best_validation": [1]}, r"best_validation must be a valid dictionary, got \[1\]"),
        ({"stage": 1}, "stage is 1, of 1 stages"),
    ],
)
def test_a_training_state_that_fit_never_wrote_is_refused(tmp_path, change, message):
    with RunDir.create(tmp_path / "run") as run:
        start(dot_product(), run=run)
    tampered(tmp_path / "run", **change)
    with RunDir.resume(tmp_path / "run") as run, pytest.raises(RunError, match=message):
        start(dot_product(), run=run)


@pytest.mark.parametrize("left", ["metrics.jsonl", "result.json", "epoch-*"])
def test_a_run_whose_records_are_lost_is_never_begun_again(tmp_path, left):
    path = tmp_path / "run"
    with RunDir.create(path) as run:
        start(dot_product(), run=run)
        run.write_result({})
    before = (path / "metrics.jsonl").read_bytes()
    kept = {path / "metrics.jsonl", *path.rglob(left), path / "lock"}
    if left != "metrics.jsonl":
        (path / "metrics.jsonl").write_bytes(before := before.splitlines(keepends=True)[0])
    for file in path.rglob("*"):
        if file.is_file() and file not in kept:
            file.unlink()
    with (
        RunDir.resume(path) as run,
        pytest.raises(RunError, match=r"are lost|no checkpoint can be read"),
    ):
        start(dot_product(), run=run)
    assert (path / "metrics.jsonl").read_bytes() == before


def test_a_linked_metrics_file_never_cuts_what_it_points_to(tmp_path):
    path = tmp_path / "run"
    with RunDir.create(path) as run:
        start(dot_product(), run=run)
    (path / "metrics.jsonl").rename(tmp_path / "mine")
    with (tmp_path / "mine").open("a") as lines:
        lines.write("precious")
    (path / "metrics.jsonl").symlink_to(tmp_path / "mine")
    with RunDir.resume(path) as run, pytest.raises(ResourceError, match=r"metrics\.jsonl"):
        start(dot_product(), run=run)
    assert (tmp_path / "mine").read_text().endswith("precious")


def test_a_run_without_a_checkpoint_cannot_be_restored(tmp_path):
    with (
        RunDir.create(tmp_path / "run") as run,
        pytest.raises(RunError, match="the run has no checkpoint yet"),
    ):
        restore_best(dot_product(), run)


def test_a_full_disk_ends_training_and_the_run_goes_on_when_there_is_space(
    tmp_path, uninterrupted, monkeypatch
):
    weights, _, written = uninterrupted(dot_product)
    path = tmp_path / "run"

    def fill(event):
        if isinstance(event, BatchDone) and (event.epoch, event.step) == (3, 1):
            monkeypatch.setattr(atomic, "os", FailingOs(5, errno.ENOSPC))

    with pytest.raises(ResourceError) as caught, RunDir.create(path) as run:
        start(dot_product(), run=run, on_progress=fill)
    assert caught.value.exit_code == 7
    for part in ("No space left on device", "need", "free", "last good checkpoint: epoch 2"):
        assert part in caught.value.what
    monkeypatch.setattr(atomic, "os", os)
    model = dot_product()
    with RunDir.resume(path) as run:
        start(model, run=run)
    assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert files(path) == written


def test_too_little_space_is_said_before_the_first_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_free", lambda path: 1000)
    size = 5 * 3 * 4 * 8 * (NUM_USERS + NUM_ITEMS)
    with (
        RunDir.create(tmp_path / "run") as run,
        pytest.raises(ResourceError, match=f"need {in_bytes(size)}, 1.00 kB free"),
    ):
        start(dot_product(), run=run, on_progress=lambda event: pytest.fail("trained"))


def test_what_the_checkpoints_of_a_run_occupy_need_not_be_free_again(tmp_path, monkeypatch):
    one = 3 * 4 * 8 * (NUM_USERS + NUM_ITEMS)  # the tensors; each file has a header too
    config = TrainConfig(epochs=1, batch_size=32, early_stopping=STOP_BY)
    with RunDir.create(tmp_path / "run") as run:
        start(dot_product(), config, run=run)
    monkeypatch.setattr(atomic, "_free", lambda path: 4 * one)
    with RunDir.resume(tmp_path / "run") as run:
        assert start(dot_product(), replace(config, epochs=2), run=run).epochs == 2
        monkeypatch.setattr(atomic, "_free", lambda path: one - 1)
        with pytest.raises(ResourceError, match="not enough disk space"):
            start(dot_product(), replace(config, epochs=3), run=run)
        assert start(dot_product(), replace(config, epochs=2), run=run).epochs == 2


def test_a_tensorboard_that_fails_costs_no_checkpoint(tmp_path, monkeypatch):
    class Refusing:
        def __init__(self, *args, **kwargs):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Refusing)
    with RunDir.create(tmp_path / "run") as run:
        fitted = start(dot_product(), run=run)
    assert RunDir(tmp_path / "run").checkpoints.load().epoch == fitted.epochs == 5


def test_deterministic_mode_holds_during_fit_and_not_after():
    during = []
    start(
        dot_product(),
        on_progress=lambda event: during.append(torch.are_deterministic_algorithms_enabled()),
    )
    assert all(during) and not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("fill", [True, False])
def test_fit_gives_the_callers_settings_and_random_numbers_back(monkeypatch, fill):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", fill)
    model = dot_product()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    start(model)
    assert torch.utils.deterministic.fill_uninitialized_memory is fill
    assert torch.equal(torch.rand(4), expected)


def test_histograms_are_taken_without_gradients(tmp_path):
    class Watched(DotProductModel):
        def histograms(self):
            assert not torch.is_grad_enabled()
            return super().histograms()

    with RunDir.create(tmp_path / "run") as run:
        start(Watched(NUM_USERS, NUM_ITEMS), run=run)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_dropout_is_on_in_training_and_off_in_validation():
    model, modes = dot_product(), []
    stage = model.stages()[0]

    def terms(batch):
        modes.append(("train", model.training))
        return stage.terms(batch)

    model.stages = lambda: (Stage("train", "triples", terms, stage.term_names, stage.parameters),)

    def watching(scorer):
        modes.append(("validate", model.training))
        return validate(scorer)

    start(model, validate=watching)
    assert set(modes) == {("train", True), ("validate", False)}
    assert not model.training


def test_what_an_epoch_begins_with_is_drawn_from_its_seed_before_its_first_batch():
    def begun(epochs):
        model, seen = dot_product(), []
        (stage,) = model.stages()

        def terms(batch):
            seen.append("batch")
            return stage.terms(batch)

        def begin_epoch():
            seen.append(torch.rand(1).item())

        model.stages = lambda: (replace(stage, terms=terms, begin_epoch=begin_epoch),)
        start(model, config=TrainConfig(epochs=epochs, early_stopping=STOP_BY))
        return seen

    seen = begun(2)
    drawn = [one for one in seen if one != "batch"]
    assert seen[0] == drawn[0] and len(set(drawn)) == 2
    assert begun(2) == seen
