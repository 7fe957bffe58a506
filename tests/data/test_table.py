import gzip
import io
import random
import re
import zlib

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hugraph.data.folder import Folder
from hugraph.data.table import find_table, read_table
from hugraph.errors import DataError


def read(path, content, *, name="t.csv", required=("user", "item"), known=None, **options):
    (path / name).write_bytes(content)
    return read_table(Folder(path, **options), name, required=required, known=known)


def parquet(**columns):
    stream = io.BytesIO()
    pl.DataFrame(columns).write_parquet(stream)
    return stream.getvalue()


BLANK = re.compile(r"[^\S\x1c-\x1f]*")
ROWS = [("1", "a"), ("2", "b")]


@pytest.mark.parametrize(
    "content",
    [
        b"user,item\n1,a\n2,b\n",
        b"user,item\n1,a\n2,b",
        b"user,item\r\n1,a\r\n2,b\r\n",
        b"\xef\xbb\xbfuser,item\n1,a\n2,b\n",
        b" user ,item \n1,a\n2,b\n",
        b"user,item\n1,a\n\n2,b\n\n\n",
        b"user,item\r\n1,a\r\n\r\n2,b\r\n\r\n",
        b'"user","item"\n"1","a"\n2,"b"\n',
        b"item,user\na,1\nb,2\n",
        b"user,extra,item\n1,,a\n2,x,b\n",
        gzip.compress(b"user,item\n1,a\n2,b\n"),
        gzip.compress(b"user,item\n1,a\n") + gzip.compress(b"2,b\n"),
        parquet(user=[1, 2], item=["a", "b"]),
        parquet(user=[1, 2], item=pl.Series(["a", "b"], dtype=pl.Categorical)),
    ],
)  # fmt: skip
def test_the_same_table_is_read_from_every_way_of_writing_it(tmp_path, content):
    table = read(tmp_path, content, known=("user", "item"))
    assert table.frame.select("user", "item").rows() == ROWS


def test_ids_are_never_taken_for_numbers(tmp_path):
    ids = ["007", "1e3", "9007199254740993", "1_0", "１２", "NA", "null", "#1", " 7", "-5", "true"]
    ids += ["=1+1", "<b>", "\x1b[31m", "../x", "10" * 20]
    content = "user,item\n" + "".join(f"{raw_id},x\n" for raw_id in ids)
    assert read(tmp_path, content.encode()).frame["user"].to_list() == ids


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
@example([('a"b', "c,d"), ("e\nf", "g\rh"), ("\u2028", "#")])
def test_what_polars_writes_is_read_back_blank_ids_as_nulls(tmp_path_factory, rows):
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    table = read(tmp_path_factory.mktemp("t"), frame.write_csv().encode())
    ids = [tuple(None if BLANK.fullmatch(raw_id) else raw_id for raw_id in row) for row in rows]
    assert table.frame.rows() == [row for row in ids if any(row)]


def test_rows_are_counted_as_a_spreadsheet_counts_them(tmp_path):
    table = read(tmp_path, b'user,item\n1,"a\nb"\n\n2,c\n')
    assert table.rows.tolist() == [2, 4]
    assert table.at(1) == f"{tmp_path / 't.csv'}, row 4"
    assert read(tmp_path, parquet(user=["", "2"], item=["", "b"])).rows.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message", "fix"),
    [
        (b"", "the file is empty", "write a header"),
        (b"\n\n", "the file is empty", "write a header"),
        (b"17,42\n18,43\n", "no column 'user': expected user,item, got '17,42'", "first line"),
        (b"User,item\n1,a\n", "no column 'user'", "rename column 'User' to 'user'"),
        (b"user_id,item\n1,a\n", "no column 'user'", "rename column 'user_id' to 'user'"),
        (b"user;item\n1;a\n", "no column 'user'", "the file looks like ';' does"),
        (b"user\titem\n1\ta\n", "no column 'user'", "separate the columns by commas"),
        (b"user,item,user\n1,a,2\n", "column 'user' is there twice", "rename or drop"),
        (b"user,item\n1,a\n2,b,c\n", "line 3 has 3 fields, the header has 2", "every row"),
        (b"user,item\n1,a\n2\n3,c\n", "line 3 has 1 fields, the header has 2", "every row"),
        (b'user,item\n1,"a\nb"\n2\n', "line 4 has 1 fields", "every row"),
        (b'user,item\n1,a\n2,"b\n3,c\n', "line 3 has a quote that is not closed", "every row"),
        (b'user,item\n1,a\n"2"x,b\n', "line 3 has a quote.*or text after one", '""'),
        (b'user,item\n1,x"y\n2,b\n', "not well-formed CSV", '""'),
        (b"user,item\n1,\xff\n", "byte 12 is not UTF-8", "UTF-8"),
        ("user,item\n1,a\n".encode("utf-16"), "byte 0 is not UTF-8", "UTF-8"),
        (b"user,item\r1,a\r2,b\r", "the header cannot be read", "plain CSV"),
        (gzip.compress(b"user,item\n1,a\n" * 99)[:-30], "gzip ends early, at byte", "fetch"),
        (b"\x1f\x8b" + bytes(40), "gzip is damaged", "fetch"),
        (zlib.compress(b"user,item\n1,a\n"), "something other than gzip", "gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "something other than gzip", "gzip"),
        (gzip.compress(gzip.compress(b"user,item\n1,a\n")), "byte 1 is not UTF-8", "UTF-8"),
        (b"PAR1 and no more", "Parquet cannot be read", "damaged"),
        (parquet(user=[1], item=["a"])[:-9], "Parquet cannot be read", "damaged"),
        (parquet(user=[1.0], item=["a"]), "column 'user' is Float64: large ids would be rounded",
         "string or integer"),
        (parquet(user=[[1]], item=["a"]), r"column 'user' is List\(Int64\)", "text"),
        (parquet(user=[1], item=[True]), "column 'item' is Boolean, not text or a number", "text"),
        (parquet(user=[1], item=["a"], tags=[["x"]]), "column 'tags' is List", "drop"),
        (parquet(user=[1], itme=["a"]), "no column 'item'", "rename column 'itme' to 'item'"),
    ],
)  # fmt: skip
def test_a_malformed_table_is_refused_with_its_place_and_a_fix(tmp_path, content, message, fix):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    assert caught.value.at.startswith(str(tmp_path / "t.csv"))
    assert fix in caught.value.fix


