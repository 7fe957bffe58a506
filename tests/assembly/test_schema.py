import json
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hugraph.assembly.registry import Bound, Registry
from hugraph.assembly.schema import Schema
from hugraph.assembly.spec import write
from hugraph.errors import SpecError
from hugraph.interfaces import Component
from tests.assembly.shop import (
    DISHES,
    FLOURS,
    REGISTRIES,
    SCHEMA,
    SHOPS,
    Flour,
    Meal,
    Oven,
    Rest,
    Shopping,
    bread,
)

LEAST = "version: 1\nshopping: {source: market}\ndish: bread\n"


def problems(text):
    with pytest.raises(SpecError) as caught:
        SCHEMA.parse(text, "m.yaml")
    assert all(problem.fix for problem in caught.value.problems)
    return [(problem.at, problem.what, problem.fix) for problem in caught.value.problems]


def test_a_spec_becomes_the_objects_it_names_with_every_default():
    assert SCHEMA.parse(LEAST) == Meal(
        version=1,
        shopping=Shopping(source=SHOPS.bind("market", stall="a", weights=(1, 2, 3)), bags=2),
        dish=DISHES.bind(
            "bread",
            flour=FLOURS.bind("plain", grams=500, grain="wheat"),
            sizes=(2, 4),
            crust=True,
            hydration=None,
            spices=1.0,
        ),
        oven=Bound(Oven, {"degrees": 220.0}),
        rest=Rest(minutes=10),
        guests=(),
    )


def test_components_are_built_from_the_options_of_the_spec():
    meal = SCHEMA.parse(
        """
version: 1
shopping: {source: garden, path: "12", bags: 3}
dish: {component: bread, flour: {component: rye, grams: 7}, spices: {salt: 2, dill: .5}}
oven: {degrees: 180}
rest: null
guests: [Ada, Bob]
"""
    )
    kitchen, flour, sizes, crust, hydration, spices = meal.dish("home")
    assert (kitchen, sizes, crust, hydration) == ("home", (2, 4), True, None)
    assert isinstance(flour, Flour)
    assert (flour.shop, flour.grams, flour.grain) == ("mill", 7, "rye")
    assert spices == {"salt": 2.0, "dill": 0.5}
    assert meal.shopping.source() == "garden 12"
    assert (meal.shopping.bags, meal.rest, meal.guests) == (3, None, ("Ada", "Bob"))
    assert isinstance(meal.oven().degrees, float)


def test_a_mapping_without_a_name_means_the_default_component():
    meal = SCHEMA.parse(LEAST.replace("bread", "{component: bread, flour: {grams: 3}}"))
    assert meal.dish.options["flour"].name == "plain"
    assert meal.dish.options["flour"].options["grams"] == 3


@pytest.mark.parametrize(
    ("overrides", "name", "grams", "bags"),
    [
        (["dish.flour.grams=9"], "rye", 9, 3),
        (["dish.flour=rye"], "rye", 500, 3),
        (["dish.flour.component=plain"], "plain", 500, 3),
        (["dish.flour={component: rye, grams: 1}"], "rye", 1, 3),
        (["dish.flour.component=plain", "dish.flour.grams=2"], "plain", 2, 3),
        (["shopping.source=market"], "rye", 4, 3),
    ],
)
def test_overrides_change_a_component_or_choose_another(tmp_path, overrides, name, grams, bags):
    spec = tmp_path / "m.yaml"
    spec.write_text(
        "version: 1\nshopping: {source: garden, path: p, bags: 3}\n"
        "dish: {component: bread, flour: {component: rye, grams: 4}}\n"
    )
    meal = SCHEMA.resolve(spec, overrides)
    flour = meal.dish.options["flour"]
    assert (flour.name, flour.options["grams"], meal.shopping.bags) == (name, grams, bags)


def test_a_spec_that_is_read_once_is_resolved_with_any_overrides(tmp_path):
    (tmp_path / "base.yaml").write_text(LEAST)
    spec = tmp_path / "m.yaml"
    spec.write_text("extends: base.yaml\ndish: {component: bread, flour: rye}")
    overrides = (["dish.flour.grams=9"], [], ["dish.flour=plain"])
    expected = [SCHEMA.resolve(spec, changes) for changes in overrides]
    resolve = SCHEMA.reader(spec)
    spec.unlink()
    assert [resolve(changes) for changes in overrides] == expected


def test_a_component_named_in_the_base_alone_takes_options_of_the_change(tmp_path):
    (tmp_path / "base.yaml").write_text(LEAST.replace("bread", "{component: bread, flour: rye}"))
    (tmp_path / "m.yaml").write_text("extends: base.yaml\ndish: {flour: {grams: 8}}")
    flour = SCHEMA.resolve(tmp_path / "m.yaml").dish.options["flour"]
    assert (flour.name, flour.options["grams"]) == ("rye", 8)


