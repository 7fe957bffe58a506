import os

import pytest

from hugraph.assembly.layers import merge, read_layers
from hugraph.assembly.spec import parse
from hugraph.errors import ResourceError, SpecError

NAMES = {"component": frozenset(), "source": frozenset({"split"})}


def plain(base, change):
    return merge(parse(base, "base"), parse(change, "change"), NAMES).plain()


@pytest.mark.parametrize(
    ("base", "change", "merged"),
    [
        ("{a: 1, b: 2}", "{b: 3}", {"a": 1, "b": 3}),
        ("{a: {b: 1, c: {d: 2}}}", "{a: {c: {e: 3}}}", {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: {b: 1}}", "{a: 2}", {"a": 2}),
        ("{a: {b: 1}}", "{a: {}}", {"a": {}}),
        ("{a: {b: {c: 1}}, d: 1}", "{a: {b: {}}}", {"a": {"b": {}}, "d": 1}),
        ("{a: 1}", "{}", {"a": 1}),
        ("{a: 2}", "{a: {b: 1}}", {"a": {"b": 1}}),
        ("{m: {component: x, b: 1}}", "{m: {b: 2}}", {"m": {"component": "x", "b": 2}}),
        (
            "{m: {component: x, b: 1}}",
            "{m: {component: x, c: 2}}",
            {"m": {"component": "x", "b": 1, "c": 2}},
        ),
        ("{m: {component: x, b: 1}}", "{m: {component: y}}", {"m": {"component": "y"}}),
        (
            "{d: {source: x, b: 1, split: s}}",
            "{d: {source: y}}",
            {"d": {"source": "y", "split": "s"}},
        ),
    ],
)
def test_a_change_is_laid_over_a_base(base, change, merged):
    assert plain(base, change) == merged


def test_a_merged_mapping_keeps_the_place_of_the_base_and_each_value_its_own():
    merged = merge(parse("a: 1\nm: {b: 1}", "base"), parse("\nm: {c: 2}", "change"), NAMES)
    mapping = merged.value["m"]
    assert str(mapping.place) == "base:2:4"
    assert str(mapping.value["c"].place) == "change:2:8"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def test_the_most_basic_file_comes_first_and_overrides_last(write):
    write("a.yaml", "extends: sub/b.yaml\nx: 1")
    write("sub/b.yaml", "extends: c.yaml\nx: 2")
    write("sub/c.yaml", "x: 3")
    changes = read_layers("a.yaml", ["p.q=[1, 1e-3]", "x="])
    assert [[layer.plain() for layer in change] for change in changes] == [
        [{"x": 3}],
        [{"x": 2}],
        [{"x": 1}],
        [{"p": {"q": [1, 0.001]}}, {"x": None}],
    ]


def test_an_override_is_its_own_place(write):
    write("a.yaml", "x: 1")
    _, (override,) = read_layers("a.yaml", ["p.q=[1]"])
    assert str(override.value["p"].value["q"].value[0].place) == "override 'p.q=[1]'"


@pytest.mark.parametrize("override", ["p.q", "=1", "p..q=1", ".=1", ""])
def test_an_override_without_key_or_value_is_refused(write, override):
    write("a.yaml", "x: 1")
    with pytest.raises(SpecError, match="1 fault in the overrides") as caught:
        read_layers("a.yaml", [override])
    assert "is not of the form section.key=value" in caught.value.problems[0].what


def test_all_faults_of_overrides_are_said_at_once(write):
    write("a.yaml", "x: 1")
    with pytest.raises(SpecError) as caught:
        read_layers("a.yaml", ["p", "q=[", "r=&a 1", "s=1"])
    assert [problem.at for problem in caught.value.problems] == [
        "override 'p'",
        "override 'q=['",
        "override 'r=&a 1'",
    ]


def test_specs_that_extend_each_other_in_a_circle_are_refused(write):
    write("a.yaml", "extends: sub/b.yaml")
    write("sub/b.yaml", "x: 1\nextends: ../a.yaml")
    with pytest.raises(SpecError, match="in a circle, back to") as caught:
        read_layers("a.yaml")
    assert caught.value.at == "sub/b.yaml:2:10"


def test_a_base_that_is_missing_is_told_where_it_is_named(write):
    write("a.yaml", "extends: nowhere.yaml")
    with pytest.raises(SpecError, match=r"spec not found: nowhere\.yaml") as caught:
        read_layers("a.yaml")
    assert caught.value.at == "a.yaml:1:10"
    assert caught.value.fix == "there are a.yaml"


def test_extends_takes_no_absolute_path_and_shows_nothing_of_what_is_no_spec(write, tmp_path):
    write("secret", "root:x:0:0")
    write("a.yaml", f"x: 1\nextends: {tmp_path / 'secret'}")
    with pytest.raises(SpecError, match="is absolute") as caught:
        read_layers("a.yaml")
    assert caught.value.at == "a.yaml:2:10"
    write("sub/a.yaml", "extends: ../secret")
    with pytest.raises(SpecError, match="must be a mapping, not a string") as caught:
        read_layers("sub/a.yaml")
    assert "root" not in str(caught.value)


@pytest.mark.parametrize("value", ["3", "[b.yaml]", "", "''"])
def test_extends_takes_one_path(write, value):
    write("a.yaml", f"extends: {value}")
    with pytest.raises(SpecError, match="extends: expected the path of a spec"):
        read_layers("a.yaml")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfx: 1\n",
        "x: 1\n".encode("utf-16"),
        b"x: 1\r\n",
        b"\n\n# why\nx: 1  \n\n",
    ],
)
def test_byte_order_marks_and_dos_lines_are_accepted(write, content):
    write("a.yaml", content)
    ((layer,),) = read_layers("a.yaml")
    assert layer.plain() == {"x": 1}


@pytest.mark.parametrize(
    ("content", "what", "at"),
    [
        (b"", "spec is empty", "a.yaml:1:1"),
        (b"# nothing\n", "spec is empty", "a.yaml:2:1"),
        (b"- a\n", r"must be a mapping, not a list\n", "a.yaml:1:1"),
        (b"hello\n", r"must be a mapping, not a string\n", "a.yaml:1:1"),
        (b"3\n", r"must be a mapping, not a integer\n", "a.yaml:1:1"),
        (b"x: 1\ny: caf\xe9\n", "not text: byte 0xe9 at offset 11", "a.yaml:2:7"),
        (b"x" * (2**20 + 1), "larger than 1048576 bytes", "a.yaml"),
    ],
)
def test_a_file_that_is_no_spec_is_refused(write, content, what, at):
    write("a.yaml", content)
    with pytest.raises(SpecError, match=what) as caught:
        read_layers("a.yaml")
    assert caught.value.at == at
    assert caught.value.fix


@pytest.mark.timeout(5)
def test_what_is_not_a_regular_file_is_not_opened(write, tmp_path):
    write("a.yaml", "x: 1")
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, what in [
        ("pipe.yaml", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (".", "is a directory"),
        ("a.yaml/b", "not found"),
        ("x" * 5000, "cannot be read"),
    ]:
        with pytest.raises(SpecError, match=what):
            read_layers(path)


def test_a_file_without_permission_is_a_matter_of_the_system(write, monkeypatch):
    write("a.yaml", "x: 1")

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ResourceError, match="no permission to read"):
        read_layers("a.yaml")
