from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, Predicate
from pydantic import TypeAdapter

from hugraph.assembly.annotation import describe, example
from tests.assembly.shop import Oven, Rest, rising

WORDS = [
    (int, "integer"),
    (bool, "true or false"),
    (Annotated[int, Ge(1)], "integer >= 1"),
    (Annotated[float, Ge(0), Lt(1)], "number >= 0 and < 1"),
    (Annotated[float, Interval(gt=0, le=1)], "number > 0 and <= 1"),
    (float | None, "number or null"),
    (Literal["sum", "mean"], "one of sum, mean"),
    (Sequence[str], "list of string"),
    (Annotated[Sequence[Annotated[int, Ge(2)]], MinLen(1)], "list of integer >= 2 (not empty)"),
    (Annotated[list[float], Len(3, 3)], "list of number (3 of them)"),
    (Annotated[tuple[int, ...], MinLen(2), MaxLen(4)], "list of integer (at least 2) (at most 4)"),
    (
        Annotated[Sequence[int], Predicate(rising)],
        "list of integer; each size must exceed the one before",
    ),
    (Mapping[str, float] | float, "mapping of names to number or number"),
    (Rest, "mapping"),
]


@pytest.mark.parametrize(("annotation", "words"), WORDS, ids=lambda value: str(value)[:40])
def test_an_annotation_is_described_in_words(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    "annotation",
    [
        *(annotation for annotation, _ in WORDS if annotation is not Rest),
        Annotated[int, Gt(7)],
        Annotated[float, Gt(0), Lt(0.9)],
        Annotated[int, Le(-3)],
        Annotated[float, Lt(-3)],
        str,
    ],
    ids=str,
)
def test_an_example_is_allowed_by_its_annotation(annotation):
    given = example(annotation)
    allowed = TypeAdapter(annotation).validate_python(given)
    assert (list(allowed) if isinstance(given, list) else allowed) == given


def test_the_example_of_a_section_is_an_empty_mapping():
    assert example(Oven) == {}
