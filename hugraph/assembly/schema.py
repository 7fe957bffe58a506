"""Turns the text of a spec into typed objects, and says everything that is wrong with it.

The schema is read off signatures: a keyword-only parameter is a key of the spec, its annotation is
what the key allows, its default is filled in, its entry in the docstring is its documentation.
Pydantic does the checking.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Strict,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import CoreSchema

from hugraph.assembly.annotation import entry, item, mark, unwrap
from hugraph.assembly.faults import TAG, Fault, KeyPath, Problem, explain, place
from hugraph.assembly.layers import merge, read_layers, read_overrides
from hugraph.assembly.options import REQUIRED, Constructor, Option, call, options, summary
from hugraph.assembly.registry import Bound, Registry
from hugraph.assembly.shape import Group, Shapes
from hugraph.assembly.spec import Node, Place, gathered, parse, write
from hugraph.errors import SpecError
from hugraph.interfaces import Component

SPEC = TypeVar("SPEC")

Rule = Callable[[SPEC], Iterable[Fault]]


class Schema(Generic[SPEC]):
    """What a spec may hold, and the way from a file to an object and back.

    A key is annotated as one of:

    - `Annotated[..., Component(kind)]`: a component by its name, or a mapping with its name under
      the registry's key and its options beside it. If the key itself has the name of the registry's
      key, as `source` in `data`, then the options stand beside it, in the same mapping.
    - `Annotated[..., Options(constructor)]`: a mapping of the options of one constructor.
    - a keyword-only dataclass: a mapping that becomes an instance.
    - a bool, int, float, str, `Literal`, sequence, mapping or union of these, with the ranges of
      `annotated_types`.

    The first two become [`Bound`][hugraph.assembly.registry.Bound], sequences become tuples.

    Args:
        root: The keyword-only dataclass that a whole spec becomes.
        registries: The components, by kind.
        rules: Checks between keys; each takes the spec and yields faults.
        belongings: By section, the path of a mapping whose keys belong to the component of that
            section. Where a file or the overrides choose another component than what they change,
            the mapping is not inherited: it has its default, or the keys that they give it.
    """

    def __init__(
        self,
        root: type[SPEC],
        registries: Mapping[str, Registry],
        rules: Sequence[Rule[SPEC]] = (),
        belongings: Mapping[str, KeyPath] | None = None,
    ) -> None:
        self.root = root
        self.registries = registries
        self.rules = rules
        self.belongings = belongings or {}
        self.shapes = Shapes(registries)
        self._types: dict[Any, Any] = {}

    def resolve(self, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> SPEC:
        """Reads a spec with everything that it extends, and fills every default in.

        A file changes the one that it extends, and the overrides change the file: key by key, but
        an empty mapping, as in `objective.penalties={}`, replaces all keys of the one it changes.

        Args:
            path: A YAML file.
            overrides: Such as `train.lr=1e-3`; the value is YAML.

        Raises:
            SpecError: With every fault in `problems`, each with its place.
            ResourceError: If there is no permission to read a file.
        """
        return self._resolve(read_layers(path, overrides), str(path))

    def reader(self, path: str | os.PathLike[str]) -> Callable[[Sequence[str | Node]], SPEC]:
        """Reads a spec once, to resolve it with overrides of many kinds.

        Args:
            path: As for [`resolve`][hugraph.assembly.schema.Schema.resolve].

        Returns:
            What takes overrides, as texts or as mappings with the places of their keys, and gives
            the spec that `resolve` would give with them, whatever has become of the files.
        """
        files = read_layers(path)
        return lambda overrides: self._resolve([*files, read_overrides(overrides)], str(path))

    def parse(self, text: str, source: str = "spec") -> SPEC:
        """Like [`resolve`][hugraph.assembly.schema.Schema.resolve], from a text that stands alone.

        Args:
            text: YAML.
            source: What messages call it.
        """
        return self._resolve([[parse(text, source)]], source)

    def tree(self, spec: SPEC) -> dict[str, Any]:
        """A spec as plain mappings, lists and scalars, with every default."""
        return dict(self._plain(self.root, spec))

    def dump(self, spec: SPEC) -> str:
        """A spec as YAML text; read again, it gives an equal spec."""
        return write(self.tree(spec))

    def default(self, option: Option) -> Any:
        """The default of an option that has one, as a spec would hold it."""
        return self._plain(option.annotation, option.default)

    def json_schema(self) -> dict[str, Any]:
        """A JSON Schema of spec files, for editors. Keys that a base spec may hold are optional."""
        schema = _relaxed(self._adapter.json_schema())
        schema["properties"]["extends"] = {
            "type": "string",
            "description": "Another spec that this one changes, relative to this file.",
        }
        schema["required"] = ["version"]
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

    def _resolve(self, changes: Sequence[Sequence[Node]], source: str) -> SPEC:
        tree = Node({}, Place(source, 1, 1))
        for change in changes:
            tree = self._changed(tree, change)
        spec, problems = self._check(tree)
        if spec is None:
            sound = tree
            for problem in reversed(problems):
                sound = _without(sound, problem.path)
            spec, _ = self._check(sound)
        if spec is not None:
            problems += self._broken_rules(spec, tree, [problem.path for problem in problems])
        if problems:
            ordered = sorted(problems, key=lambda problem: place(tree, problem.path).order)
            raise gathered([problem.error for problem in ordered], source)
        assert spec is not None
        return spec

    def _changed(self, tree: Node, change: Sequence[Node]) -> Node:
        changed, inherited = self._laid(tree, change), tree
        for section, path in self.belongings.items():
            before, after = self._choice(tree, section), self._choice(changed, section)
            if before is not None and before != after and isinstance(_at(tree, path), dict):
                inherited = _without(inherited, path)
        return changed if inherited is tree else self._laid(inherited, change)

    def _laid(self, tree: Node, layers: Sequence[Node]) -> Node:
        for layer in layers:
            tree = self._named(self.root, merge(tree, layer, self._outlives))
        return tree

    def _choice(self, tree: Node, section: str) -> Any:
        """The name of the component that is chosen in a section, if there is one yet."""
        group = self.shapes.group(options(self.root)[section].annotation)
        assert group and group.registry
        return _at(tree, (section, group.registry.key))

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._type(self.root))

    @cached_property
    def _outlives(self) -> dict[str, frozenset[str]]:
        outlives = {registry.key: frozenset[str]() for registry in self.registries.values()}
        for option in options(self.root).values():
            group = self.shapes.group(option.annotation)
            if group and group.choice:
                outlives[group.choice.name] = frozenset(group.own)
        return outlives

    def _check(self, tree: Node) -> tuple[SPEC | None, list[Problem]]:
        root = Option("spec", self.root, REQUIRED, "")
        try:
            model = self._adapter.validate_python(tree.plain())
        except ValidationError as invalid:
            return None, explain(invalid, root, tree, self.shapes)
        return self._build(self.root, self._adapter.dump_python(model, by_alias=True)), []

    def _broken_rules(self, spec: SPEC, tree: Node, wrong: list[KeyPath]) -> list[Problem]:
        problems = []
        for rule in self.rules:
            for fault in rule(spec):
                if any(key[: len(path)] == path for key in fault.keys for path in wrong):
                    continue
                places = dict.fromkeys(str(place(tree, key)) for key in fault.keys)
                error = SpecError(fault.what, at=" and ".join(places), fix=fault.fix)
                problems.append(Problem(fault.keys[0], error))
        return problems

    def _named(self, annotation: Any, node: Node, default: Any = REQUIRED) -> Node:
        """Writes every component as a mapping that names it."""
        annotation = self.shapes.fitting(annotation, node.value)
        if (inner := item(annotation)) is not None and isinstance(node.value, list):
            return replace(node, value=[self._named(inner, child) for child in node.value])
        group = self.shapes.group(annotation)
        if group is None:
            return node
        key = group.registry.key if group.registry else ""
        if isinstance(node.value, str) and group.constructor is None:
            node = replace(node, value={key: node})
        if not isinstance(node.value, dict):
            return node
        named = dict(node.value)
        if group.choice:
            annotation, default = group.choice.annotation, group.choice.default
        if group.registry and key not in named and default not in (REQUIRED, None):
            named[key] = Node(self._plain(annotation, default)[key], node.place)
        name = group.name(named)
        known = group.options(name.value if name else None)
        for key in named.keys() & known.keys():
            named[key] = self._named(known[key].annotation, named[key], known[key].default)
        return replace(node, value=named)

    def _type(self, annotation: Any) -> Any:
        """An annotation as pydantic takes it."""
        core, metadata = unwrap(annotation)
        origin, arguments = get_origin(core), get_args(core)
        if group := self.shapes.group(annotation):
            return self._group_type(mark(annotation) or core, group)
        if origin in (Union, UnionType):
            core = Union[tuple(self._type(member) for member in arguments)]  # noqa: UP007
        elif origin is tuple:
            core = Annotated[origin[tuple(map(self._type, arguments))], Strict(False)]
        elif origin not in (None, Literal):
            core = origin[tuple(map(self._type, arguments))]
        return Annotated[(core, *metadata)] if metadata else core

    def _group_type(self, cache_key: Any, group: Group) -> Any:
        if cache_key not in self._types:
            self._types[cache_key] = None
            registry = group.registry
            made = self._tagged(group, registry) if registry else self._model(group, None)
            self._types[cache_key] = made
        if self._types[cache_key] is None:
            raise TypeError(f"{cache_key} takes itself as an option, which no spec can hold")
        return self._types[cache_key]

    def _tagged(self, group: Group, registry: Registry) -> Any:
        def tag(value: Any) -> str | None:
            checked = getattr(value, "component", None)  # pydantic asks again when it dumps
            name = value.get(registry.key) if isinstance(value, dict) else checked
            return TAG + name if isinstance(name, str) else None

        members = [Annotated[self._model(group, name), Tag(TAG + name)] for name in registry]
        union: Any = Annotated[Union[tuple(members)], Discriminator(tag)]  # noqa: UP007
        return union if group.constructor else Annotated[union, _OrName(tuple(registry))]

    def _model(self, group: Group, name: str | None) -> type[BaseModel]:
        constructor = group.constructor
        keys: dict[str, Any] = {}
        if group.registry and name:
            constructor = group.registry[name]
            if both := group.own.keys() & options(constructor).keys():
                raise TypeError(f"{name} has options that its section has too: {sorted(both)}")
            keys["component"] = (Literal[name], Field(alias=group.registry.key))
        for option in group.options(name).values():
            default = ... if option.default is REQUIRED else self.default(option)
            keys[f"option_{option.name}"] = (
                self._type(option.annotation),
                Field(
                    default,
                    alias=option.name,
                    description=option.text or None,
                ),
            )
        assert constructor is not None
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)
        title = name or call(constructor)[0].__name__
        return create_model(title, __config__=config, __doc__=summary(constructor), **keys)

    def _build(self, annotation: Any, value: Any) -> Any:
        """Checked plain values as objects."""
        annotation = self.shapes.fitting(annotation, value)
        if isinstance(value, list | tuple):
            return tuple(self._build(item(annotation), each) for each in value)
        if not isinstance(value, dict):
            return value
        group = self.shapes.group(annotation)
        if group is None:
            return {key: self._build(entry(annotation), each) for key, each in value.items()}
        known = group.options(group.name(value))
        built = {key: self._build(option.annotation, value[key]) for key, option in known.items()}
        if group.registry:
            name = group.name(value)
            chosen = {key: built.pop(key) for key in known.keys() - group.own.keys()}
            component = Bound(group.registry[name], chosen, group.registry.key, name)
            if group.choice is None or group.constructor is None:
                return component
            built[group.choice.name] = component
        assert group.constructor is not None
        return Bound(group.constructor, built) if mark(annotation) else group.constructor(**built)

    def _plain(self, annotation: Any, value: Any) -> Any:
        """Objects, and defaults in signatures, as plain values."""
        if isinstance(value, Bound):
            named = {value.key: value.name} if value.key else {}
            return named | self._plain_options(value.constructor, value.options)
        if is_dataclass(value) and not isinstance(value, type):
            group = self.shapes.group(type(value))
            tree: dict[str, Any] = {}
            for name, option in options(type(value)).items():
                inner = self._plain(option.annotation, getattr(value, name))
                tree |= inner if group and group.choice == option else {name: inner}
            return tree
        annotation = self.shapes.fitting(annotation, {} if callable(value) else value)
        if callable(value):
            marked = mark(annotation)
            if isinstance(marked, Component):
                registry = self.registries[marked.kind]
                name, bound = registry.find(value)
                return {registry.key: name} | self._plain_options(registry[name], bound)
            return self._plain_options(value, call(value)[1])
        if isinstance(value, list | tuple):
            return [self._plain(item(annotation), each) for each in value]
        if isinstance(value, Mapping):
            return {key: self._plain(entry(annotation), each) for key, each in value.items()}
        return value

    def _plain_options(self, constructor: Constructor, values: Mapping[str, Any]) -> dict[str, Any]:
        known = options(call(constructor)[0])
        return {
            key: self._plain(known[key].annotation, values[key]) for key in known if key in values
        }


@dataclass(frozen=True)
class _OrName:
    """Tells the JSON Schema that a component may be given by its name alone."""

    names: tuple[str, ...]

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.names)}, handler(core_schema)]}


def _at(tree: Node, path: KeyPath) -> Any:
    """The value of the node at `path`; None if there is none."""
    for part in path:
        if not isinstance(tree.value, dict) or part not in tree.value:
            return None
        tree = tree.value[str(part)]
    return tree.value


def _without(tree: Node, path: KeyPath) -> Node:
    """The tree with nothing at `path`."""
    if not path:
        return tree
    first, *rest = path
    if isinstance(tree.value, dict) and first in tree.value:
        keys = dict(tree.value)
        below = keys.pop(str(first))
        return replace(
            tree, value=keys | ({str(first): _without(below, tuple(rest))} if rest else {})
        )
    if isinstance(tree.value, list) and isinstance(first, int) and first < len(tree.value):
        below = tree.value[first]
        kept = [_without(below, tuple(rest))] if rest else []
        return replace(tree, value=[*tree.value[:first], *kept, *tree.value[first + 1 :]])
    return tree


def _relaxed(schema: Any) -> Any:
    """A JSON Schema in which no key is required and several alternatives may match."""
    if isinstance(schema, list):
        return [_relaxed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    relaxed = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            relaxed[key] = {name: _relaxed(each) for name, each in value.items()}
        elif key not in ("required", "title"):
            relaxed["anyOf" if key == "oneOf" else key] = _relaxed(value)
    return relaxed
