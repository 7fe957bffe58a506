"""A small catalogue for tests, with one component of every shape a signature can have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Len, Lt, MinLen, Predicate

from hugraph.assembly.annotation import Options
from hugraph.assembly.faults import Fault
from hugraph.assembly.registry import Bound, Registry
from hugraph.assembly.schema import Schema
from hugraph.interfaces import Component


class Flour:
    """Ground grain.

    Args:
        grams: How much of it.
        grain: What it is made of.
    """

    def __init__(
        self,
        shop: str,
        *,
        grams: Annotated[int, Ge(1)] = 500,
        grain: Literal["wheat", "rye"] = "wheat",
    ) -> None:
        self.shop, self.grams, self.grain = shop, grams, grain


class Oven:
    """Heat."""

    def __init__(self, *, degrees: Annotated[float, Interval(gt=0, le=300)] = 220.0) -> None:
        self.degrees = degrees


def rising(sizes: Sequence[int]) -> bool:
    """Each size must exceed the one before."""
    return all(small < large for small, large in pairwise(sizes))


def bread(
    kitchen: str,
    *,
    flour: Annotated[Callable[..., Flour], Component("flour")] = Flour,
    sizes: Annotated[Sequence[Annotated[int, Ge(2)]], MinLen(1), Predicate(rising)] = (2, 4),
    crust: bool = True,
    hydration: Annotated[float, Ge(0), Lt(1)] | None = None,
    spices: Mapping[str, Annotated[float, Gt(0)]] | Annotated[float, Gt(0)] = 1.0,
) -> tuple[Any, ...]:
    """Bakes.

    Args:
        kitchen: Where.
        flour: The main ingredient.
        sizes: Loaves, from small
            to large.
        crust: Whether it has one.
        hydration: Share of water.
        spices: Weight of each, or of all.
    """
    return kitchen, flour("mill"), sizes, crust, hydration, spices


def soup(kitchen: str, *, litres: int) -> tuple[Any, ...]:
    """Boils.

    Args:
        kitchen: Where.
        litres: How much.
    """
    return kitchen, litres


def market(*, stall: str = "a", weights: Annotated[Sequence[float], Len(3)] = (1, 2, 3)) -> str:
    """Sells.

    Args:
        stall: Which.
        weights: Three.
    """
    return f"market {stall}"


def garden(*, path: str) -> str:
    """Grows."""
    return f"garden {path}"


FLOURS = Registry("flour", {"plain": Flour, "rye": partial(Flour, grain="rye")})
DISHES = Registry("dish", {"bread": bread, "soup": soup})
SHOPS = Registry("source", {"market": market, "garden": garden}, key="source")
REGISTRIES = {registry.kind: registry for registry in (FLOURS, DISHES, SHOPS)}


@dataclass(frozen=True, kw_only=True)
class Rest:
    """A pause.

    Args:
        minutes: How long.
    """

    minutes: Annotated[int, Ge(0)] = 10


@dataclass(frozen=True, kw_only=True)
class Shopping:
    """Where things come from."""

    source: Annotated[Bound, Component("source")]
    bags: Annotated[int, Ge(1)] = 2


@dataclass(frozen=True, kw_only=True)
class Meal:
    """A meal.

    Args:
        version: The format.
        shopping: Where things come from.
        dish: What is made.
        oven: How hot.
        rest: How long.
        guests: Who comes.
    """

    version: Literal[1]
    shopping: Shopping
    dish: Annotated[Bound, Component("dish")]
    oven: Annotated[Bound, Options(Oven)] = field(default_factory=lambda: Bound(Oven, {}))
    rest: Rest | None = field(default_factory=Rest)
    guests: Sequence[str] = ()


def rest_needs_an_oven_that_is_hot(meal: Meal):
    if meal.rest and meal.rest.minutes > meal.oven.options["degrees"]:
        yield Fault([("rest", "minutes"), ("oven", "degrees")], "rests too long", "rest less")


SCHEMA = Schema(Meal, REGISTRIES, [rest_needs_an_oven_that_is_hot])
