"""What a sweep varies: keys of a spec, each with its choices or its range."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from hugraph.assembly.spec import Node, gathered, parse, shown, write_inline
from hugraph.checks import distinct
from hugraph.errors import SpecError

Point = dict[str, str]  # by key, the YAML text that an override would give it


@dataclass(frozen=True)
class Range:
    """The numbers between two ends, both of them included.

    Attributes:
        low: The lower end; if both ends are integers, so are all numbers between.
        high: The upper end.
        log: Whether numbers are drawn evenly by their logarithm.
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def integers(self) -> bool:
        """Whether there are only integers between the ends."""
        return isinstance(self.low, int)


@dataclass(frozen=True)
class Space:
    """The keys that a sweep varies.

    Attributes:
        choices: By key, the values to try, as YAML text.
        ranges: By key, the numbers to draw from.
    """

    choices: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, Range]

    @classmethod
    def parse(cls, grid: Sequence[str] = (), ranges: Sequence[str] = ()) -> "Space":
        """Reads what the command line gives.

        Args:
            grid: Such as `train.lr=[1e-4, 1e-3]`: a key and the list of its choices.
            ranges: Such as `train.lr=[1e-4, 1e-1, log]`: a key and two ends.

        Raises:
            SpecError: With every fault in `problems`: no list or an empty one, ends that are none,
                something listed twice, or nothing to vary.
        """
        found: dict[str, tuple[str, ...] | Range] = {}
        faults: list[SpecError] = []
        options = [("--grid", text) for text in grid] + [("--range", text) for text in ranges]
        for option, text in options:
            at = f"{option} {text!r}"
            try:
                key, node = _assignment(text, at)
                if key in found:
                    raise SpecError(f"{key} is varied twice", at=at, fix="give it once")
                found[key] = (_choices if option == "--grid" else _range)(key, node, at)
            except SpecError as error:
                faults += error.problems or [error]
        if not options:
            fix = "add for example --grid 'train.lr=[1e-4, 1e-3, 1e-2]'"
            faults.append(SpecError("there is nothing to vary", fix=fix))
        if faults:
            raise gathered(faults, "what the sweep varies")
        return cls(
            {key: values for key, values in found.items() if isinstance(values, tuple)},
            {key: values for key, values in found.items() if isinstance(values, Range)},
        )

    def __iter__(self) -> Iterator[str]:
        yield from self.choices
        yield from self.ranges

    def __len__(self) -> int:
        """The number of combinations of choices."""
        return prod(len(values) for values in self.choices.values())

    @property
    def size(self) -> int | None:
        """The number of points; None with a range of real numbers, which has no end of them."""
        ranges = self.ranges.values()
        if not all(between.integers for between in ranges):
            return None
        return len(self) * prod(int(between.high - between.low) + 1 for between in ranges)

    def points(self) -> Iterator[Point]:
        """Every combination of choices."""
        for values in product(*self.choices.values()):
            yield dict(zip(self.choices, values, strict=True))

    def star(self) -> Iterator[Point]:
        """A first point, then each other choice and the other end of each range in its place."""
        values = dict(self.choices)
        for key, between in self.ranges.items():
            values[key] = (write_inline(between.low), write_inline(between.high))
        first = {key: texts[0] for key, texts in values.items()}
        yield first
        for key, texts in values.items():
            yield from ({**first, key: text} for text in texts[1:])

    def tree(self) -> dict[str, Any]:
        """Plain values, to be stored and compared."""
        return {
            "grid": {key: list(values) for key, values in self.choices.items()},
            "range": {key: [r.low, r.high, r.log] for key, r in self.ranges.items()},
        }


def _assignment(text: str, at: str) -> tuple[str, Node]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        what = f"{text!r} is not of the form section.key=[...]"
        raise SpecError(what, at=at, fix="try 'train.lr=[1e-4, 1e-3]'")
    return key, parse(value, at, inline=True)


def _choices(key: str, node: Node, at: str) -> tuple[str, ...]:
    values = node.plain()
    if not isinstance(values, list) or not values:
        given = "an empty one" if values == [] else shown(values)
        text = values if isinstance(values, str) else write_inline(values or [1, 2]).strip("[]")
        what = f"{key}: expected a list of choices, got {given}"
        raise SpecError(what, at=at, fix=f"for example '{key}=[{text}]'")
    texts = tuple(map(write_inline, values))
    if not distinct(texts):
        once = ", ".join(dict.fromkeys(texts))
        raise SpecError(f"{key} lists a choice twice", at=at, fix=f"write '{key}=[{once}]'")
    return texts


def _range(key: str, node: Node, at: str) -> Range:
    given = node.plain()
    ends, scale = (given[:2], given[2:]) if isinstance(given, list) else ([], [])
    if [type(end) in (int, float) for end in ends] != [True, True] or scale not in ([], ["log"]):
        wanted = "two ends, and perhaps log"
    elif not (0 if scale else float("-inf")) < ends[0] < ends[1] < float("inf"):
        wanted = f"{'0 < ' * len(scale)}lower < upper end"
    else:
        if not all(isinstance(end, int) for end in ends):
            ends = [float(end) for end in ends]
        return Range(ends[0], ends[1], log=bool(scale))
    what = f"{key}: expected {wanted}, got {shown(given)}"
    raise SpecError(what, at=at, fix=f"for example '{key}=[1e-4, 1e-1, log]'")
