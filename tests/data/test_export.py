import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.data.dataset import Dataset
from hugraph.data.export import write_directory
from hugraph.data.files import load_directory
from hugraph.data.filter import filter_interactions
from hugraph.data.synthetic import planted
from hugraph.errors import DataError, ResourceError
from hugraph.interfaces import TokenBag


def assert_same(one, other):
    for name in ("user_ids", "item_ids", "users", "items"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for name in ("timestamps", "ratings", "given_split"):
        columns = getattr(one, name), getattr(other, name)
        assert [column is None for column in columns] in ([True, True], [False, False])
        if columns[0] is not None:
            assert columns[0].tolist() == columns[1].tolist()
    assert one.item_table.equals(other.item_table)
    assert list(one.features) == list(other.features)
    for modality, features in one.features.items():
        if isinstance(features, TokenBag):
            assert features.tokens.tolist() == other.features[modality].tokens.tolist()
            assert features.offsets.tolist() == other.features[modality].offsets.tolist()
            assert features.num_tokens == other.features[modality].num_tokens
        else:
            assert np.array_equal(features, other.features[modality])
    assert list(one.truth) == list(other.truth)
    assert all(one.truth[level].tolist() == other.truth[level].tolist() for level in one.truth)
    assert one.synthetic == other.synthetic


def test_a_planted_dataset_is_read_back_with_its_truth(tmp_path):
    data = planted(
        num_users=50, num_items=60, interactions_per_user=8, modalities=["acoustic", "visual"]
    )
    write_directory(data, tmp_path / "new" / "planted")
    assert_same(load_directory(path=str(tmp_path / "new" / "planted")), data)


TEXTS = st.text(min_size=1, max_size=4).filter(lambda text: text.strip())


@given(
    st.lists(TEXTS, unique=True, min_size=2, max_size=2),
    st.lists(TEXTS, unique=True, min_size=3, max_size=3),
    st.lists(st.text(max_size=5), min_size=3, max_size=3),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
)
def test_any_ids_titles_and_ratings_are_read_back(tmp_path_factory, users, items, titles, ratings):
    data = Dataset(
        name="",
        user_ids=np.array(users, dtype=object),
        item_ids=np.array(items, dtype=object),
        users=np.array([0, 1, 0]),
        items=np.array([2, 1, 0]),
        timestamps=np.array([3, 1, 2]),
        ratings=np.array(ratings),
        given_split=np.array([0, 1, 2], dtype=np.int8),
        item_table=pl.DataFrame({"item": items, "title": titles}),
        features={
            "visual": np.array([[1, 2], [0, 0], [3, 1e-30]], dtype=np.float32),
            "words": TokenBag(torch.tensor([0, 1, 0, 2]), torch.tensor([0, 2, 2, 4]), 3),
        },
        fingerprint="",
    )
    path = tmp_path_factory.mktemp("d") / "data"
    write_directory(data, path)
    assert_same(load_directory(path=str(path)), data)


def test_a_filtered_real_dataset_is_read_back(real_data, tmp_path):
    data = filter_interactions(load_directory(path=str(real_data("ml-100k"))), k_core=20)
    write_directory(data, tmp_path)
    again = load_directory(path=str(tmp_path))
    assert again.user_ids[again.users].tolist() == data.user_ids[data.users].tolist()
    users = {name: getattr(data, name) for name in ("user_ids", "users")}
    assert_same(replace(again, **users), data)  # users are numbered anew


def test_the_checksums_are_those_of_sha256sum(tmp_path):
    write_directory(planted(num_users=9, num_items=60, interactions_per_user=3), tmp_path)
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout
    assert check.stdout.count(": OK") == len(list(tmp_path.iterdir())) - 1


def test_a_flipped_bit_in_a_written_file_is_found(tmp_path):
    write_directory(planted(num_users=9, num_items=60, interactions_per_user=3), tmp_path)
    content = bytearray((tmp_path / "visual.npy").read_bytes())
    content[-3] ^= 1
    (tmp_path / "visual.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"visual\.npy is damaged or was changed"):
        load_directory(path=str(tmp_path))


def test_nothing_is_overwritten_and_refusals_are_explained(tmp_path, monkeypatch):
    data = planted(num_users=9, num_items=60, interactions_per_user=3)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(DataError, match="the directory is not empty"):
        write_directory(data, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(ResourceError, match="cannot be written: File exists"):
        write_directory(data, tmp_path / "mine")

    def refuse(self, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ResourceError, match="No space left on device"):
        write_directory(replace(data, truth={}), tmp_path / "new")


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    (tmp_path / "items.csv").write_text("precious")
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))
    with pytest.raises(ResourceError, match="cannot be written: File exists"):
        write_directory(planted(num_users=9, num_items=60, interactions_per_user=3), tmp_path)
    assert (tmp_path / "items.csv").read_text() == "precious"


@pytest.mark.parametrize("name", ["../evil", "", "a/b", "/etc/x", "..", "-n", "items", "visual\n"])
def test_a_modality_whose_name_is_not_that_of_a_file_is_not_written(tmp_path, name):
    data = planted(num_users=9, num_items=60, interactions_per_user=3)
    renamed = replace(data, features={name: data.features["visual"]})
    with pytest.raises(DataError, match="no file can have the name of modality"):
        write_directory(renamed, tmp_path / "out" / "new")
    assert list(tmp_path.iterdir()) == []
