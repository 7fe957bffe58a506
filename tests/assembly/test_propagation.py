import importlib
import json
import logging
import shutil
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.assembly import SCHEMA, Experiment, begin, experiment, propagation, reopen, runs
from hugraph.assembly.propagation import (
    INDEX,
    MATRIX,
    keep_propagated,
    kept_bytes,
    kept_propagated,
)
from hugraph.assembly.registry import Bound
from hugraph.data.export import write_directory
from hugraph.data.features import scale_features
from hugraph.errors import ResourceError
from hugraph.nn import IntraLevelConv
from hugraph.train import RunDir, atomic
from tests.assembly.small import MODELS, write_small_spec


def directory(home, *overrides):
    """A spec that leaves on disk the features of the small dataset; one item lacks a modality."""
    small = Experiment.prepare(SCHEMA.resolve(write_small_spec(home))).dataset
    features = {name: matrix.copy() for name, matrix in small.features.items()}
    features["visual"][7] = 0
    write_directory(replace(small, features=features), home / "data")
    data = {"source": "directory", "path": str(home / "data"), "memory_map": True}
    chosen = [f"data={json.dumps(data)}", *MODELS["huign_sampled"], *overrides]
    return SCHEMA.resolve(home / "small.yaml", chosen)


def begun(home, *overrides):
    """A run that has begun, and its model."""
    prepared = Experiment.prepare(directory(home, *overrides))
    model = prepared.build_model()
    with RunDir.create(home / "run") as run:
        begin(prepared, run)
        keep_propagated(prepared, model, run)
    return prepared, model, run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return begun(tmp_path_factory.mktemp("kept"))


def test_the_file_holds_the_mean_of_neighbours_that_have_the_modality(kept):
    prepared, _, run = kept
    adjacency = np.eye(60)  # the small spec adds loops
    adjacency[tuple(ends.numpy() for ends in prepared.item_adjacency.edges())] += 1
    expected = []
    for name, matrix in prepared.dataset.features.items():
        given_features = np.array(matrix)
        present = given_features.any(axis=1)
        assert present[7] == (name != "visual")
        degree = adjacency @ present
        scaled = scale_features(given_features, "standardize")
        expected.append(adjacency @ scaled / np.where(degree > 0, degree, 1)[:, None])
    stored = np.load(run.path / MATRIX)
    np.testing.assert_allclose(stored, np.hstack(expected), rtol=1e-4, atol=1e-6)


def test_whoever_comes_back_propagates_nothing_and_scores_the_same_to_the_last_bit(
    kept, monkeypatch
):
    _, model, run = kept

    def again(*arguments):
        raise AssertionError("done again")

    monkeypatch.setattr(experiment, "scaled_on_disk", again)
    monkeypatch.setattr(IntraLevelConv, "propagate_columns", again)
    back = reopen(run.path)
    assert set(back.kept) == set(back.dataset.features)
    other = back.build_model()
    assert torch.equal(other.informed, model.informed)
    assert torch.equal(other.content.present, model.content.present)
    assert not other.content.present.all()
    items = torch.arange(60)
    for mine, theirs in zip(other.content.rows(items), model.content.rows(items), strict=True):
        assert torch.equal(mine, theirs)
    monkeypatch.undo()
    users = torch.arange(90)
    with torch.no_grad():
        assert torch.equal(other.scorer()(users), model.scorer()(users))


