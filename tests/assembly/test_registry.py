import logging
from functools import partial
from importlib.metadata import EntryPoint

import pytest

import hugraph.assembly.registry as registry_module
from hugraph.assembly.registry import Registry
from tests.assembly.shop import DISHES, FLOURS, Flour, Oven


def test_names_stand_for_constructors_in_the_order_given():
    assert list(DISHES) == ["bread", "soup"]
    assert FLOURS["plain"] is Flour
    assert "os.system" not in FLOURS


def test_a_bound_component_is_called_with_what_only_a_run_knows():
    made = FLOURS.bind("rye", grams=3)("mill")
    assert (made.shop, made.grams, made.grain) == ("mill", 3, "rye")


@pytest.mark.parametrize(
    ("constructor", "name", "besides"),
    [
        (Flour, "plain", {}),
        (partial(Flour, grams=7), "plain", {"grams": 7}),
    ],
)
def test_a_constructor_is_found_by_itself_or_with_keywords_bound(constructor, name, besides):
    assert FLOURS.find(constructor) == (name, besides)


def test_a_constructor_registered_only_with_keywords_is_found_by_its_defaults():
    kinds = {"rye": partial(Flour, grain="rye"), "wheat": partial(Flour, grain="wheat")}
    assert Registry("flour", kinds).find(Flour) == ("wheat", {})


def test_a_constructor_that_is_not_registered_is_refused():
    with pytest.raises(ValueError, match=r"is not a registered flour; known: \['plain', 'rye'\]"):
        FLOURS.find(Oven)


@pytest.fixture
def plugins(monkeypatch):
    def install(**values):
        monkeypatch.setattr(
            registry_module,
            "entry_points",
            lambda group: [EntryPoint(name, value, group) for name, value in values.items()],
        )

    return install


def test_an_installed_package_adds_components(plugins):
    plugins(barley="tests.assembly.shop:Flour")
    assert Registry("flour", {})["barley"] is Flour


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("broken", "tests.assembly.nowhere:Flour", "'broken' cannot be loaded"),
        ("opaque", "builtins:dict", "'opaque' cannot be loaded"),
        ("plain", "tests.assembly.shop:Oven", "'plain' is taken"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_left_out_with_a_warning(
    plugins, caplog, name, value, words
):
    plugins(**{name: value})
    with caplog.at_level(logging.WARNING):
        found = dict(Registry("flour", {"plain": Flour}))
    assert found["plain"] is Flour
    assert list(found) == ["plain"]
    assert words in caplog.text


def test_plugins_are_not_loaded_before_a_name_is_asked_for(plugins, caplog):
    plugins(broken="tests.assembly.nowhere:Flour")
    Registry("flour", {"plain": Flour})
    assert not caplog.records
