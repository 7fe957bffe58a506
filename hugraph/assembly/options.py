"""The options of a constructor: what a spec may say about it, read from its signature."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple, get_type_hints

Constructor = Callable[..., Any]


class Option(NamedTuple):
    """A keyword-only parameter of a constructor."""

    name: str
    annotation: Any  # with its `Annotated` ranges
    default: Any  # `REQUIRED` if there is none
    text: str  # its entry under `Args:` of the docstring, on one line


REQUIRED: Any = inspect.Parameter.empty


def options(constructor: Constructor) -> dict[str, Option]:
    """Reads the options of a class or function, or of a `functools.partial` that binds some.

    Parameters that may be given by position are runtime things, and no options.

    Raises:
        TypeError: If an option has no type annotation.
    """
    return dict(_options(constructor))


def call(constructor: Constructor) -> tuple[Constructor, dict[str, Any]]:
    """Takes a `functools.partial` apart into its function and the keywords it binds."""
    if isinstance(constructor, functools.partial):
        return constructor.func, constructor.keywords
    return constructor, {}


def runtime(constructor: Constructor) -> list[str]:
    """Names what a constructor takes by position: the things only a run can know."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(constructor).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in positional]


def arguments(docstring: str) -> dict[str, str]:
    """The entries under `Args:` or `Attributes:` of a Google docstring, each on one line."""
    found: dict[str, str] = {}
    name: str | None = None
    inside = False
    for line in docstring.splitlines():
        if line and not line[0].isspace():
            inside, name = line.rstrip() in ("Args:", "Attributes:"), None
        elif inside and (start := re.match(r" {4}(\w+)(?: \([^)]*\))?: (.*)", line)):
            name = start[1]
            found[name] = start[2].strip()
        elif inside and name and line.strip():
            found[name] += " " + line.strip()
    return found


def summary(constructor: Constructor) -> str:
    """The first line of a constructor's docstring, without its full stop."""
    lines = (inspect.getdoc(call(constructor)[0]) or "").split("\n", 1)
    return lines[0].rstrip(".")


@functools.cache
def _options(constructor: Constructor) -> dict[str, Option]:
    function, bound = call(constructor)
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in bound
    ]
    for parameter in parameters:
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"option {parameter.name!r} of {function} has no type annotation")
    hints = _hints(function, [parameter.name for parameter in parameters])
    texts = arguments(inspect.getdoc(function) or "")
    return {
        parameter.name: Option(
            parameter.name,
            hints[parameter.name],
            _default(function, parameter),
            texts.get(parameter.name, ""),
        )
        for parameter in parameters
    }


def _hints(function: Constructor, names: list[str]) -> dict[str, Any]:
    """Resolves the annotations of options alone; those of runtime things may not be importable."""
    if not names:
        return {}
    code: Any = function.__init__ if inspect.isclass(function) else function
    chosen = SimpleNamespace(__annotations__={name: code.__annotations__[name] for name in names})
    return get_type_hints(chosen, code.__globals__, include_extras=True)


def _default(function: Constructor, parameter: inspect.Parameter) -> Any:
    if is_dataclass(function):
        field = next(field for field in fields(function) if field.name == parameter.name)
        if field.default_factory is not MISSING:
            return field.default_factory()
    return parameter.default
