import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hugraph.assembly.catalog import MODELS, REGISTRIES
from hugraph.assembly.options import REQUIRED, options
from hugraph.assembly.sections import SCHEMA
from hugraph.assembly.template import commented
from hugraph.errors import SpecError
from hugraph.graph import CoInteractionGraphBuilder
from tests.assembly.good import GOOD


def problems(text):
    with pytest.raises(SpecError) as caught:
        SCHEMA.parse(text, "g.yaml")
    return [(problem.at, problem.what) for problem in caught.value.problems]


def test_the_spec_of_the_paper_becomes_its_components():
    spec = SCHEMA.parse(GOOD)
    assert spec.seed == 7
    assert spec.model.name == "huign"
    assert spec.model.options["levels"] == (32, 8, 4)
    assert spec.model.options["conv"](16).dim == 16
    assert isinstance(spec.graph(), CoInteractionGraphBuilder)
    assert spec.train.lr_at(1) == 0.001
    assert spec.data.split.options == {"ratios": (0.8, 0.1, 0.1)}
    assert spec.evaluate.options["k"] == (1, 5, 10, 20)


def test_a_dumped_spec_is_equal_when_read_again():
    spec = SCHEMA.parse(GOOD)
    assert SCHEMA.parse(SCHEMA.dump(spec)) == spec


@pytest.mark.parametrize("model", MODELS)
def test_a_new_spec_is_valid_and_holds_the_defaults(model):
    text = commented(SCHEMA, {"data": "planted", "model": model})
    bare = SCHEMA.parse(f"version: 1\ndata: {{source: planted}}\nmodel: {model}")
    assert SCHEMA.parse(text) == bare
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, known in REGISTRIES.items() for name in known]
)
def test_every_option_of_the_catalogue_is_documented(kind, name):
    for option in options(REGISTRIES[kind][name]).values():
        assert option.text, f"{kind} {name}: {option.name} has no entry under Args"


