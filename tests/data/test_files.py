import csv
import gzip
import random
import weakref
from collections import Counter

import numpy as np
import pytest

from hugraph.data.files import load_directory
from hugraph.data.modalities import read_modality
from hugraph.errors import DataError, HugraphError, SpecError

from .directories import INTERACTIONS, ITEMS, directory, npy

VISUAL = np.array([[1, 2], [0, 0], [3, 4]], dtype=np.float16)


def test_a_directory_worked_by_hand(tmp_path):
    path = directory(
        tmp_path,
        interactions__csv="user,item,timestamp,rating,split,extra\n"
        "bob,z,30,4,train,?\n"
        "ann,x,10,3.5,Val,?\n"
        "bob,x,20, 5 ,test,?\n",
        items__csv="item,title,genre\nx,=1+1,a\ny,,b\nz,<b>Zoo</b>,c\n",
        visual__npy=VISUAL,
    )
    data = load_directory(path=path)
    assert data.name == tmp_path.name
    assert not data.synthetic
    assert data.user_ids.tolist() == ["bob", "ann"]
    assert data.item_ids.tolist() == ["x", "y", "z"]
    assert (data.users.tolist(), data.items.tolist()) == ([0, 1, 0], [2, 0, 0])
    assert data.timestamps.tolist() == [30, 10, 20]
    assert data.ratings.tolist() == [4, 3.5, 5]
    assert data.given_split.tolist() == [0, 1, 2]
    assert [data.title(item) for item in range(3)] == ["=1+1", "", "<b>Zoo</b>"]
    assert data.item_table["genre"].to_list() == ["a", "b", "c"]
    assert data.features["visual"].dtype == np.float32
    assert data.features["visual"].tolist() == VISUAL.tolist()
    assert sorted(data.files) == ["interactions.csv", "items.csv", "visual.npy"]
    assert data.warnings == (
        "1 of 3 items have no interaction",
        "visual: 1 of 3 items lack it",
    )


def test_only_the_modalities_asked_for_are_read_and_in_that_order(tmp_path):
    path = directory(tmp_path, b__npy=VISUAL, a__npy=VISUAL + 1, broken__npy=b"no array")
    assert list(load_directory(path=path, modalities=["b", "a"]).features) == ["b", "a"]
    assert load_directory(path=path, modalities=[]).features == {}
    with pytest.raises(DataError, match=r"not a \.npy file"):
        load_directory(path=path)


def test_a_modality_that_is_not_there_or_asked_for_twice_is_refused(tmp_path):
    path = directory(tmp_path, visual__npy=VISUAL)
    with pytest.raises(SpecError) as caught:
        load_directory(path=path, modalities=["visua"])
    assert "no modality 'visua' in this dataset; did you mean 'visual'? (known: visual)" in str(
        caught.value
    )
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ValueError, match="distinct"):
        load_directory(path=path, modalities=["visual", "visual"])


def test_rows_are_aligned_by_a_list_of_ids(tmp_path):
    features = np.array([[1, 1], [2, 2], [3, 3]], dtype=">f8")
    path = directory(tmp_path, visual__npy=features, visual__ids="z\r\nx\r\nstranger\r\n")
    data = load_directory(path=path)
    assert data.features["visual"].tolist() == [[2, 2], [0, 0], [1, 1]]
    assert "visual: 1 ids left out that are no items of the dataset" in data.warnings
    assert "visual.ids" in data.files


def test_without_an_items_file_row_i_is_item_i(tmp_path):
    interactions = "user,item\nann,2\nann,0\nbob,2\n"
    path = directory(tmp_path, interactions__csv=interactions, items__csv=None, visual__npy=VISUAL)
    data = load_directory(path=path)
    assert data.item_ids.tolist() == ["0", "1", "2"]
    assert data.items.tolist() == [2, 0, 2]
    assert data.item_table is None
    for wrong in ("3", "-1", "02", "2.0", "x"):
        directory(tmp_path, interactions__csv=f"{interactions}bob,{wrong}\n", items__csv=None)
        with pytest.raises(DataError, match=r"no row in the feature matrices \(items 0 to 2\)"):
            load_directory(path=path)


def test_without_items_and_features_the_items_are_those_interacted_with(tmp_path):
    path = directory(tmp_path, items__csv=None)
    data = load_directory(path=path)
    assert data.item_ids.tolist() == ["x", "y", "z"]
    assert data.features == {}


def test_a_bag_of_tokens_worked_by_hand(tmp_path):
    tokens = "item,token\nz,cat\nx,dog\nz,cat\nstranger,ant\nz,dog\nx,ape\n"
    path = directory(tmp_path, words__tokens__csv=tokens)
    data = load_directory(path=path)
    bag = data.features["words"]
    assert bag.tokens.tolist() == [0, 1, 2, 2, 0]  # x: dog ape; z: cat cat dog
    assert bag.offsets.tolist() == [0, 2, 2, 5]
    assert bag.num_tokens == 3
    assert "words: 1 of 3 items lack it" in data.warnings
    assert "words: 1 ids left out that are no items of the dataset" in data.warnings


