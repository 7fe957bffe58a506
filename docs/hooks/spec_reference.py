"""The spec reference, read off the signatures that a spec is checked against."""

from collections.abc import Iterator, Mapping
from typing import Any

from mkdocs.structure.pages import Page

from hugraph.assembly.annotation import describe
from hugraph.assembly.options import REQUIRED, Constructor, Option, call, options, summary
from hugraph.assembly.registry import Registry
from hugraph.assembly.sections import SCHEMA
from hugraph.assembly.spec import write_inline


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str | None:
    """Adds the reference to its page."""
    return f"{markdown}\n\n{reference()}" if page.file.src_uri == "spec.md" else None


def reference() -> str:
    """The top level, then every section with its components."""
    top = options(SCHEMA.root)
    parts = ["## The top level", entries(top)]
    shown: set[str] = set()
    for name, option in top.items():
        parts += section(name, option, "##", shown)
    return "\n\n".join(parts)


def section(path: str, option: Option, level: str, shown: set[str]) -> Iterator[str]:
    """A key that holds a mapping: its own keys, its components, and the sections inside of it."""
    group = SCHEMA.shapes.group(SCHEMA.shapes.fitting(option.annotation, {}))
    if group is None:
        return
    yield f"{level} `{path}`\n\n{option.text}"
    inside = dict(group.own)
    if group.choice:
        yield entries({group.choice.name: group.choice})
    if group.own:
        yield entries(group.own)
    if group.registry and group.registry.kind not in shown:
        shown.add(group.registry.kind)
        for name, constructor in group.registry.items():
            yield component(group.registry, name, constructor, f"{level}#")
            inside |= options(constructor)
    for name, inner in inside.items():
        yield from section(f"{path}.{name}", inner, f"{level}#", shown)


def component(registry: Registry, name: str, constructor: Constructor, level: str) -> str:
    """What may be chosen by its name, and its options."""
    function, _ = call(constructor)
    target = f"{function.__module__}.{function.__qualname__}"
    parts = [
        f"{level} `{registry.key}: {name}` {{ #{registry.kind}-{name} }}",
        f"{summary(constructor)}. See [`{function.__qualname__}`][{target}].",
    ]
    known = options(constructor)
    parts.append(entries(known) if known else "No options.")
    return "\n\n".join(parts)


def entries(known: Mapping[str, Option]) -> str:
    """Keys with what they allow, their defaults and their documentation."""
    return "\n\n".join(_entry(option) for option in known.values())


def _entry(option: Option) -> str:
    group = SCHEMA.shapes.group(option.annotation)
    if option.default is REQUIRED:
        default = "required"
    elif group and not group.registry:
        default = "optional"  # its keys and their defaults follow in a section of their own
    else:
        default = f"default `{write_inline(SCHEMA.default(option))}`"
    return f"`{option.name}` · {describe(option.annotation)} · {default}\n:   {option.text}"
