import os
import resource
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hugraph.assembly import recommendation
from hugraph.assembly.experiment import Experiment
from hugraph.assembly.recommendation import (
    SCHEMA,
    recommend,
    recommend_in_blocks,
    write_lists,
)
from hugraph.assembly.sections import SCHEMA as SPECS
from hugraph.errors import DivergedError, ResourceError
from tests.assembly.small import MODELS, write_small_spec

READ = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
LISTS = pl.DataFrame(
    {
        "user": ["u", "u", "007"],
        "rank": [1, 2, 1],
        "item": ["a", 'b,"', "a"],
        "title": ["Ä", "", "Ä"],
        "score": [0.5, 0.25, -1.0],
    },
    schema=SCHEMA,
)
IN_BOUNDED_MEMORY = """
import resource, sys
from pathlib import Path
import polars as pl
from hugraph.assembly.recommendation import SCHEMA, write_lists

def blocks(number):
    for block in range(number):
        rows = pl.int_range(2**16, eager=True)
        name = f"a long name of block {block}, number " + rows.cast(pl.String)
        yield pl.DataFrame([name, rows, name, name, rows.cast(pl.Float32)], schema=SCHEMA)

path = Path(sys.argv[1])
write_lists(blocks(10), path)  # whatever is loaded on first use is there now
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
block = next(blocks(1)).estimated_size()
resource.setrlimit(resource.RLIMIT_AS, (now + 10 * block,) * 2)
write_lists(blocks(30), path)
with open(path) as file:
    print(sum(1 for _ in file))
"""


@pytest.fixture
def experiment(tmp_path):
    path = write_small_spec(tmp_path)
    return Experiment.prepare(SPECS.resolve(path, MODELS["popularity"]))


def test_recommendations_are_the_best_unseen_items_by_raw_id(experiment):
    model = experiment.build_model()
    lists = recommend(experiment, model, [5, 2], 4)
    for user in (5, 2):
        counts = experiment.item_degrees.numpy().astype(float)
        known = experiment.known
        counts[known.items[known.users == user].numpy()] = -np.inf
        best = np.argsort(-counts, kind="stable")[:4]
        rows = lists.filter(lists["user"] == experiment.dataset.user_ids[user])
        assert rows["item"].to_list() == [experiment.dataset.item_ids[i] for i in best]
        assert rows["title"].to_list() == [experiment.dataset.title(int(i)) for i in best]
        assert rows["score"].to_list() == [counts[i] for i in best]
        assert rows["rank"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize("suffix", READ)
def test_lists_written_block_by_block_are_read_as_one(tmp_path, suffix):
    path = tmp_path / f"lists{suffix}"
    write_lists((LISTS[start : start + 1] for start in range(3)), path)
    types = {"schema_overrides": {"user": pl.String}} if suffix == ".csv" else {}
    read = (
        READ[suffix](path, **types).cast(dict(SCHEMA)).with_columns(pl.col("title").fill_null(""))
    )
    assert_frame_equal(read, LISTS)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", READ)
def test_no_lists_make_a_file_without_rows(tmp_path, suffix):
    write_lists(iter([]), tmp_path / f"lists{suffix}")
    if suffix != ".jsonl":
        assert READ[suffix](tmp_path / f"lists{suffix}").columns == list(SCHEMA)


@pytest.mark.parametrize("suffix", READ)
@pytest.mark.parametrize("fault", [DivergedError("scores are not finite"), SystemExit(143)])
def test_what_goes_wrong_between_two_blocks_is_raised_and_leaves_the_old_file(
    tmp_path, suffix, fault
):
    def blocks():
        yield LISTS
        raise fault

    (path := tmp_path / f"lists{suffix}").write_bytes(b"old")
    with pytest.raises(type(fault)) as caught:
        write_lists(blocks(), path)
    assert str(caught.value) == str(fault)
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", READ)
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path, suffix):
    (path := tmp_path / f"lists{suffix}").write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        with pytest.raises(ResourceError, match=f"cannot write lists{suffix} \\(.*File too large"):
            write_lists(iter([LISTS]), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == [path.name] and path.read_bytes() == b"old"


def test_any_number_of_lists_is_written_in_the_memory_of_a_few_blocks(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", IN_BOUNDED_MEMORY, tmp_path / "lists.csv"],
        capture_output=True,
        text=True,
        env={**os.environ, "POLARS_MAX_THREADS": "2"},
    )
    assert (ran.stdout, ran.stderr) == (f"{30 * 2**16 + 1}\n", "")


def test_blocks_of_users_give_the_lists_of_all(experiment, monkeypatch):
    model = experiment.build_model()
    users = range(experiment.dataset.num_users)
    whole = recommend(experiment, model, users, 4)
    monkeypatch.setattr(recommendation, "BLOCK_ROWS", 30)
    blocks = list(recommend_in_blocks(experiment, model, users, 4))
    assert [user for block, _ in blocks for user in block] == list(users)
    assert {len(block) for block, _ in blocks[:-1]} == {7}
    assert_frame_equal(pl.concat(lists for _, lists in blocks), whole)