def test_the_fingerprint_changes_with_any_byte_and_with_nothing_else(tmp_path):
    path = directory(tmp_path, visual__npy=VISUAL)
    before = load_directory(path=path)
    assert load_directory(path=path + "/.").fingerprint == before.fingerprint
    (tmp_path / "README").write_text("new")
    assert load_directory(path=path).fingerprint == before.fingerprint
    directory(tmp_path, visual__npy=VISUAL * 2)
    after = load_directory(path=path)
    assert after.fingerprint != before.fingerprint
    changed = {name for name in before.files if before.files[name] != after.files[name]}
    assert changed == {"visual.npy"}


def test_repeated_interactions_are_merged_and_the_first_row_stays(tmp_path):
    rows = "user,item,rating\nann,x,1\nbob,y,2\nann,x,3\nann,y,4\nbob,y,5\n"
    data = load_directory(path=directory(tmp_path, interactions__csv=rows))
    assert data.ratings.tolist() == [1, 2, 4]
    assert "2 repeated interactions merged; the first row of each stays" in data.warnings


def test_ids_that_look_alike_stay_apart_and_are_pointed_out(tmp_path):
    rows = "user,item\n7,x\n07,x\n7.0,y\n"
    data = load_directory(path=directory(tmp_path, interactions__csv=rows))
    assert data.user_ids.tolist() == ["7", "07", "7.0"]
    assert "2 user ids look like others, as '7' and '07'" in data.warnings


def test_ids_of_which_some_are_floats_are_pointed_out(tmp_path):
    rows = "user,item\n7.0,x\n8,x\n9.0,y\n7.0,y\n"
    data = load_directory(path=directory(tmp_path, interactions__csv=rows))
    assert "2 user ids are floats, as '7.0', others not" in data.warnings


def test_only_one_modality_at_a_time_is_in_memory_as_read(tmp_path, monkeypatch):
    alive = []

    def watched(*arguments, **options):
        assert [ref for ref in alive if ref() is not None] == []
        matrix = read_modality(*arguments, **options)
        alive.append(weakref.ref(matrix.values))
        return matrix

    monkeypatch.setattr("hugraph.data.files.read_modality", watched)
    path = directory(tmp_path, a__npy=VISUAL, b__npy=VISUAL + 1, c__npy=VISUAL + 2)
    assert list(load_directory(path=path).features) == ["a", "b", "c"]
    assert len(alive) == 3


def test_oddities_of_features_are_pointed_out(tmp_path):
    matrix = np.array([[1, 5, 1], [2, 5, 2], [3, 5, 3]], dtype=np.float32)
    path = directory(tmp_path, a__npy=matrix, b__npy=matrix)
    warnings = load_directory(path=path).warnings
    assert {
        "a and b are the same file",
        "a: 1 of 3 columns constant",
        "a: 1 of 3 columns repeated",
    } <= set(warnings)


def test_a_user_who_has_everything_is_pointed_out(tmp_path):
    path = directory(tmp_path, interactions__csv=INTERACTIONS + "ann,z\n")
    assert (
        "1 users have every item, nothing can be recommended to them"
        in load_directory(path=path).warnings
    )


def test_null_values_can_be_left_out(tmp_path):
    rows = "user,item,rating\nann,x,1\n,y,1\nbob,,\nbob,y,2\nbob,z,\n"
    path = directory(tmp_path, interactions__csv=rows)
    with pytest.raises(DataError) as caught:
        load_directory(path=path)
    assert caught.value.what == (
        "3 interactions lack a value (1 without user, 1 without item, 2 without rating); "
        "the first in rows 3, 4, 6"
    )
    assert "drop_nulls" in caught.value.fix
    data = load_directory(path=path, drop_nulls=True)
    assert data.ratings.tolist() == [1, 2]
    assert "3 interactions left out that lack a value" in data.warnings


def test_planted_columns_mark_the_data_as_synthetic(tmp_path):
    items = "item,title,planted_level_1\nx,X,3\ny,Y,1\nz,Z,0\n"
    data = load_directory(path=directory(tmp_path, items__csv=items))
    assert data.synthetic
    assert data.truth["level_1"].tolist() == [3, 1, 0]
    assert data.item_table.columns == ["item", "title"]
    directory(tmp_path, items__csv=items.replace("3", "three"))
    with pytest.raises(DataError, match="'planted_level_1' must hold a whole number") as caught:
        load_directory(path=str(tmp_path))
    assert "items.csv, row 2" in caught.value.at