@pytest.mark.parametrize(
    ("old", "new", "at", "what"),
    [
        (
            "metric: recall@10",
            "metric: recall@7",
            "g.yaml:13:75 and g.yaml:14:21 and g.yaml:14:51",
            "train.early_stopping.metric 'recall@7' is not evaluated (precision@1,",
        ),
        (
            "0.1, 0.1]",
            "0.1, 0.2]",
            "g.yaml:3:57",
            "data.split.ratios sum to 1.1, not 1",
        ),
        (
            "[0.8, 0.1, 0.1]",
            "[0, 0.1, 0.9]",
            "g.yaml:3:57",
            "data.split.ratios [0.0, 0.1, 0.9] leave nothing for train",
        ),
        (
            "[0.8, 0.1, 0.1]",
            "[1, 0, 0]",
            "g.yaml:3:57",
            "data.split.ratios [1.0, 0.0, 0.0] leave nothing for validation and for test",
        ),
        (
            "source: planted",
            "source: planted, modalities: [a, b, a]",
            "g.yaml:3:37",
            "data.modalities: expected list of string; a name in letters, digits, _ and -, other",
        ),
        (
            "source: planted",
            "source: planted, levels: [4, 8]",
            "g.yaml:3:33",
            "data.levels: expected list of integer >= 1 and <= 10000 (not empty); each is smaller",
        ),
        (
            "source: planted",
            "source: directory, path: d, modalities: [a, a]",
            "g.yaml:3:48",
            "data.modalities: expected list of string; nothing is listed twice or null, got list",
        ),
        (
            "ndcg], k: [1, 5, 10, 20]",
            "ndcg, recall], k: [1, 5, 10, 20]",
            "g.yaml:14:21",
            "evaluate.metrics lists something twice: precision, recall, ndcg, recall",
        ),
        (
            "k: [1, 5, 10, 20]",
            "k: [1, 10, 10]",
            "g.yaml:14:51",
            "evaluate.k lists something twice: 1, 10, 10",
        ),
        (
            "loss: bpr",
            "loss: bprr",
            "g.yaml:12:19 and g.yaml:6:14",
            "objective.loss: huign has no term 'bprr'; did you mean 'bpr'? (known: assignment_en",
        ),
        (
            "l2: ",
            "l3: ",
            "g.yaml:12:66 and g.yaml:6:14",
            "objective.penalties.l3: huign has no term 'l3' (known: assignment_entropy, bpr",
        ),
        (
            "l2: ",
            "bpr: ",
            "g.yaml:12:67 and g.yaml:12:19",
            "objective: 'bpr' is both a loss and a penalty",
        ),
        (
            "lr: 1e-3",
            "final_lr: 0.5",
            "g.yaml:13:50 and g.yaml:13:8",
            "train.final_lr has no effect while train.lr_schedule is constant",
        ),
        (
            "  component: huign\n",
            "  component: huign\n  sampled_edges: 50\n",
            "g.yaml:7:18 and g.yaml:6:3",
            "model.sampled_edges has no effect while model.hierarchy is exact",
        ),
        (
            "  component: huign\n",
            "  component: huign\n  sparse_gradients: true\n  propagation: light\n",
            "g.yaml:7:21 and g.yaml:8:16",
            "model.propagation takes every row, so gradients cannot be sparse",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_told_with_their_places(old, new, at, what):
    ((place, text),) = problems(GOOD.replace(old, new))
    assert place == at
    assert text.startswith(what)


GRAINS = [
    *"[]{}:,-#&*!|>'\"%@`~?\\\n\t\r\x00\x07\x85\u2028\u202e\ufeff \xe9",
    "- ",
    ": ",
    "1e999",
    "-1",
    "0",
    ".nan",
    ".inf",
    "null",
    "yes",
    "!!int ",
    "&a ",
    "*a",
    "<<: ",
    "\n---\n",
    "\n...\n",
    "{{{{{{",
    "[[[[[[",
    "%YAML 1.1\n",
    "? ",
    "99999999999999999999",
    "\\ud800",
    '"\\x00"',
    "2024-13-45",
]


@st.composite
def mutated(draw):
    """A right spec with a few pieces cut, doubled, moved or replaced."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        other = draw(st.integers(0, len(text)))
        piece = draw(
            st.sampled_from(GRAINS) | st.just(text[start:stop]) | st.just(text[other : other + 9])
        )
        text = text[:start] + piece + text[draw(st.sampled_from([start, stop])) :]
    return text


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_damaged_spec_is_read_or_refused_with_place_and_remedy(text):
    check(lambda: SCHEMA.parse(text, "g.yaml"))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_place_and_remedy(text):
    check(lambda: SCHEMA.parse(text, "g.yaml"))


VALUES = ["", "true", "-1", "0", "1.5", ".nan", ".inf", "text", "[]", "{}", "[[1]]", "''", "1e-400"]
VALUES += [
    "{component: 3}",
    "{a: {b: c}}",
    "99999999999",
    "[a, a]",
    "{scheme: x}",
    "&a b",
    "[",
    "!!x",
]


def test_any_value_at_any_key_is_read_or_refused_with_place_and_remedy(tmp_path):
    (tmp_path / "g.yaml").write_text(GOOD)
    keys = list(paths(SCHEMA.tree(SCHEMA.parse(GOOD))))
    assert ("model", "conv", "hops") in keys
    chooser = random.Random(0)
    for path in keys:
        for value in chooser.sample(VALUES, 4):
            override = f"{'.'.join(path)}={value}"
            check(
                lambda o=override: SCHEMA.resolve(tmp_path / "g.yaml", [o]),
                ("override", str(tmp_path)),
            )


def paths(tree, path=()):
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from paths(value, (*path, key))


def check(read, places=("g.yaml:",)):
    try:
        spec = read()
    except SpecError as error:
        for problem in error.problems or (error,):
            assert problem.at.startswith(places), problem
            assert problem.fix, problem
    else:
        assert SCHEMA.parse(SCHEMA.dump(spec)) == spec


def test_only_the_path_of_a_directory_has_no_default():
    needed = [
        (kind, name, option.name)
        for kind, known in REGISTRIES.items()
        for name in known
        for option in options(known[name]).values()
        if option.default is REQUIRED
    ]
    assert needed == [("source", "directory", "path")]


def test_a_metric_that_is_not_better_the_higher_it_is_ends_no_training():
    listed = GOOD.replace("ndcg]", "ndcg, gini]").replace("metric: recall@10", "metric: gini@10")
    ((_, what),) = problems(listed)
    assert what == "train.early_stopping.metric 'gini@10' is not better the higher it is"
    alone = GOOD.replace("[precision, recall, ndcg]", "[gini]")
    ((_, what),) = problems(alone)
    assert what.endswith(
        "'recall@10' is not evaluated (nothing is that is better the higher it is)"
    )


def test_options_of_a_component_that_is_not_chosen_ask_for_its_name():
    ((_, what),) = problems(GOOD.replace("id_dim: 64", "propagation: {num_layers: 1}"))
    assert what == "model.propagation: expected the name of a propagation under 'component'"


def test_the_terms_of_a_model_follow_its_ranking_loss():
    ranked = GOOD.replace("component: huign", "component: huign\n  ranking: sampled_softmax")
    ((_, what),) = problems(ranked)
    assert what.startswith("objective.loss: huign has no term 'bpr' (known: assignment_entropy,")
    assert SCHEMA.parse(ranked.replace("loss: bpr", "loss: softmax"))


def test_a_model_without_terms_of_a_known_kind_may_have_any_objective():
    text = "version: 1\ndata: {source: planted}\nmodel: popularity\nobjective: {loss: other}"
    assert SCHEMA.parse(text).objective.options["loss"] == "other"


@pytest.fixture
def penalties(tmp_path):
    """What is left of the penalties of a spec after changes."""
    (tmp_path / "g.yaml").write_text(GOOD)

    def penalties(*overrides, extending=None):
        if extending is not None:
            (tmp_path / "h.yaml").write_text(f"extends: g.yaml\n{extending}")
        name = "g.yaml" if extending is None else "h.yaml"
        return SCHEMA.resolve(tmp_path / name, overrides).objective.options["penalties"]

    return penalties


def test_an_empty_mapping_takes_the_weights_of_all_penalties_away(penalties):
    assert "l2" in penalties()
    assert penalties("objective.penalties={}") == {}
    assert penalties(extending="objective: {penalties: {}}") == {}
    assert penalties(extending="") == penalties()


def test_penalties_of_one_model_are_not_inherited_by_another(penalties):
    default = SCHEMA.parse("version: 1\ndata: {source: planted}\nmodel: bpr_mf")
    assert penalties("model.component=bpr_mf") == default.objective.options["penalties"]
    assert penalties("model=bpr_mf") == penalties("model.component=bpr_mf")
    assert penalties(extending="model: bpr_mf") == penalties("model.component=bpr_mf")
    assert penalties("model.component=huign") == penalties()


def test_penalties_that_come_with_another_model_are_its_own(penalties):
    l2, model = "objective.penalties.l2=0.5", "model.component=bpr_mf"
    assert penalties(l2, model) == penalties(model, l2) == {"l2": 0.5}
    named = "objective: {penalties: {l2: 0.5}}"
    assert penalties(extending=f"model: bpr_mf\n{named}") == {"l2": 0.5}
    assert penalties(model, extending=named) != {"l2": 0.5}
    assert penalties(model, extending="objective: {penalties: 0.5}") == 0.5


def test_a_missing_section_is_shown_with_a_component():
    with pytest.raises(SpecError) as caught:
        SCHEMA.parse("version: 1")
    assert [problem.fix for problem in caught.value.problems] == [
        "for example data: {source: planted}",
        "for example model: huign",
    ]
    with pytest.raises(SpecError) as caught:
        SCHEMA.parse("version: 1\ndata: {source: planted}\nmodel: huign\ntrain:")
    (problem,) = caught.value.problems
    assert problem.fix == "give a mapping, or remove train"
