"""Names for constructors: how a spec says which class it means."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from hugraph.assembly.options import Constructor, call, options

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bound:
    """A constructor with its options; call it with the things that only a run knows.

    Attributes:
        constructor: Takes runtime things by position.
        options: Every option with its value; nested components are `Bound` too.
        key: The key that names the component in a spec, if there is a choice.
        name: The component's name, if there is a choice.
    """

    constructor: Constructor
    options: Mapping[str, Any]
    key: str | None = None
    name: str | None = None

    def __call__(self, *runtime: Any) -> Any:
        """Calls the constructor: `runtime` by position, the options by keyword."""
        return self.constructor(*runtime, **self.options)


class Registry(Mapping[str, Constructor]):
    """The components of one kind, by the exact name a spec gives them.

    An installed package adds its own by the entry-point group `hugraph.<kind>`. They are loaded
    when names are first asked for; one that cannot be loaded is left out with a warning. A name is
    never taken for an import path.

    Args:
        kind: What the components are: `"model"`, `"conv"`.
        constructors: By name. What a constructor takes by position is given at run time; its
            keyword-only parameters are the options of a spec. A `functools.partial` hides the
            keywords it binds.
        key: The key of a mapping in a spec that names the component.
    """

    def __init__(
        self, kind: str, constructors: Mapping[str, Constructor], *, key: str = "component"
    ) -> None:
        self.kind = kind
        self.key = key
        self._own = dict(constructors)

    def __getitem__(self, name: str) -> Constructor:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def bind(self, name: str, **options: Any) -> Bound:
        """A component by its name, with some of its options."""
        return Bound(self[name], options, self.key, name)

    def find(self, constructor: Constructor) -> tuple[str, dict[str, Any]]:
        """The name of a registered constructor, and the options that `constructor` binds besides.

        Args:
            constructor: Registered as it is, or a `functools.partial` of one that is.

        Raises:
            ValueError: If it is not registered.
        """
        function, bound = call(constructor)
        keywords = {option.name: option.default for option in options(function).values()} | bound
        for name, known in self.items():
            known_function, hidden = call(known)
            if known_function is function and hidden.items() <= keywords.items():
                return name, {key: bound[key] for key in bound.keys() - hidden.keys()}
        raise ValueError(f"{constructor!r} is not a registered {self.kind}; known: {list(self)}")

    @cached_property
    def _all(self) -> dict[str, Constructor]:
        found = dict(self._own)
        for entry in entry_points(group=f"hugraph.{self.kind}"):
            if entry.name in found:
                _LOGGER.warning("%s %r is taken; %s is ignored", self.kind, entry.name, entry.value)
                continue
            try:
                constructor = entry.load()
                options(constructor)
            except Exception as error:  # somebody else's module may fail in any way
                _LOGGER.warning("%s %r cannot be loaded: %s", self.kind, entry.name, error)
                continue
            found[entry.name] = constructor
        return found
