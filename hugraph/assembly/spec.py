"""The text of a spec: strict YAML in, with the place of everything; YAML out.

Scalars are read as YAML 1.2 has them (`1e-3` is a number; `yes`, `1:30` and `2024-01-31` are
strings), and of YAML's features only mappings, lists and scalars. Anchors, aliases, tags, merge
keys, directives and second documents are refused, and so are duplicate keys, keys that are not
strings, and numbers with a leading zero.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from hugraph.errors import SpecError

MAX_NESTING = 32
_TOO_DEEP = f"nested deeper than {MAX_NESTING} levels"

Scalar = str | int | float | bool | None

_NEWLINE = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(  # control characters, separators, bidirectional overrides, surrogates
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], float("inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], float("-inf")),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
}


@dataclass(frozen=True)
class Place:
    """Where something is written: a file with line and column from 1, or an override."""

    source: str
    line: int | None = None
    column: int | None = None

    @property
    def order(self) -> tuple[bool, str, int, int]:
        """Sorts places as one reads: files line by line, then overrides."""
        return self.line is None, self.source, self.line or 0, self.column or 0

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Node:
    """A value of a spec and where it stands."""

    value: "Scalar | list[Node] | dict[str, Node]"
    place: Place
    key: Place | None = None  # where its key stands, if it has one

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value


def parse(text: str, source: str, *, inline: bool = False) -> Node:
    """Reads YAML text.

    Args:
        text: One document.
        source: What to call it in messages.
        inline: Whether `source` says the place well enough, without line and column.

    Raises:
        SpecError: With the place, whatever is wrong.
    """
    reader = _Reader(text, source, inline)
    if forbidden := _FORBIDDEN.search(text):
        raise reader.fault(
            f"character U+{ord(forbidden[0]):04X} is not allowed",
            forbidden.start(),
            "remove it, or save the spec again as plain text",
        )
    try:
        node = reader.document()
    except SpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, [error.context, error.problem]))
        fix = "indent with spaces" if "'\\t'" in problem else "correct this line or the one before"
        index = len(text) if mark is None else mark.index
        raise reader.fault(f"not valid YAML: {problem}", index, fix) from None
    except Exception as error:  # PyYAML also fails with ValueError, KeyError, AttributeError...
        raise reader.fault(
            f"not valid YAML: {type(error).__name__}: {error}", reader.index, "correct this line"
        ) from None
    if reader.faults:
        raise gathered(reader.faults, source)
    return node


def gathered(faults: Sequence[SpecError], source: str) -> SpecError:
    """All faults of a spec as one error."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return SpecError(f"{count} in {source}", problems=faults)


def shown(value: Any) -> str:
    """A value as a message says it, with its kind: `string 'ten'`."""
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean {str(value).lower()}"
        case dict():
            return "a mapping"
        case _:
            kind = {str: "string", int: "integer", float: "number"}.get(type(value), "list")
            text = repr(value)
            return f"{kind} {text if len(text) <= 60 else text[:57] + '...'}"


def write(tree: Any) -> str:
    """Writes plain values as YAML that [`parse`][hugraph.assembly.spec.parse] reads back equal."""
    return yaml.dump(
        tree,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        width=96,
        default_flow_style=False,
    )


