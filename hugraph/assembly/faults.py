"""Says in a person's words what pydantic found wrong with a spec, and where it stands."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError

from hugraph.assembly.annotation import alternatives, describe, entry, item, unwrap
from hugraph.assembly.options import REQUIRED, Option
from hugraph.assembly.shape import Shapes
from hugraph.assembly.spec import Node, Place, resolve_scalar, shown, write_inline
from hugraph.errors import SpecError, hint

TAG = "component="  # how the schema's pydantic models mark a chosen component

KeyPath = tuple[str | int, ...]


class Fault(NamedTuple):
    """Something wrong between keys that are right each by itself; yielded by a rule."""

    keys: Sequence[KeyPath]  # all that it depends on, the one to change first
    what: str
    fix: str


class Problem(NamedTuple):
    """A fault at a key."""

    path: KeyPath
    error: SpecError


class _Spot(NamedTuple):
    path: KeyPath
    option: Option
    node: Node | None  # None if the key is not there
    parent: Node
    known: dict[str, Option]  # keys beside it
    in_union: bool


def dotted(path: KeyPath) -> str:
    """A key path as messages write it: `model.levels[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "spec"


def place(tree: Node, path: KeyPath) -> Place:
    """Where the value at `path` stands, or else the mapping that it would stand in."""
    for part in path:
        child = _child(tree, part)
        if child is None:
            break
        tree = child
    return tree.place


def explain(invalid: ValidationError, root: Option, tree: Node, shapes: Shapes) -> list[Problem]:
    """One problem per fault, whatever number of details pydantic gives for it."""
    found: dict[KeyPath, tuple[str, _Spot]] = {}
    for detail in invalid.errors(include_url=False, include_context=False, include_input=False):
        spot = _spot(detail["loc"], root, tree, shapes)
        found.setdefault(spot.path, (detail["type"], spot))
    return [
        Problem(path, _error(kind, spot, shapes))
        for path, (kind, spot) in found.items()
        if not (spot.in_union and any(_inside(other, path) for other in found))
    ]


def _inside(path: KeyPath, outer: KeyPath) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _spot(loc: Iterable[str | int], root: Option, tree: Node, shapes: Shapes) -> _Spot:
    spot = _Spot((), root, tree, tree, {}, False)
    for part in loc:
        if isinstance(part, str) and part.startswith(TAG):
            continue
        annotation = spot.option.annotation
        if (
            not spot.in_union
            and len([m for m in alternatives(annotation) if m is not type(None)]) > 1
        ):
            spot = spot._replace(in_union=True)  # this part is pydantic's name of an alternative
            continue
        value = spot.node.value if spot.node else None
        annotation = shapes.fitting(annotation, value)
        if group := shapes.group(annotation):
            name = group.name(value) if isinstance(value, dict) else None
            known = group.options(name.value if name else None)
        else:
            known = {}
        inner = entry(annotation) if isinstance(part, str) else item(annotation)
        option = known.get(str(part)) or Option(str(part), inner, REQUIRED, "")
        parent = spot.node or spot.parent
        spot = _Spot((*spot.path, part), option, _child(parent, part), parent, known, False)
    return spot


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(part))
    if isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None


def _error(kind: str, spot: _Spot, shapes: Shapes) -> SpecError:
    name, option, node = dotted(spot.path), spot.option, spot.node
    if kind == "extra_forbidden" and node:
        at = str(node.key or node.place)
        if inside := _inside_one_beside(spot, shapes):
            full = dotted((*spot.path[:-1], inside, option.name))
            what = f"unknown key {name}; did you mean {full!r}?"
            return SpecError(what, at=at, fix=f"write {full}")
        near = get_close_matches(option.name, spot.known, n=1)
        return SpecError(
            f"unknown key {name}{hint(option.name, spot.known)}",
            at=at,
            fix=f"write {near[0]}" if near else f"remove {option.name}",
        )
    if node is None:
        return SpecError(
            f"missing key {name}: {describe(option.annotation)}",
            at=str(spot.parent.place),
            fix=f"for example {option.name}: {write_inline(shapes.example(option.annotation))}",
        )
    group = shapes.group(shapes.fitting(option.annotation, node.value))
    if kind.startswith("union_tag") and group and group.registry:
        return _no_component(spot, group.registry.kind, group.registry.key, list(group.registry))
    given = node.plain()
    meant = _meant(option.annotation, given)
    return SpecError(
        f"{name}: expected {describe(option.annotation)}, got {shown(given)}"
        + (f"; did you mean {meant!r}?" if meant else ""),
        at=str(node.place),
        fix=f"write {meant}" if meant else _fix(option, given, shapes),
    )


def _inside_one_beside(spot: _Spot, shapes: Shapes) -> str | None:
    """The key beside an unknown one that has it inside, as `train` has `lr`."""
    for name, option in spot.known.items():
        node = _child(spot.parent, name) or Node({}, spot.parent.place)
        if spot.option.name in _spot([spot.option.name], option, node, shapes).known:
            return name
    return None


def _no_component(spot: _Spot, kind: str, key: str, names: list[str]) -> SpecError:
    node = spot.node or spot.parent
    name = node.value.get(key) if isinstance(node.value, dict) else None
    if name is None or not isinstance(name.value, str):
        given = name or node
        missing = name is None and isinstance(node.value, dict)
        return SpecError(
            f"{dotted(spot.path)}: expected the name of a {kind}"
            + (f" under {key!r}" if missing else f", got {shown(given.plain())}"),
            at=str(given.place),
            fix=f"for example {key}: {names[0]} (known: {', '.join(names)})",
        )
    near = get_close_matches(name.value, names, n=1)
    return SpecError(
        f"unknown {kind} {name.value!r}{hint(name.value, names)}",
        at=str(name.place),
        fix=f"write {near[0]}" if near else f"see `hugraph components {kind}`",
    )


def _meant(annotation: Any, given: Any) -> str | None:
    names = [
        str(value)
        for member in alternatives(annotation)
        if get_origin(unwrap(member)[0]) is Literal
        for value in get_args(unwrap(member)[0])
    ]
    return (
        next(iter(get_close_matches(given, names, n=1)), None) if isinstance(given, str) else None
    )


def _fix(option: Option, given: Any, shapes: Shapes) -> str:
    types = {unwrap(member)[0] for member in alternatives(option.annotation)}
    if int in types and isinstance(given, float) and given.is_integer():
        return f"write {int(given)}, without a decimal point"
    if bool in types and isinstance(given, str) and given.lower() in ("yes", "no", "on", "off"):
        return "write true or false"
    if types & {int, float} and isinstance(given, str):
        number = resolve_scalar(given)
        if isinstance(number, int | float):
            return f"write {write_inline(number)}, without quotes"
    value = option.default
    if not isinstance(value, bool | int | float | str | tuple):
        value = shapes.example(option.annotation)
    if value == {} and option.default is not REQUIRED:
        return f"give a mapping, or remove {option.name}"
    key = "" if option.name.isdigit() else f"{option.name}: "
    return f"for example {key}{write_inline(value)}"
