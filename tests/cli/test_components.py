import pytest

from hugraph.assembly.catalog import REGISTRIES


def test_all_components_are_listed_with_kind_and_summary(hugraph):
    code, out, _ = hugraph("components")
    assert code == 0
    rows = [line.split(maxsplit=2) for line in out.splitlines()[1:]]
    assert [(kind, name) for kind, name, _ in rows] == [
        (kind, name) for kind, known in REGISTRIES.items() for name in known
    ]
    assert all(summary for _, _, summary in rows)


def test_the_components_of_one_kind_are_listed(hugraph):
    out = hugraph("components", "fusion").out
    assert [line.split()[1] for line in out.splitlines()[1:]] == [
        "concat",
        "sum",
        "mean",
        "attention",
    ]


def test_names_of_one_class_are_told_apart_by_what_they_bind(hugraph):
    out = hugraph("components", "fusion").out.splitlines()
    assert len({line.split(maxsplit=2)[2] for line in out[1:]}) == 4
    assert out[2].endswith("takes no part (method=sum)")


def test_a_component_is_shown_with_options_documentation_and_source(hugraph):
    out = hugraph("components", "show", "intent_pooling").out
    assert "pooling, hugraph.nn.intent_pooling.IntentPooling" in out
    assert "At run time: dim, num_supernodes" in out
    assert "assignment_scale  1.0         number > 0" in out
    assert "HUIGN, [Wei et al. 2021]" in out
    assert "Defined in intent_pooling.py, lines " in out


def test_the_keywords_that_a_name_binds_are_shown(hugraph):
    out = hugraph("components", "show", "attention").out
    assert out.startswith("attention: fusion, ")
    assert "method='attention'" in out.splitlines()[0]


@pytest.mark.parametrize("name", [name for known in REGISTRIES.values() for name in known])
def test_every_component_can_be_shown(hugraph, name):
    assert hugraph("components", "show", name).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fuson"], "unknown kind of component 'fuson'; did you mean 'fusion'?"),
        (
            ["show", "intent_poling"],
            "unknown component 'intent_poling'; did you mean 'intent_pooling'?",
        ),
        (["show"], "Missing argument 'NAME'"),
    ],
)
def test_an_unknown_name_is_a_matter_of_usage(hugraph, words, message):
    code, _, err = hugraph("components", *words)
    assert code == 2
    assert message in err
