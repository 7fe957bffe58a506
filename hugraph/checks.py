"""Checks what a caller gives against what the annotation of a keyword allows."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from inspect import isclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

_PREDICATE = re.compile(r"Predicate '(\w+)' failed")
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def check_options(constructor: Callable[..., Any], **values: Any) -> None:
    """Refuses values that the annotations of a constructor's parameters do not allow.

    Args:
        constructor: A function, a class, or a dataclass.
        values: What was given, by the names of its parameters.

    Raises:
        ValueError: If a value is not allowed; it says which, and what would be.
    """
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
    try:
        _options(constructor, tuple(values))(**plain)
    except ValidationError as error:
        name = error.errors()[0]["loc"][0]
        wanted = [fault["msg"] for fault in error.errors() if fault["loc"][0] == name]
        said = " or ".join(dict.fromkeys(text.removeprefix("Input should be ") for text in wanted))
        said = _PREDICATE.sub(r"\1", said)
        raise ValueError(f"{name} must be {said}, got {values[str(name)]!r}") from None


def descending(values: Sequence[float]) -> bool:
    """Each is smaller than the one before."""
    return all(large > small for large, small in pairwise(values))


def distinct(values: Sequence[Any]) -> bool:
    """Nothing is listed twice."""
    return len(set(values)) == len(values)


@cache  # slow to make, and many layers are made alike
def _options(constructor: Callable[..., Any], names: Sequence[str]) -> type[BaseModel]:
    fields = {name: (hint, ...) for name, hint in _annotations(constructor, names).items()}
    return create_model("Options", __config__=_STRICT, **fields)  # type: ignore[call-overload]


def _annotations(constructor: Callable[..., Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of `names` alone: others may be of types that are imported for type checkers only."""
    function: Any = constructor.__init__ if isclass(constructor) else constructor
    chosen = SimpleNamespace(__annotations__={n: function.__annotations__[n] for n in names})
    return get_type_hints(chosen, function.__globals__, include_extras=True)