@pytest.mark.parametrize(
    ("line", "at", "what", "fix"),
    [
        (
            "gests: []",
            "m.yaml:4:1",
            "unknown key gests; did you mean 'guests'? (known: dish, guests, oven, rest, "
            "shopping, version)",
            "write guests",
        ),
        (
            "oven: {fuel: gas}",
            "m.yaml:4:8",
            "unknown key oven.fuel (known: degrees)",
            "remove fuel",
        ),
        (
            "minutes: 10",
            "m.yaml:4:1",
            "unknown key minutes; did you mean 'rest.minutes'?",
            "write rest.minutes",
        ),
        (
            "rest: {minutes: ten}",
            "m.yaml:4:17",
            "rest.minutes: expected integer >= 0, got string 'ten'",
            "for example minutes: 10",
        ),
        (
            "rest: {minutes: 5.0}",
            "m.yaml:4:17",
            "rest.minutes: expected integer >= 0, got number 5.0",
            "write 5, without a decimal point",
        ),
        (
            "rest: {minutes: true}",
            "m.yaml:4:17",
            "rest.minutes: expected integer >= 0, got boolean true",
            "for example minutes: 10",
        ),
        (
            'oven: {degrees: "1e2"}',
            "m.yaml:4:17",
            "oven.degrees: expected number > 0 and <= 300, got string '1e2'",
            "write 100.0, without quotes",
        ),
        (
            "oven: {degrees: .nan}",
            "m.yaml:4:17",
            "oven.degrees: expected number > 0 and <= 300, got number nan",
            "for example degrees: 220.0",
        ),
        (
            "oven: 3",
            "m.yaml:4:7",
            "oven: expected mapping, got integer 3",
            "give a mapping, or remove oven",
        ),
        (
            "rest: []",
            "m.yaml:4:7",
            "rest: expected mapping or null, got list []",
            "give a mapping, or remove rest",
        ),
        (
            "guests: [1, Ada]",
            "m.yaml:4:10",
            "guests[0]: expected string, got integer 1",
            "for example text",
        ),
        (
            "guests: Ada",
            "m.yaml:4:9",
            "guests: expected list of string, got string 'Ada'",
            "for example guests: []",
        ),
    ],
)
def test_a_fault_says_key_place_and_remedy(line, at, what, fix):
    assert problems(f"{LEAST}{line}\n") == [(at, what, fix)]


@pytest.mark.parametrize(
    ("dish", "column", "what", "fix"),
    [
        (
            "brad",
            7,
            "unknown dish 'brad'; did you mean 'bread'? (known: bread, soup)",
            "write bread",
        ),
        (
            "os.system",
            7,
            "unknown dish 'os.system' (known: bread, soup)",
            "see `hugraph components dish`",
        ),
        (
            "3",
            7,
            "dish: expected the name of a dish, got integer 3",
            "for example component: bread (known: bread, soup)",
        ),
        (
            "{litres: 3}",
            7,
            "dish: expected the name of a dish under 'component'",
            "for example component: bread (known: bread, soup)",
        ),
        (
            "{component: [soup]}",
            19,
            "dish: expected the name of a dish, got list ['soup']",
            "for example component: bread (known: bread, soup)",
        ),
        ("{component: soup}", 7, "missing key dish.litres: integer", "for example litres: 1"),
        (
            "{component: bread, sizes: [4, 2]}",
            33,
            "dish.sizes: expected list of integer >= 2 (not empty); each size must exceed the one "
            "before, got list [4, 2]",
            "for example sizes: [2, 4]",
        ),
        (
            "{component: bread, crust: yes}",
            33,
            "dish.crust: expected true or false, got string 'yes'",
            "write true or false",
        ),
        (
            "{component: bread, flour: {grain: rie}}",
            41,
            "dish.flour.grain: expected one of wheat, rye, got string 'rie'; did you mean 'rye'?",
            "write rye",
        ),
        (
            "{component: bread, flour: {component: rye, grain: rye}}",
            50,
            "unknown key dish.flour.grain; did you mean 'grams'? (known: grams)",
            "write grams",
        ),
        (
            "{component: bread, spices: {salt: -1}}",
            41,
            "dish.spices.salt: expected number > 0, got integer -1",
            "for example salt: 1.0",
        ),
        (
            "{component: bread, spices: many}",
            34,
            "dish.spices: expected mapping of names to number > 0 or number > 0, got string 'many'",
            "for example spices: 1.0",
        ),
    ],
)
def test_a_fault_within_a_component_says_key_place_and_remedy(dish, column, what, fix):
    text = LEAST.replace("dish: bread", f"dish: {dish}")
    assert problems(text) == [(f"m.yaml:3:{column}", what, fix)]


