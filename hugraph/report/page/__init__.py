"""A page of HTML that needs nothing else: no network, no script but its own, all text escaped."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, ClassVar, Literal, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


class Number(NamedTuple):
    """A cell that is shown as a text and sorted as a number."""

    value: float
    text: str


Cell = str | int | Number


@dataclass(frozen=True)
class Prose:
    """A paragraph.

    Attributes:
        text: Plain.
        beware: Whether it speaks against what the reader sees.
    """

    text: str
    beware: bool = False
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Facts:
    """What has one value each.

    Attributes:
        values: By name.
        large: Whether they are what a reader wants first.
    """

    values: Mapping[str, str]
    large: bool = False
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """A table, which a reader can sort.

    Attributes:
        caption: What it shows.
        header: Names of the columns.
        rows: The first cell of each names it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Picture:
    """A picture that does not move.

    Attributes:
        content: The file.
        form: What it is.
        text: What it shows, for those who do not see it.
    """

    content: bytes
    form: Literal["png", "svg"]
    text: str
    kind: ClassVar[str] = "picture"

    @property
    def address(self) -> str:
        """The file as an address."""
        return f"data:{_TYPES[self.form]};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Plot:
    """A picture to turn and to point at; on paper and without scripts it is a still one.

    Attributes:
        draws: Which function of the page's script draws it, from the data of that name.
        text: What it shows and how it is used.
        still: What is shown in its place.
    """

    draws: Literal["items", "tree"]
    text: str
    still: Picture
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True)
class Code:
    """Text of which every space counts."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Details:
    """What a reader opens who wants to know more."""

    summary: str
    blocks: Sequence["Block"]
    open: bool = False
    kind: ClassVar[str] = "details"


Block = Prose | Facts | Table | Picture | Plot | Code | Details


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    name: str  # in its address
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """All that a page shows.

    Attributes:
        title: Its heading.
        subtitle: Below it.
        sections: In order.
        data: What its plots draw, by the name of the plot.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    data: Mapping[str, Any] = field(default_factory=dict)


def render(page: Page) -> bytes:
    """The file of a page; one without plots holds no library that draws.

    Its policy allows no address but those of its own pictures, and no scripts but those with the
    hashes that it names. The library is first of all text, so that the page opens at once, and
    becomes a script when a plot comes near.
    """
    script, library = _text("page.js"), ""
    if page.data:
        library = get_plotlyjs().replace("</script", "<\\/script")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    html = environment.from_string(_text("page.html")).render(
        page=page,
        style=Markup(_text("page.css")),
        script=Markup(script),
        library=Markup(library),
        hashes=[_hash(one) for one in (script, library) if one],
        data=Markup(script_data(page.data)),
    )
    return html.encode("utf-8", "replace")


def script_data(tree: Any) -> str:
    """JSON that may stand between the tags of a script, whatever its texts hold."""
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(
        _UNSAFE
    )


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
