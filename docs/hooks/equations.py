"""Draws equations as MathML when the pages are built, so that a browser has nothing to fetch."""

import html
import re

from latex2mathml.converter import convert

_EQUATION = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">'
    r"(?P<open>\\\(|\\\[)(?P<tex>.*?)(?:\\\)|\\\])</(?P=tag)>",
    re.DOTALL,
)


def on_post_page(output: str, **_: object) -> str:
    """Replaces every equation of a finished page."""
    return _EQUATION.sub(_mathml, output)


def _mathml(found: re.Match[str]) -> str:
    tex = html.unescape(found["tex"]).replace(r"\nolimits", "")
    display = "block" if found["open"] == r"\[" else "inline"
    return convert(tex, display=display)
