"""Figures as blocks of a page."""

from typing import Any

from hugraph.report import figures
from hugraph.report.page import Picture

TITLE = 80  # characters of a title in a plot
_DPI = 110


def svg(figure: Any, text: str) -> Picture:
    """A figure of few shapes, said in `text` to those who do not see it."""
    return Picture(figures.image(figure, "svg"), "svg", text)


def png(figure: Any, text: str) -> Picture:
    """A figure of thousands of points or fields, said in `text` likewise."""
    return Picture(figures.image(figure, "png", dpi=_DPI), "png", text)
