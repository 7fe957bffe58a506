import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugraph.assembly.spec import Place, parse, write, write_inline
from hugraph.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("12", 12),
        ("+3", 3),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"),
        ("2024-13-45", "2024-13-45"),
        ("=", "="),
        ("'12'", "12"),
        ('"a\\tb"', "a\tb"),
        ("|\n two\n lines\n", "two\nlines\n"),
        ("[1, [2.0, x]]", [1, [2.0, "x"]]),
        ("{a: {b: }}", {"a": {"b": None}}),
        ("'12': 1\n'no': 2", {"12": 1, "no": 2}),
        ("no: 1", {"no": 1}),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(text, value):
    read = parse(text, "t").plain()
    assert read == value
    assert type(read) is type(value)


def test_every_value_and_key_knows_its_place():
    node = parse("a: 1\nb:\n  - x\n  - c:  2\n", "my.yaml")
    inner = node.value["b"].value[1].value["c"]
    assert str(node.value["a"].place) == "my.yaml:1:4"
    assert str(inner.key) == "my.yaml:4:5"
    assert str(inner.place) == "my.yaml:4:9"


def test_an_inline_text_is_its_own_place():
    assert parse("[1]", "override 'a=[1]'", inline=True).value[0].place == Place("override 'a=[1]'")


@pytest.mark.parametrize(
    ("text", "what", "at"),
    [
        ("a: [1", "expected ',' or ']'", "t:1:6"),
        ("a: 1\n\tb: 2", r"found character '\\t'", "t:2:1"),
        ("a: 1\n---\nb: 2", "one document; a second one starts here", "t:2:1"),
        ("a: 1\nb: 2\na: 3", "duplicate key 'a', first on line 1", "t:3:1"),
        ("a: &x 1", "anchor &x is not allowed", "t:1:4"),
        ("a: *x", r"alias \*x is not allowed", "t:1:4"),
        ("a: !!int abc", "tag !!int is not allowed", "t:1:4"),
        ("a: !!bool maybe", "tag !!bool is not allowed", "t:1:4"),
        ("a: !!python/object/apply:os.system ['x']", "tag !!python/object/apply:os", "t:1:4"),
        ("a: ! x", "tag ! is not allowed", "t:1:4"),
        ("<<: {a: 1}", "merge keys are not allowed", "t:1:1"),
        ("1: a", "keys are strings, got integer 1", "t:1:1"),
        ("true: a", "keys are strings, got boolean true", "t:1:1"),
        ("~: a", "keys are strings, got null", "t:1:1"),
        ("? [1]\n: a", r"keys are strings, got list \[1\]", "t:1:3"),
        ("%YAML 1.1\n---\na: 1", "directives are not allowed", "t:1:1"),
        ("a: 012", "012 is ambiguous", "t:1:4"),
        ("a: 9223372036854775808", "integer beyond 64 bits", "t:1:4"),
        ("a: " + 5000 * "9", "integer beyond 64 bits", "t:1:4"),
        ("a: b\0c", r"character U\+0000 is not allowed", "t:1:5"),
        ("a: \x1b[31m", r"character U\+001B is not allowed", "t:1:4"),
        ("a: \u202ex", r"character U\+202E is not allowed", "t:1:4"),
        ('a: "\\ud800"', r"character U\+D800 is not allowed in a string", "t:1:4"),
        ("a:\n" + 500 * "[" + 500 * "]", "nested deeper than 32", "t:2:33"),
        ("a:\n" + 30000 * "[", "nested deeper than 32", "t:2:33"),
        ("\n".join(i * " " + "a:" for i in range(99)), "nested deeper than 32", "t:33:33"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text, what, at):
    with pytest.raises(SpecError, match=what) as caught:
        parse(text, "t")
    problem = (caught.value.problems or (caught.value,))[0]
    assert problem.at.split("\n")[0] == at
    assert problem.fix


def test_a_caret_points_at_the_fault():
    with pytest.raises(SpecError) as caught:
        parse("seed: 1\ntrain: {lr: }}\n", "my.yaml")
    assert caught.value.at.split("\n") == [
        "my.yaml:2:14",
        "    train: {lr: }}",
        "                 ^",
    ]


def test_all_that_is_not_allowed_is_said_at_once():
    with pytest.raises(SpecError, match="3 faults in t") as caught:
        parse("a: &x 1\nb: *x\na: 2", "t")
    assert [problem.at.split("\n")[0] for problem in caught.value.problems] == [
        "t:1:4",
        "t:2:4",
        "t:3:1",
    ]


def test_an_alias_bomb_is_refused_before_it_grows():
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]" for i in range(1, 20)]
    with pytest.raises(SpecError, match="anchor &a0 is not allowed"):
        parse("\n".join(lines), "t")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]))
    | st.sampled_from(["yes", "1e-3", "012", "null", "1:30", "-", "a: b", "#", "0x1", "~", " x "])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(TREES)
def test_what_is_written_is_read_back_equal(tree):
    assert parse(write(tree), "t").plain() == tree
    inline = write_inline(tree)
    assert "\n" not in inline
    assert parse(inline, "t").plain() == tree