def write_inline(value: Any) -> str:
    """Writes a value on one line."""
    text = yaml.dump(
        value,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
        default_flow_style=True,
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Loader(yaml.SafeLoader):
    """Stops at deep nesting before PyYAML's scanner has looked far ahead."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_NESTING:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)


class _Reader:
    """Turns the events of one document into nodes and gathers what is not allowed."""

    def __init__(self, text: str, source: str, inline: bool) -> None:
        self.text = text
        self.source = source
        self.inline = inline
        self.faults: list[SpecError] = []

    @property
    def index(self) -> int:
        """How far the text has been read, in characters."""
        return int(self._loader.index)

    def document(self) -> Node:
        self._loader = _Loader(self.text)
        self._events = iter(self._loader.get_event, None)
        next(self._events)  # the stream starts
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return Node(None, self._place(start))
        if start.version or start.tags:
            self._refuse("directives are not allowed", start, "remove the line that starts with %")
        node = self._node(next(self._events), 1)
        next(self._events)  # the document ends
        end = next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            self._refuse("a spec is one document; a second one starts here", end, "keep one")
        return node

    def fault(self, what: str, index: int, fix: str) -> SpecError:
        if self.inline:
            return SpecError(what, at=self.source, fix=fix)
        before = _NEWLINE.split(self.text[:index])
        column = len(before[-1])
        line = before[-1] + _NEWLINE.split(self.text[index:], maxsplit=1)[0]
        start = max(0, column - 60)
        excerpt = line[start : start + 90].replace("\t", " ")
        at = f"{Place(self.source, len(before), column + 1)}\n    {excerpt}\n    "
        return SpecError(what, at=at + " " * (column - start) + "^", fix=fix)

    def _refuse(self, what: str, event: Any, fix: str) -> None:
        self.faults.append(self.fault(what, event.start_mark.index, fix))

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_NESTING and isinstance(event, yaml.CollectionStartEvent):
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f"alias *{event.anchor} is not allowed", event, "write the value itself")
            return Node(None, place)
        if event.anchor is not None:
            self._refuse(f"anchor &{event.anchor} is not allowed", event, "remove it")
        if event.tag is not None:
            self._refuse(f"tag {_short(event.tag)} is not allowed", event, "remove the tag")
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._mapping(depth), place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node([self._node(child, depth + 1) for child in self._children()], place)
        return Node(self._scalar(event), place)

    def _mapping(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for start in self._children():
            key = self._node(start, depth + 1)
            value = replace(self._node(next(self._events), depth + 1), key=key.place)
            if not isinstance(key.value, str):
                self._refuse(
                    f"keys are strings, got {shown(key.plain())}", start, "quote it or rename it"
                )
            elif key.value == "<<":
                self._refuse("merge keys are not allowed", start, "use `extends: other.yaml`")
            elif key.value in found:
                first = found[key.value].key
                self._refuse(
                    f"duplicate key {key.value!r}, first on line {first.line if first else '?'}",
                    start,
                    "keep one of the two",
                )
            else:
                found[key.value] = value
        return found

    def _children(self) -> Iterator[Any]:
        ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        while not isinstance(event := next(self._events), ends):
            yield event

    def _scalar(self, event: Any) -> Scalar:
        if not event.implicit[0]:
            if bad := _FORBIDDEN.search(event.value):
                self._refuse(
                    f"character U+{ord(bad[0]):04X} is not allowed in a string", event, "remove it"
                )
            return str(event.value)
        value = resolve_scalar(event.value)
        if isinstance(value, int) and abs(value) >= 2**63:
            self._refuse("an integer beyond 64 bits", event, "write a smaller number")
        if isinstance(value, str) and _LEADING_ZERO.fullmatch(value):
            self._refuse(
                f"{value} is ambiguous: octal in some readers, decimal in others",
                event,
                f"write it without the zero, or '{value}' for a string",
            )
        return value

    def _place(self, event: Any) -> Place:
        if self.inline:
            return Place(self.source)
        return Place(self.source, event.start_mark.line + 1, event.start_mark.column + 1)


class _Writer(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_string(writer: yaml.SafeDumper, text: str) -> yaml.Node:
    bare = isinstance(resolve_scalar(text), str) and not _LEADING_ZERO.fullmatch(text)
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=None if bare else "'")


def _write_list(writer: yaml.SafeDumper, items: Sequence[Any]) -> yaml.Node:
    return writer.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Writer.add_representer(str, _write_string)
_Writer.add_representer(list, _write_list)
_Writer.add_representer(tuple, _write_list)


def resolve_scalar(text: str) -> Scalar:
    """The value of a plain scalar by YAML 1.2, without octal and hexadecimal numbers."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 64 else 2**63
    if _FLOAT.fullmatch(text) and not _LEADING_ZERO.fullmatch(text):
        return float(text)
    return text


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix("tag:yaml.org,2002:") if "yaml.org" in tag else tag
