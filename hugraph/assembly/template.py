"""Writes a spec that explains itself."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from hugraph.assembly.annotation import describe, example
from hugraph.assembly.options import REQUIRED, options
from hugraph.assembly.schema import SPEC, Schema
from hugraph.assembly.spec import write, write_inline

_WIDTH = 78
_MATH = re.compile(r"\$([^$]*)\$")


def commented(schema: Schema[SPEC], chosen: Mapping[str, str]) -> str:
    """A spec with every key at its default, each explained by a comment.

    Args:
        schema: The format.
        chosen: Names of components by section, such as `{"model": "huign"}`; other sections have
            their defaults.

    Returns:
        YAML that the schema accepts.
    """
    sections: dict[str, Any] = {}
    for name, option in options(schema.root).items():
        group = schema.shapes.group(option.annotation)
        if group and group.registry and name in chosen:
            known = group.options(chosen[name])
            needed = {key: one for key, one in known.items() if one.default is REQUIRED}
            sections[name] = {group.registry.key: chosen[name]} | {
                key: example(one.annotation) for key, one in needed.items()
            }
        elif option.default is REQUIRED:
            sections[name] = example(option.annotation)
    tree = schema.tree(schema.parse(write(sections)))
    return "\n".join(_lines(schema, schema.root, tree, "")) + "\n"


def _lines(
    schema: Schema[SPEC], annotation: Any, tree: Mapping[str, Any], indent: str
) -> Iterator[str]:
    group = schema.shapes.group(schema.shapes.fitting(annotation, tree))
    registry = group.registry if group else None
    known = group.options(group.name(tree)) if group else {}
    for key, value in tree.items():
        if registry and key == registry.key:
            others = [name for name in registry if name != value]
            line = f"{indent}{key}: {value}" + (f"  # or {', '.join(others)}" if others else "")
            if len(line) <= _WIDTH:
                yield line
            else:
                yield from _comment(f"Or {', '.join(others)}.", indent)
                yield f"{indent}{key}: {value}"
            continue
        option = known.get(key)
        if option:
            if not indent:
                yield ""
            yield from _comment(f"{option.text} ({describe(option.annotation)})", indent)
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(schema, option.annotation if option else None, value, indent + "  ")
        else:
            yield f"{indent}{key}: {write_inline(value)}"


def _comment(text: str, indent: str) -> list[str]:
    """A comment in which formulas stand without the signs of TeX."""
    return textwrap.wrap(
        _MATH.sub(lambda math: math[1].replace("\\", ""), text),
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
