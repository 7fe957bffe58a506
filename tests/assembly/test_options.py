from functools import partial

import pytest

from hugraph.assembly.options import REQUIRED, arguments, options, runtime, summary
from tests.assembly.shop import Flour, Meal, Rest, bread, soup


def test_the_keyword_only_parameters_are_the_options():
    assert list(options(Flour)) == ["grams", "grain"]
    assert runtime(Flour) == ["shop"]


def test_an_option_carries_its_default_and_its_documentation():
    sizes = options(bread)["sizes"]
    assert sizes.default == (2, 4)
    assert sizes.text == "Loaves, from small to large."
    assert options(soup)["litres"].default is REQUIRED


def test_a_partial_hides_the_keywords_it_binds():
    assert list(options(partial(Flour, grain="rye"))) == ["grams"]
    assert summary(partial(Flour, grain="rye")) == "Ground grain"


def test_the_default_of_a_dataclass_factory_is_what_it_makes():
    assert options(Meal)["rest"].default == Rest()


def test_an_option_without_an_annotation_is_refused():
    def careless(*, size=3):
        """Has no types."""

    with pytest.raises(TypeError, match=r"'size' of .*careless.* has no type annotation"):
        options(careless)


def test_annotations_of_runtime_things_need_not_be_importable():
    def late(graph: "NotImportedHere", *, size: int = 3):  # noqa: F821
        """Takes a graph."""

    assert options(late)["size"].annotation is int


def test_a_class_without_a_constructor_has_no_options():
    assert options(type("Empty", (), {})) == {}


def test_only_the_entries_of_the_args_section_are_read():
    docstring = """Does.

Returns:
    x: Not an argument.

Args:
    a: First,
        continued: with a colon.
    b (int): Second.

Raises:
    ValueError: Not an argument.
"""
    assert arguments(docstring) == {"a": "First, continued: with a colon.", "b": "Second."}
