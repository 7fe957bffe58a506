"""What a spec is made of: files that extend each other, then overrides, laid over one another."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from hugraph.assembly.spec import Node, Place, gathered, parse, shown
from hugraph.errors import ResourceError, SpecError

MAX_BYTES = 2**20


def read_layers(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> list[list[Node]]:
    """Reads a spec, the specs that it `extends`, and overrides such as `train.lr=1e-3`.

    Returns:
        Mappings, each to be laid over the ones before: a list with the most basic file first, one
        for each file that extends it, and, if there are any, one of all overrides together.

    Raises:
        SpecError: If anything cannot be read as strict YAML, or `extends` is not a relative path.
        ResourceError: If there is no permission to read a file.
    """
    changes: list[list[Node]] = [read_overrides(overrides)] if overrides else []
    seen: list[Path] = []
    file, referrer = Path(path), None
    while True:
        text = read_text(file, referrer)
        if file.resolve() in seen:
            raise SpecError(
                f"specs extend each other in a circle, back to {file}",
                at=str(referrer),
                fix="remove this `extends`",
            )
        seen.append(file.resolve())
        layer = parse(text, str(file))
        if not isinstance(layer.value, dict):
            kind = shown(layer.plain()).split(" ")[0]  # the file may hold what nobody should see
            what = f"the top level of a spec must be a mapping, not a {kind}"
            raise SpecError(
                "spec is empty" if layer.value is None else what,
                at=str(layer.place),
                fix="start from `hugraph new huign`",
            )
        keys = dict(layer.value)
        if "rows" in keys and "model" not in keys:
            fix = f"run it with `hugraph reproduce {file}`"
            raise SpecError("this is a study, not a spec", at=str(layer.place), fix=fix)
        extends = keys.pop("extends", None)
        changes.insert(0, [replace(layer, value=keys)])
        if extends is None:
            return changes
        if not isinstance(extends.value, str) or not extends.value:
            raise SpecError(
                f"extends: expected the path of a spec, got {shown(extends.plain())}",
                at=str(extends.place),
                fix="for example `extends: base.yaml`, relative to this file",
            )
        if Path(extends.value).is_absolute():
            raise SpecError(
                f"extends: {extends.value} is absolute and holds on one machine only",
                at=str(extends.place),
                fix="name a spec relative to this file, such as ../base.yaml",
            )
        file, referrer = file.parent / extends.value, extends.place


def merge(base: Node, change: Node, outlives: Mapping[str, frozenset[str]]) -> Node:
    """Lays `change` over `base`, mapping by mapping.

    A mapping of `change` adds keys to that of `base` and replaces some; an empty one replaces the
    whole.

    Args:
        base: What is changed.
        change: What wins.
        outlives: The keys that name a component, each with the keys beside it that are not options
            of the component. Where `change` names another component than `base`, only these remain
            of `base`.
    """
    if not isinstance(base.value, dict) or not isinstance(change.value, dict):
        return change
    kept = dict(base.value)
    for name in outlives.keys() & change.value.keys() & kept.keys():
        if change.value[name].value != kept[name].value:
            kept = {key: node for key, node in kept.items() if key in outlives[name]}
    for name, node in change.value.items():
        adds = name in kept and node.value != {}
        kept[name] = merge(kept[name], node, outlives) if adds else node
    return replace(base, value=kept)


def read_overrides(overrides: Sequence[str | Node]) -> list[Node]:
    """Reads overrides such as `train.lr=1e-3`: one mapping for each, to be laid on one another.

    Args:
        overrides: Texts, or mappings that have been read already.

    Raises:
        SpecError: If one has no key, or its value is not strict YAML.
    """
    layers: list[Node] = []
    faults: list[SpecError] = []
    for override in overrides:
        try:
            layers.append(override if isinstance(override, Node) else _override(override))
        except SpecError as error:
            faults.extend(error.problems or (error,))
    if faults:
        raise gathered(faults, "the overrides")
    return layers


def nested(path: str, node: Node) -> Node:
    """The mappings within mappings that have `node` at a dotted path."""
    place = node.key or node.place
    for key in reversed(path.split(".")):
        node = Node({key: replace(node, key=place)}, place)
    return node


def read_text(file: Path, referrer: Place | None = None, *, kind: str = "spec") -> str:
    """The text of a spec.

    Args:
        file: Where it is.
        referrer: What named it.
        kind: What messages call it.

    Raises:
        SpecError: If there is no such file, or it holds no text.
        ResourceError: If there is no permission to read it.
    """
    at = str(referrer or file)
    try:
        if not file.exists():
            raise SpecError(
                f"{kind} not found: {file}", at=at, fix=_files_in(file.parent, kind, file.name)
            )
        if file.is_dir():
            raise SpecError(f"{kind} is a directory: {file}", at=at, fix=_files_in(file, kind))
        if not file.is_file():
            raise SpecError(f"{kind} is not a regular file: {file}", at=at, fix="save it as a file")
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except PermissionError:
        raise ResourceError(
            f"no permission to read {file}", at=at, fix=f"chmod u+r {file}"
        ) from None
    except OSError as error:
        raise SpecError(
            f"{kind} cannot be read: {error.strerror}", at=at, fix="check the path"
        ) from None
    if len(content) > MAX_BYTES:
        what = f"{kind} is larger than {MAX_BYTES} bytes"
        raise SpecError(what, at=at, fix=f"name a YAML {kind}, not a data file")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise SpecError(
            f"not text: byte 0x{content[error.start]:02x} at offset {error.start}",
            at=str(Place(str(file), line, column)),
            fix=f"save the {kind} as UTF-8",
        ) from None


def _override(override: str) -> Node:
    source = f"override {override!r}"
    path, equals, text = override.partition("=")
    if not equals or not all(path.split(".")):
        raise SpecError(
            f"{override!r} is not of the form section.key=value", at=source, fix="try train.lr=1e-3"
        )
    return nested(path, parse(text, source, inline=True))


def _files_in(folder: Path, kind: str, meant: str = "") -> str:
    if kind != "spec":
        return f"name a {kind} by its path, such as examples/paper/table3.yaml"
    names = sorted(path.name for path in folder.glob("*.y*ml"))
    if not names:
        return "write one with `hugraph new huign > my.yaml`"
    near = [f"did you mean {name}? " for name in get_close_matches(meant, names, n=1)]
    return f"{''.join(near)}there are {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
