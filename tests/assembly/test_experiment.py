import pytest
import torch
from torch.testing import assert_close

from hugraph.assembly.experiment import Experiment
from hugraph.assembly.registry import Bound
from hugraph.assembly.sections import SCHEMA
from hugraph.data.features import scale_features
from hugraph.data.projection import project_features
from hugraph.errors import DataError, SpecError
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.interfaces import Recommender
from tests.assembly.small import MODELS, write_small_spec


@pytest.fixture
def prepare(tmp_path):
    path = write_small_spec(tmp_path)
    return lambda *overrides: Experiment.prepare(SCHEMA.resolve(path, overrides))


def test_a_graph_is_built_from_training_interactions_alone(prepare):
    experiment = prepare()
    train = experiment.split.train
    expected = CoInteractionGraphBuilder(min_common_users=2).build(
        train.users, train.items, experiment.dataset.num_items
    )
    for got, want in zip(experiment.item_adjacency.edges(), expected.edges(), strict=True):
        assert torch.equal(got, want)
    assert len(train.users) < experiment.dataset.num_interactions


def test_features_arrive_scaled_as_the_spec_says(prepare):
    for scaling in ("raw", "standardize", "unit"):
        experiment = prepare(f"data.scaling={scaling}")
        for name, features in experiment.modality_features.items():
            raw = experiment.dataset.features[name]
            assert_close(features, torch.from_numpy(scale_features(raw, scaling)))


def test_features_are_projected_after_they_are_scaled(prepare):
    experiment = prepare("data.project=3")
    for name, features in experiment.modality_features.items():
        scaled = scale_features(experiment.dataset.features[name], "standardize")
        assert_close(features, torch.from_numpy(project_features(scaled, 3)))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_built_from_what_it_asks_for(prepare, model):
    built = prepare(*MODELS[model]).build_model()
    assert isinstance(built, Recommender)
    assert (built.num_users, built.num_items) == (90, 60)


def test_the_same_seed_builds_the_same_model_and_another_does_not(prepare):
    first, second, other = (
        torch.cat([p.flatten() for p in prepare(f"seed={seed}").build_model().parameters()])
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_validation_hides_training_items_and_test_hides_both(prepare):
    experiment = prepare()
    perfect = torch.zeros(90, 60)
    for rank, part in enumerate((experiment.test, experiment.validation, experiment.train)):
        perfect[part.users, part.items] = 1.0 + rank

    def scorer(users):
        return perfect[users]

    assert experiment.evaluate(scorer).metrics["recall@10"] == 1.0
    assert experiment.validate(scorer)["recall@10"] == 1.0


@pytest.mark.parametrize(("graph", "last"), [("{}", 10), ("{min_common_users: 12}", 12)])
def test_edges_are_counted_for_thresholds_up_to_that_of_the_spec(prepare, graph, last):
    edges = prepare(f"graph={graph}").edges()
    assert list(edges) == list(range(1, last + 1))
    assert edges[3] == prepare().edges([3])[3] > 0


def test_a_model_that_asks_for_something_unknown_is_refused(prepare):
    class Odd:
        def __init__(self, num_users, item_adjacancy):
            pass

    experiment = prepare()
    object.__setattr__(experiment.spec, "model", Bound(Odd, {}, "component", "odd"))
    with pytest.raises(SpecError, match=r"odd takes 'item_adjacancy'.*did you mean 'item_adj"):
        experiment.build_model()


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("model.levels=[61,2]", SpecError, "61 intents for 60 items"),
        ("model.modalities=[visual,smell]", SpecError, "no modality 'smell'"),
        ("evaluate.k=[10,61]", SpecError, "lists of 61 are asked for, but there are 60 items"),
        ("objective.loss=bprr", SpecError, "bpr"),
        ("graph.min_common_users=80", DataError, "0 edges at threshold 80"),
        ("data.num_items=8", SpecError, "planted: 8 items are too few"),
    ],
)
def test_what_does_not_fit_the_data_is_said(prepare, override, error, message):
    with pytest.raises(error, match=message):
        prepare(override).build_model()