def test_all_faults_are_said_at_once_in_the_order_of_the_file():
    text = "version: 2\nshopping: {source: garden, bag: 1}\ndish: {component: bread, sizes: [1, x]}"
    assert [(at, what.split(",")[0]) for at, what, _ in problems(text)] == [
        ("m.yaml:1:10", "version: expected one of 1"),
        ("m.yaml:2:11", "missing key shopping.path: string"),
        ("m.yaml:2:28", "unknown key shopping.bag; did you mean 'bags'? (known: bags"),
        ("m.yaml:3:34", "dish.sizes[0]: expected integer >= 2"),
        ("m.yaml:3:37", "dish.sizes[1]: expected integer >= 2"),
    ]


def test_a_rule_between_keys_names_both_places():
    text = f"{LEAST}oven: {{degrees: 30}}\nrest: {{minutes: 60}}\n"
    assert problems(text) == [("m.yaml:5:17 and m.yaml:4:17", "rests too long", "rest less")]


def test_rules_are_checked_beside_other_faults():
    text = f"{LEAST}oven: {{degrees: 30}}\nrest: {{minutes: 60}}\nguests: [1]\n"
    assert [what for _, what, _ in problems(text)] == [
        "rests too long",
        "guests[0]: expected string, got integer 1",
    ]


def test_a_rule_stays_silent_about_keys_that_are_wrong_themselves():
    text = f"{LEAST}oven: {{degrees: hot}}\nrest: {{minutes: 600}}\n"
    assert [at for at, _, _ in problems(text)] == ["m.yaml:4:17"]


MEALS = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "shopping": st.fixed_dictionaries(
            {"source": st.just("garden"), "path": st.text("ab \u00e9:#1.'\"", max_size=5)},
            optional={"bags": st.integers(1, 9)},
        ),
        "dish": st.sampled_from(["bread", {"component": "soup", "litres": 3}])
        | st.fixed_dictionaries(
            {"component": st.just("bread")},
            optional={
                "flour": st.sampled_from(["plain", "rye", {"grams": 9}]),
                "sizes": st.sets(st.integers(2, 99), min_size=1, max_size=4).map(sorted),
                "crust": st.booleans(),
                "hydration": st.none() | st.floats(0, 1, exclude_max=True),
                "spices": st.floats(0.001, 1e9)
                | st.dictionaries(st.sampled_from(["salt", "no"]), st.floats(0.1, 2)),
            },
        ),
    },
    optional={
        "rest": st.none() | st.builds(dict, minutes=st.integers(0, 200)),
        "guests": st.lists(st.text("ab \u00e9-", max_size=4), max_size=3),
    },
)


@settings(max_examples=60)
@given(MEALS)
def test_a_spec_that_is_dumped_and_read_again_is_equal(tree):
    meal = SCHEMA.parse(write(tree))
    dumped = SCHEMA.dump(meal)
    assert SCHEMA.parse(dumped) == meal
    assert SCHEMA.dump(SCHEMA.parse(dumped)) == dumped


def test_the_json_schema_knows_every_key_and_range():
    schema = json.loads(json.dumps(SCHEMA.json_schema()))
    assert schema["required"] == ["version"]
    assert set(schema["properties"]) >= {"extends", "version", "shopping", "dish", "rest"}
    loaf = schema["$defs"]["bread"]
    assert loaf["additionalProperties"] is False
    assert loaf["properties"]["component"]["const"] == "bread"
    assert loaf["properties"]["sizes"]["items"]["minimum"] == 2
    assert loaf["properties"]["flour"]["anyOf"][0] == {"enum": ["plain", "rye"]}
    assert loaf["properties"]["sizes"]["description"] == "Loaves, from small to large."
    assert loaf["properties"]["spices"]["default"] == 1.0


def residual(*, inner: Annotated[Bound, Component("dish")]) -> None:
    """Takes a component of its own kind."""


def test_a_component_that_takes_its_own_kind_is_refused():
    looped = {**REGISTRIES, "dish": Registry("dish", {"bread": bread, "residual": residual})}
    with pytest.raises(TypeError, match="takes itself as an option"):
        Schema(Meal, looped).parse(LEAST)


def clash(*, bags: int = 1) -> None:
    """Has an option that the section has too."""


def test_a_source_with_an_option_of_its_section_is_refused():
    clashing = {**REGISTRIES, "source": Registry("source", {"clash": clash}, key="source")}
    with pytest.raises(TypeError, match=r"clash has options that its section has too: \['bags'\]"):
        Schema(Meal, clashing).parse(LEAST)
