import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MinLen, Predicate

from hugraph.checks import check_options, descending, distinct
from hugraph.interfaces import Component

if TYPE_CHECKING:
    from nowhere import Unknown


def ascending(values):
    """Values rise."""
    return list(values) == sorted(values)


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    count: Annotated[int, Ge(1)] = 1
    rate: Annotated[float, Gt(0), Le(1)] = 0.5
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    below: Annotated[float, Lt(3)] = 0.0
    mode: Literal["a", "b"] = "a"
    limit: Annotated[int, Ge(1)] | None = None
    on: bool = False
    name: str | Sequence[str] = "x"
    levels: Annotated[Sequence[Annotated[int, Ge(2)]], MinLen(1), Predicate(ascending)] = (2,)
    ratios: Annotated[Sequence[float], Len(3, 3)] = (1.0, 1.0, 1.0)
    weights: Mapping[str, Annotated[float, Ge(0)]] | Annotated[float, Ge(0)] = 0.0
    inner: Inner = Inner()
    layer: Annotated[Callable[..., Any], Component("conv")] = print


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("count", 0, "greater than or equal to 1"),
        ("count", 1.5, "a valid integer"),
        ("count", True, "a valid integer"),
        ("count", "1", "a valid integer"),
        ("rate", 0, "greater than 0"),
        ("rate", 1.5, "less than or equal to 1"),
        ("rate", math.nan, "a finite number"),
        ("rate", math.inf, "a finite number"),
        ("share", 1.0, "less than 1"),
        ("mode", "c", "'a' or 'b'"),
        ("limit", 0, "greater than or equal to 1"),
        ("on", 1, "a valid boolean"),
        ("levels", [3, 1], "greater than or equal to 2"),
        ("levels", [3, 2], "ascending"),
        ("weights", -5.0, "a valid dictionary or greater than or equal to 0"),
        ("inner", {"size": 3}, "an instance of Inner"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_would_be(name, value, wanted):
    with pytest.raises(ValueError) as caught:
        check_options(Options, **{name: value})
    assert str(caught.value) == f"{name} must be {wanted}, got {value!r}"


def test_what_the_annotations_allow_passes():
    check_options(Options, **vars(Options()))
    check_options(
        Options,
        count=np.int64(3),
        rate=1,
        limit=4,
        name=["a", "b"],
        levels=(2, 3),
        weights={"l2": 1.0},
        layer=len,
    )


def test_a_constructor_or_a_function_is_checked_by_its_keywords_alone():
    class Layer:
        def __init__(self, graph: "Unknown", *, dim: "Annotated[int, Ge(1)]" = 8) -> None:
            check_options(Layer, dim=dim)

    def build(*, dim: Annotated[int, Ge(1)]) -> None:
        check_options(build, dim=dim)

    Layer(None)
    for refusing in (lambda: Layer(None, dim=0), lambda: build(dim=0)):
        with pytest.raises(ValueError, match=r"^dim must be greater than or equal to 1, got 0$"):
            refusing()


def test_lists_descend_or_are_distinct_strictly():
    assert descending([3, 2, 1]) and descending([]) and not descending([2, 2])
    assert distinct(["a", "b"]) and distinct([]) and not distinct(["a", "b", "a"])
