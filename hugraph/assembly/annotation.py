"""What an annotation allows: its anatomy, in words, and by example."""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types as at

from hugraph.interfaces import Component


class Options(NamedTuple):
    """Marks a keyword that takes the options of one constructor, with no choice of another."""

    constructor: Callable[..., Any]


_WORDS: dict[Any, str] = {
    Any: "value",
    bool: "true or false",
    float: "number",
    int: "integer",
    str: "string",
    NoneType: "null",
}
_BOUNDS = {
    at.Ge: ("ge", ">=", operator.ge),
    at.Gt: ("gt", ">", operator.gt),
    at.Le: ("le", "<=", operator.le),
    at.Lt: ("lt", "<", operator.lt),
}


def unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """Splits `Annotated[T, ...]` into `T` and the metadata, `Interval` and `Len` taken apart."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    core, *metadata = get_args(annotation)
    flat: list[Any] = []
    for entry in metadata:
        grouped = at.GroupedMetadata in type(entry).__mro__  # a protocol's isinstance is slow
        flat.extend(entry if grouped else [entry])
    return core, flat


def mark(annotation: Any) -> Component | Options | None:
    """What component or constructor an annotation asks for, if it does."""
    marks = [entry for entry in unwrap(annotation)[1] if isinstance(entry, Component | Options)]
    return marks[0] if marks else None


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation alone."""
    core, _ = unwrap(annotation)
    return get_args(core) if get_origin(core) in (Union, UnionType) else (annotation,)


def item(annotation: Any) -> Any:
    """The annotation of a list's items, or None if it is not that of a list."""
    return _argument(annotation, Sequence, 0)


def entry(annotation: Any) -> Any:
    """The annotation of the values of a mapping with free keys, or None if it is not one."""
    return _argument(annotation, Mapping, 1)


def describe(annotation: Any) -> str:
    """Says what an annotation allows: `integer >= 1`, `list of string or null`."""
    core, metadata = unwrap(annotation)
    marked = mark(annotation)
    if isinstance(marked, Component):
        return f"{marked.kind} component"
    if marked or is_dataclass(core):
        return "mapping"
    if get_origin(core) is Literal:
        return "one of " + ", ".join(map(str, get_args(core)))
    if len(members := alternatives(core)) > 1:
        text = " or ".join(map(describe, members))
    elif (inner := item(core)) is not None:
        text = f"list of {describe(inner)}"
    elif (inner := entry(core)) is not None:
        text = f"mapping of names to {describe(inner)}"
    else:
        text = _WORDS.get(core, getattr(core, "__name__", str(core)))
    return text + _limits(metadata)


def example(annotation: Any) -> Any:
    """A plain value that an annotation allows, to show to somebody who left it out."""
    core, metadata = unwrap(annotation)
    if get_origin(core) is Literal:
        return get_args(core)[0]
    if len(members := alternatives(core)) > 1:
        return example(members[0])
    if (inner := item(core)) is not None:
        return [example(inner)] * _length(metadata)
    if core in (int, float):
        return _number(core, metadata)
    return {bool: True, str: "text"}.get(core, {})


def _argument(annotation: Any, collection: type, index: int) -> Any:
    core, _ = unwrap(annotation)
    origin = get_origin(core)
    if isinstance(origin, type) and issubclass(origin, collection):
        return get_args(core)[index]
    return None


def _length(metadata: list[Any]) -> int:
    return max([1, *(limit.min_length for limit in metadata if isinstance(limit, at.MinLen))])


def _bounds(metadata: list[Any]) -> list[tuple[Any, str, Callable[[Any, Any], bool]]]:
    found = []
    for limit in metadata:
        if type(limit) in _BOUNDS:
            attribute, sign, holds = _BOUNDS[type(limit)]
            found.append((getattr(limit, attribute), sign, holds))
    return found


def _limits(metadata: list[Any]) -> str:
    bounds = " and ".join(f"{sign} {end}" for end, sign, _ in _bounds(metadata))
    lengths, rules = {}, ""
    for limit in metadata:
        if isinstance(limit, at.MinLen):
            lengths["at least"] = limit.min_length
        elif isinstance(limit, at.MaxLen):
            lengths["at most"] = limit.max_length
        elif isinstance(limit, at.Predicate):
            rule = inspect.getdoc(limit.func) or limit.func.__name__
            rules += f"; {rule[0].lower()}{rule[1:]}".split("\n")[0].rstrip(".")
    if lengths == {"at least": 1}:
        text = " (not empty)"
    elif len(set(lengths.values())) == 1 < len(lengths):
        text = f" ({lengths['at least']} of them)"
    else:
        text = "".join(f" ({word} {length})" for word, length in lengths.items())
    return (f" {bounds}" if bounds else "") + text + rules


def _number(core: type, metadata: list[Any]) -> Any:
    bounds = _bounds(metadata)
    ends = [end for end, _, _ in bounds]
    for candidate in [1, 0.5, *ends, *(end + 1 for end in ends), *(end - 1 for end in ends)]:
        fits = all(holds(candidate, end) for end, _, holds in bounds)
        if fits and (core is float or candidate == int(candidate)):
            return core(candidate)
    return core(1)