def test_a_short_row_is_told_from_an_empty_last_field(tmp_path):
    content = b"user,item,title\n1,a,\n2,b,B\n"
    assert read(tmp_path, content).frame["title"].to_list() == [None, "B"]
    with pytest.raises(DataError, match="line 2 has 2 fields, the header has 3"):
        read(tmp_path, b"user,item,title\n1,a\n2,b,B\n")


def test_bombs_are_refused_before_they_unfold(tmp_path):
    bomb = gzip.compress(b"user,item\n" + b"1,a\n" * 10**6)
    with pytest.raises(DataError, match="expand to more than max_bytes 100,000"):
        read(tmp_path, bomb, max_bytes=100_000)
    bomb = parquet(user=pl.repeat("1", 10**6, eager=True), item=pl.repeat("a", 10**6, eager=True))
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="1,000,000 rows of 2 columns take more than max_bytes"):
        read(tmp_path, bomb, max_bytes=100_000)


def test_only_the_known_columns_of_parquet_are_read(tmp_path):
    content = parquet(user=["1"], item=["a"], tags=[["x"]])
    assert read(tmp_path, content, known=("user", "item")).frame.columns == ["user", "item"]


def test_moments_in_parquet_become_whole_microseconds(tmp_path):
    moments = pl.Series(["1970-01-01 00:00:01", "1970-01-02 00:00:00"]).str.to_datetime(
        time_unit="ms"
    )
    table = read(tmp_path, parquet(user=[1, 2], item=[1, 2], timestamp=moments))
    assert table.frame["timestamp"].to_list() == ["1000000", "86400000000"]


def test_two_files_for_one_table_are_refused(tmp_path):
    (tmp_path / "items.csv").write_bytes(b"")
    assert find_table(Folder(tmp_path), "items") == "items.csv"
    assert find_table(Folder(tmp_path), "interactions") is None
    (tmp_path / "items.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"items.csv and items.parquet are both there"):
        find_table(Folder(tmp_path), "items")


@pytest.mark.parametrize(
    "content",
    [
        b'user,item,title\n1,a,"x, y"\n2,b,\n3,"c\nd",z\n',
        gzip.compress(b"user,item\n1,a\n2,b\n"),
    ],
)
def test_mutated_csv_ends_in_a_data_error_or_a_table(tmp_path, content):
    rng = random.Random(5)
    outcomes = {"table": 0, "error": 0}
    for _ in range(400):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            mutant[rng.randrange(len(mutant))] = rng.choice([rng.randrange(256), *b'",\n\r'])
        try:
            read(tmp_path, bytes(mutant[: rng.choice([None, rng.randrange(len(mutant))])]))
            outcomes["table"] += 1
        except DataError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 0


def test_mutated_parquet_ends_in_a_data_error_or_a_table(tmp_path):
    content = parquet(user=list(range(50)), item=[str(item) for item in range(50)])
    rng = random.Random(5)
    outcomes = {"table": 0, "error": 0}
    for _ in range(300):
        mutant = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            mutant[rng.randrange(4, len(mutant))] = rng.randrange(256)
        try:
            read(tmp_path, bytes(mutant))
            outcomes["table"] += 1
        except DataError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 0