@pytest.mark.parametrize(
    ("files", "message", "place"),
    [
        ({"interactions__csv": None}, "no interactions.csv", ""),
        ({"interactions__csv": "user,item\n"}, "0 interactions", "interactions.csv"),
        ({"interactions__csv": "user,item\nann,x\n \t ,y\n"},
         "1 interactions lack a value .1 without user.; the first in rows 3", "interactions.csv"),
        ({"items__csv": "item,title\nx,X\n  ,Y\nz,Z\n"}, "1 rows have no id", "items.csv, row 3"),
        ({"v__npy": np.ones((3, 2)), "v__ids": "x\n  \ny\n"}, "id '  ' is empty", "line 2"),
        ({"w__tokens__csv": "item,token\nx,1\n  ,2\n"}, "1 rows lack an item or a token", "row 3"),
        ({"interactions__csv": "user,item\nann,x\nann,y\n"}, "1 users, 3 items, 2 inter", ""),
        ({"interactions__csv": INTERACTIONS + "cat,q\nann,q\ndan,r\n"},
         "2 items of the interactions have no row in the items file .3 rows.: 'q', 'r'",
         "interactions.csv, row 6"),
        ({"interactions__csv": "user,item\n1.0,x\n2.0,y\n"}, "all user ids are floats, as '1.0'",
         "column user"),
        ({"interactions__csv": "user,item,timestamp\na,x,5\nb,y,5.5\n"},
         "timestamp '5.5' is no whole number of 0 or more .1 such rows.", "row 3, column timesta"),
        ({"interactions__csv": "user,item,timestamp\na,x,5\nb,y,-3\n"},
         "timestamp '-3' is no whole number", "row 3"),
        ({"interactions__csv": "user,item,timestamp\na,x,964982703\nb,y,964982703000\n"},
         "'964982703000' is in milliseconds, while row 2 is in seconds .964982703.", "row 3"),
        ({"interactions__csv": 'user,item,rating\na,x,3\nb,y,"3,5"\n'},
         "rating '3,5' is no finite number", "row 3, column rating"),
        ({"interactions__csv": "user,item,rating\na,x,nan\nb,y,3\n"}, "rating 'nan'", "row 2"),
        ({"interactions__csv": "user,item,split\na,x,train\nb,y,later\n"},
         "split 'later' is no part of a split", "row 3, column split"),
        ({"interactions__csv": "user,item,split\na,x,train\nb,y,test\na,x,test\n"},
         "1 interactions stand in two parts of the given split: "
         "user 'a', item 'x' in train .row 2. and test .row 4.", "interactions.csv"),
        ({"items__csv": "item,title\nx,X\ny,Y\nx,Z\n"}, "1 rows have no id.*the first has 'x'",
         "items.csv, row 4"),
        ({"items__csv": "item,title\nx,X\n,Y\nz,Z\n"}, "1 rows have no id", "items.csv, row 3"),
        ({"v__npy": np.ones((2, 4))}, "2 rows of 4 values for 3 items", "v.npy"),
        ({"v__npy": np.ones((2, 3))}, "for 3 items; it looks transposed", "v.npy"),
        ({"v__npy": np.array([[1], [np.nan], [1]])}, "1 values are NaN.*row 1, column 0, item 'y'",
         "v.npy"),
        ({"v__npy": np.ones((3, 2)), "v__ids": "x\ny\n"}, "3 rows, v.ids has 2 ids", "v.npy"),
        ({"v__npy": np.ones((3, 2)), "v__ids": "x\ny\nx\n"}, "id 'x' is empty or.*twice",
         "v.ids, line 3"),
        ({"v__npy": np.ones((2, 2)), "v__ids": "p\nq\n"}, "nothing for any item", "v.npy"),
        ({"v__npy": np.ones((3, 2)), "v__ids": b"\xff"}, "byte 0 is not UTF-8", "v.ids"),
        ({"v__npy": np.ones((3, 2)), "v__tokens__csv": "item,token\nx,1\n"},
         "v.npy and v.tokens.csv are both there", ""),
        ({"w__tokens__csv": "item,token\nq,1\n"}, "nothing for any item", "w.tokens.csv"),
        ({"w__tokens__csv": "item,token\nx,1\ny,\n"}, "1 rows lack an item or a token",
         "w.tokens.csv, row 3"),
        ({"interactions__csv__gz": gzip.compress(INTERACTIONS.encode())}, "are both there", ""),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used_are_refused_with_the_place(tmp_path, files, message, place):
    with pytest.raises(DataError, match=message) as caught:
        load_directory(path=directory(tmp_path, **files))
    assert caught.value.at.startswith((str(tmp_path), tmp_path.name))
    assert place in caught.value.at
    assert caught.value.fix


def test_mutated_directories_end_in_a_hugraph_error_or_a_dataset(tmp_path):
    """What loads has no value that is not finite and no index out of range."""
    files = {
        "interactions.csv": b"user,item,timestamp,rating,split\na,x,1,2,train\nb,y,2,3,test\n",
        "items.csv": ITEMS.encode(),
        "visual.npy": npy(VISUAL.astype(np.float32)),
        "words.tokens.csv": b"item,token\nx,1\ny,2\ny,1\n",
    }
    rng = random.Random(11)
    outcomes = Counter()
    for _ in range(400):
        broken = rng.choice(list(files))
        for name, content in files.items():
            mutant = bytearray(content)
            for _ in range(rng.randint(1, 3) if name == broken else 0):
                mutant[rng.randrange(len(mutant))] = rng.choice([rng.randrange(256), *b'",\n-.9'])
            (tmp_path / name).write_bytes(mutant)
        try:
            data = load_directory(path=str(tmp_path))
        except HugraphError as error:
            assert error.at
            assert error.fix
            outcomes["error"] += 1
        else:
            assert np.isfinite(data.features["visual"]).all()
            assert 0 <= data.items.min() <= data.items.max() < data.num_items
            outcomes["dataset"] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize("name", ["tiktok", "lastfm2k", "ml-100k", "ml-latest-small"])
def test_a_real_dataset_is_read_as_the_csv_module_reads_it(real_data, name):
    path = real_data(name)
    with (path / "interactions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (path / "items.csv").open(newline="") as stream:
        items = list(csv.DictReader(stream))
    data = load_directory(path=str(path))
    users, interacted = data.user_ids[data.users], data.item_ids[data.items]
    assert users.tolist() == [row["user"] for row in rows]
    assert interacted.tolist() == [row["item"] for row in rows]
    assert data.item_ids.tolist() == [row["item"] for row in items]
    assert [data.title(item) for item in range(data.num_items)] == [row["title"] for row in items]
    if "timestamp" in rows[0]:
        assert data.timestamps.tolist() == [int(row["timestamp"]) for row in rows]
    if "rating" in rows[0]:
        assert data.ratings.tolist() == [float(row["rating"]) for row in rows]
    if "split" in rows[0]:
        parts = ["train", "val", "test"]
        assert data.given_split.tolist() == [parts.index(row["split"]) for row in rows]
    for modality, features in data.features.items():
        assert np.array_equal(features, np.load(path / f"{modality}.npy", allow_pickle=False))
    assert set(data.features) == {file.stem for file in path.glob("*.npy")}


def test_what_is_loaded_can_become_tensors_without_a_copy_or_a_warning(tmp_path):
    path = directory(
        tmp_path,
        interactions__csv="user,item,timestamp,rating,split\na,x,1,2,train\nb,y,2,3,test\n",
        visual__npy=VISUAL,
    )
    data = load_directory(path=path)
    for array in (data.users, data.items, data.timestamps, data.ratings, data.given_split):
        assert array.flags["WRITEABLE"]
    assert data.features["visual"].flags["WRITEABLE"]


def test_matrices_left_on_disk_are_the_same_dataset(tmp_path):
    rng = np.random.default_rng(0)
    acoustic, visual = (rng.normal(size=(3, dim)).astype(np.float32) for dim in (2, 3))
    acoustic[1] = 0
    visual[:, 1] = 4
    path = directory(tmp_path, acoustic__npy=acoustic, visual__npy=visual)
    read, mapped = (load_directory(path=path, memory_map=how) for how in (False, True))
    for name, features in read.features.items():
        assert isinstance(mapped.features[name], np.memmap)
        assert np.array_equal(mapped.features[name], features)
        assert np.array_equal(mapped.present(name), read.present(name))
    assert (mapped.fingerprint, mapped.files) == (read.fingerprint, read.files)
    assert mapped.warnings == read.warnings and len(read.warnings) == 2


def test_a_matrix_that_must_be_put_in_order_cannot_stay_on_disk(tmp_path):
    features = np.ones((3, 2), dtype=np.float32)
    path = directory(tmp_path, visual__npy=features, visual__ids="z\ny\nx\n")
    with pytest.raises(DataError, match=r"visual.ids orders the rows") as caught:
        load_directory(path=path, memory_map=True)
    assert "data.memory_map to false" in caught.value.fix


def test_a_matrix_on_disk_that_does_not_match_its_checksum_is_refused(tmp_path):
    path = directory(tmp_path, visual__npy=np.ones((3, 2), dtype=np.float32))
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  visual.npy\n")
    with pytest.raises(DataError, match=r"visual.npy is damaged or was changed"):
        load_directory(path=path, memory_map=True)
