"""Checks what a caller gives against what the annotation of a keyword allows."""

import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import getdoc, isclass
from itertools import pairwise
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types as at

_KINDS: dict[Any, tuple[type, str]] = {
    bool: (bool, "a boolean"),
    float: (numbers.Real, "a finite number"),
    int: (numbers.Integral, "an integer"),
    str: (str, "a string"),
    NoneType: (NoneType, "None"),
}


def check_options(constructor: Callable[..., Any], **values: Any) -> None:
    """Refuses values that the annotations of a constructor's parameters do not allow.

    It knows plain types, `Literal`, unions, sequences, mappings, dataclasses, and the ranges of
    `annotated_types`; other annotations, such as those of components, allow everything.

    Args:
        constructor: A function, a class, or a dataclass.
        values: What was given, by the names of its parameters.

    Raises:
        ValueError: If a value is not allowed; it says which, and what would be.
    """
    for name, annotation in _annotations(constructor, list(values)).items():
        for wanted in _faults(annotation, values[name]):
            raise ValueError(f"{name} must be {wanted}, got {values[name]!r}")


def descending(values: Sequence[float]) -> bool:
    """Each is smaller than the one before."""
    return all(large > small for large, small in pairwise(values))


def distinct(values: Sequence[Any]) -> bool:
    """Nothing is listed twice."""
    return len(set(values)) == len(values)


def _annotations(constructor: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """Those of `names` alone: others may be of types that are imported for type checkers only."""
    function: Any = constructor.__init__ if isclass(constructor) else constructor
    chosen = SimpleNamespace(__annotations__={n: function.__annotations__[n] for n in names})
    return get_type_hints(chosen, function.__globals__, include_extras=True)


def _faults(annotation: Any, value: Any) -> Iterator[str]:
    """What `annotation` asks for and `value` is not; nothing if it is allowed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        core, *limits = arguments
        faults = list(_faults(core, value))
        yield from faults or (wanted for limit in limits for wanted in _broken(limit, value))
    elif origin is Literal:
        if value not in arguments:
            yield "one of " + ", ".join(map(repr, arguments))
    elif origin in (Union, UnionType):
        faults = [next(_faults(member, value), "") for member in arguments]
        if all(faults):
            yield " or ".join(faults)
    elif isclass(origin) and issubclass(origin, Sequence):
        if isinstance(value, str) or not isinstance(value, Sequence):
            yield "a sequence"
        else:
            yield from _inner("a sequence, each item", arguments[0], value)
    elif isclass(origin) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            yield "a mapping"
        else:
            yield from _inner("a mapping, each value", arguments[1], value.values())
    elif annotation in _KINDS:
        kind, wanted = _KINDS[annotation]
        is_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not is_kind or (annotation is float and not math.isfinite(value)):
            yield wanted
    elif hasattr(annotation, "__dataclass_fields__") and not isinstance(value, annotation):
        yield f"of type {annotation.__name__}"


def _inner(what: str, annotation: Any, values: Any) -> Iterator[str]:
    for value in values:
        yield from (f"{what} {wanted}" for wanted in _faults(annotation, value))


def _broken(limit: Any, value: Any) -> Iterator[str]:
    """What a limit of `annotated_types` asks for and `value` is not."""
    if isinstance(limit, at.GroupedMetadata):
        for part in limit:
            yield from _broken(part, value)
    elif isinstance(limit, at.Ge) and not value >= limit.ge:
        yield f">= {limit.ge}"
    elif isinstance(limit, at.Gt) and not value > limit.gt:
        yield f"> {limit.gt}"
    elif isinstance(limit, at.Le) and not value <= limit.le:
        yield f"<= {limit.le}"
    elif isinstance(limit, at.Lt) and not value < limit.lt:
        yield f"< {limit.lt}"
    elif isinstance(limit, at.MinLen) and len(value) < limit.min_length:
        yield f"at least {limit.min_length} long"
    elif isinstance(limit, at.MaxLen) and len(value) > limit.max_length:
        yield f"at most {limit.max_length} long"
    elif isinstance(limit, at.Predicate) and not limit.func(value):
        rule = (getdoc(limit.func) or limit.func.__name__).splitlines()[0]
        yield f"such that: {rule.rstrip('.')}"