def test_what_was_kept_is_not_written_again(kept):
    _, _, run = kept
    before = (run.path / MATRIX).stat()
    back = reopen(run.path)
    keep_propagated(back, back.build_model(), run)
    after = (run.path / MATRIX).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@given(st.sampled_from([MATRIX, INDEX]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_after_any_changed_byte_nothing_is_taken_or_the_same(kept, name, place, change):
    prepared, _, run = kept
    path = run.path / name
    whole = path.read_bytes()
    content = bytearray(whole)
    content[int(place * len(content))] ^= change
    path.write_bytes(content)
    try:
        found = taken(run, prepared)
    finally:
        path.write_bytes(whole)
    same = taken(run, prepared)
    assert set(same) == set(prepared.dataset.features)
    if found:  # a blank of the header has become another blank
        assert name == INDEX and place < 0.9
        for mine, theirs in zip(found.values(), same.values(), strict=True):
            assert torch.equal(mine.informed, theirs.informed) and mine.columns == theirs.columns


def taken(run, prepared, **other):
    parts = {"spec": prepared.spec, "dataset": prepared.dataset, "split": prepared.split}
    return kept_propagated(run, **parts | other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
    ],
)
@pytest.mark.parametrize("name", [MATRIX, INDEX])
def test_what_is_damaged_is_made_again_with_a_warning(tmp_path, kept, caplog, name, damage):
    shutil.copytree(kept[2].path, tmp_path / "run")
    damage(tmp_path / "run" / name)
    run = RunDir(tmp_path / "run")
    with caplog.at_level(logging.WARNING, "hugraph"):
        found = taken(run, kept[0])
    assert found == {}
    assert f"the first propagation is done again: {name} is" in caplog.text


def test_it_belongs_to_data_split_graph_scaling_model_and_code(kept, caplog, monkeypatch):
    prepared, _, run = kept
    dataset, split = prepared.dataset, prepared.split
    changes = ["graph.min_common_users=3", "data.scaling=unit", "model.conv.hops=2"]
    others = [{"spec": SCHEMA.resolve(run.path / "spec.yaml", [change])} for change in changes]
    renamed = dataset.item_ids.copy()
    renamed[0] = "another"
    others += [{"dataset": replace(dataset, item_ids=renamed)}]
    others += [{"dataset": replace(dataset, fingerprint="x")}, {"split": replace(split, hash="x")}]
    monkeypatch.setattr(propagation, "_code", lambda spec: "changed")
    assert taken(run, prepared) == {}
    monkeypatch.undo()
    for other in others:
        caplog.clear()
        assert taken(run, prepared, **other) == {}
        assert "is damaged, or of other code; `hugraph fit --resume" in caplog.text
    assert taken(run, prepared, spec=SCHEMA.resolve(run.path / "spec.yaml", ["train.epochs=9"]))


def test_the_code_of_a_component_of_others_counts(tmp_path, monkeypatch, kept):
    prepared = kept[0]
    own = propagation._code(prepared.spec)
    assert own == propagation._code(SCHEMA.resolve(kept[2].path / "spec.yaml"))
    module = tmp_path / "others.py"
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for line in ("", "pass"):
        module.write_text(
            f"from functools import partial\ndef conv(dim):\n    return dim\n{line}\n"
        )
        conv = importlib.import_module("others").conv
        options = {**prepared.spec.model.options, "conv": Bound(partial(conv, dim=8), {})}
        spec = replace(prepared.spec, model=replace(prepared.spec.model, options=options))
        seen.append(propagation._code(spec))
    assert len({own, *seen}) == 3


@pytest.mark.parametrize(
    "columns",
    [
        {"visual": [0, 8]},
        {"visual": [0, 8], "acoustic": [9, 17], "textual": [17, 24]},
        {"visual": [0, 8], "acoustic": [8, 8], "textual": [8, 24]},
        {"visual": [0, 10**6], "acoustic": [10**6, 10**6 + 1], "textual": [10**6 + 1, 10**9]},
        {"visual": [0], "acoustic": [8, 16], "textual": [16, 24]},
        [[0, 8], [8, 16], [16, 24]],
        json.loads("[" * 900 + "]" * 900),
    ],
)
def test_columns_that_are_not_those_of_the_file_are_refused_under_a_valid_seal(
    tmp_path, kept, columns
):
    prepared, _, source = kept
    shutil.copytree(source.path, tmp_path / "run")
    index, matrix = tmp_path / "run" / INDEX, source.path / MATRIX
    tensors = safetensors.torch.load(index.read_bytes())
    rests_on = propagation._rests_on(prepared.spec, prepared.dataset, prepared.split)
    digest = sha256(matrix.read_bytes()).hexdigest()
    seal = propagation._seal(rests_on, digest, columns, tensors)
    metadata = {"columns": json.dumps(columns), "seal": seal}
    index.write_bytes(safetensors.torch.save(tensors, metadata))
    assert taken(RunDir(tmp_path / "run"), prepared) == {}


def test_data_that_have_moved_are_the_same_data(kept, tmp_path):
    prepared, _, run = kept
    shutil.copytree(prepared.spec.data.source.options["path"], tmp_path / "moved")
    assert reopen(run.path, data=str(tmp_path / "moved")).kept


def test_features_in_memory_and_models_that_do_not_propagate_leave_nothing(tmp_path):
    for number, overrides in enumerate((["data.memory_map=false"], MODELS["vbpr"])):
        home = tmp_path / str(number)
        home.mkdir()
        _, model, run = begun(home, *overrides)
        assert kept_bytes(model) == 0
        assert not list(run.path.glob("propagated*"))


@pytest.mark.parametrize("full_after", [0, 1])
def test_on_a_full_disk_nothing_is_kept_and_the_run_goes_on(
    tmp_path, monkeypatch, caplog, full_after
):
    """No room is seen before anything is written, or is gone when the second file is."""
    if full_after:
        write = RunDir.write

        def full(self, name, content):
            if name == INDEX:
                raise ResourceError("cannot write it (No space left on device)")
            write(self, name, content)

        monkeypatch.setattr(RunDir, "write", full)
    else:
        monkeypatch.setattr(atomic, "_free", lambda directory: 10_000)
    prepared, model, run = begun(tmp_path)
    assert "the first propagation is not kept" in caplog.text
    assert not list(run.path.glob("propagated*"))
    monkeypatch.undo()
    with RunDir.resume(run.path) as run:
        assert runs.finish(prepared, model, run)["epochs"] == 3


def test_where_a_damaged_one_cannot_be_replaced_nothing_is_left_of_it(
    tmp_path, kept, monkeypatch, caplog
):
    shutil.copytree(kept[2].path, tmp_path / "run")
    run = RunDir(tmp_path / "run")
    (run.path / MATRIX).write_bytes(b"x")
    monkeypatch.setattr(atomic, "_free", lambda directory: 10_000)
    keep_propagated(kept[0], kept[1], run)
    assert "the first propagation is not kept (not enough disk space" in caplog.text
    assert not list(run.path.glob("propagated*"))


def test_a_file_that_the_system_does_not_open_is_made_again(kept, monkeypatch, caplog):
    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(propagation, "map_npy", gone)
    assert taken(kept[2], kept[0]) == {}
    assert "is done again" in caplog.text


def test_its_size_is_known_before(kept):
    _, model, run = kept
    size = (run.path / MATRIX).stat().st_size
    assert size - 128 <= kept_bytes(model) < size
