"""What a mapping in a spec may hold, depending on the component that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from hugraph.assembly.annotation import alternatives, entry, example, item, mark, unwrap
from hugraph.assembly.options import REQUIRED, Constructor, Option, options
from hugraph.assembly.registry import Registry
from hugraph.interfaces import Component


@dataclass(frozen=True)
class Group:
    """The keys of a mapping.

    Attributes:
        constructor: What the mapping becomes, unless it is nothing but a component.
        own: The options of `constructor`; without `choice`.
        choice: The option of `constructor` that names a component whose options stand beside it.
        registry: The components to choose from, if there is a choice.
    """

    constructor: Constructor | None
    own: dict[str, Option]
    choice: Option | None = None
    registry: Registry | None = None

    def options(self, name: object) -> dict[str, Option]:
        """All options, where the component `name` is chosen."""
        if self.registry is None or not isinstance(name, str) or name not in self.registry:
            return self.own
        return self.own | options(self.registry[name])

    def name(self, mapping: Mapping[str, Any]) -> Any:
        """What a mapping with these keys holds as the component's name."""
        return None if self.registry is None else mapping.get(self.registry.key)


class Shapes:
    """Reads annotations as groups of keys.

    Args:
        registries: The components, by kind.
    """

    def __init__(self, registries: Mapping[str, Registry]) -> None:
        self.registries = registries

    def group(self, annotation: Any) -> Group | None:
        """The keys of a mapping in the place of `annotation`; None if any key will do."""
        marked = mark(annotation)
        if isinstance(marked, Component):
            return Group(None, {}, registry=self.registries[marked.kind])
        core, _ = unwrap(annotation)
        constructor = marked.constructor if marked else core
        if not marked and not is_dataclass(core):
            return None
        own = options(constructor)
        for option in own.values():
            chosen = mark(option.annotation)
            if isinstance(chosen, Component) and self.registries[chosen.kind].key == option.name:
                rest = {name: other for name, other in own.items() if name != option.name}
                return Group(constructor, rest, option, self.registries[chosen.kind])
        return Group(constructor, own)

    def fitting(self, annotation: Any, value: Any) -> Any:
        """The alternative of a union that a mapping, list or component name is meant for."""
        for member in alternatives(annotation):
            core, _ = unwrap(member)
            is_group = mark(member) is not None or is_dataclass(core)
            if isinstance(value, dict) and (is_group or entry(member) is not None):
                return member
            if isinstance(value, list | tuple) and item(member) is not None:
                return member
            if isinstance(value, str) and isinstance(mark(member), Component):
                return member
        return annotation

    def example(self, annotation: Any) -> Any:
        """A plain value that a spec may have in the place of `annotation`, as short as can be."""
        group = self.group(annotation)
        if group is None:
            return example(annotation)
        name = next(iter(group.registry), None) if group.registry else None
        needed = {
            key: self.example(option.annotation)
            for key, option in group.options(name).items()
            if option.default is REQUIRED
        }
        if group.registry is None:
            return needed
        return {group.registry.key: name} | needed if needed or group.constructor else name
