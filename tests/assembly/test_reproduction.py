from pathlib import Path

import numpy as np
import pytest
import torch

from hugraph.assembly.catalog import MODELS
from hugraph.assembly.reproduction import Reproduction, _of_items
from hugraph.data.export import write_directory
from hugraph.data.synthetic import planted
from hugraph.errors import SpecError
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.nn import Intents
from tests.assembly.small import write_small_spec

PAPER = Path(__file__).parents[2] / "examples" / "paper"
HEAD = "title: t\npaper: p\nspec: small.yaml\n"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Reads a study that stands beside a small spec."""
    write_small_spec(tmp_path)
    monkeypatch.chdir(tmp_path)

    def read(text, *overrides, **options):
        Path("study.yaml").write_text(text)
        return Reproduction(Path("study.yaml"), overrides, **options)

    return read


@pytest.fixture(scope="module")
def two_modalities(tmp_path_factory):
    """A directory of a dataset whose items have no sound."""
    path = tmp_path_factory.mktemp("data") / "silent"
    write_directory(planted(num_users=90, num_items=60, interactions_per_user=9), path)
    (path / "acoustic.npy").unlink()
    return path


def names(reproduction):
    return [row.name for row in reproduction.rows]


def options(row):
    return row.spec.model.options


@pytest.mark.parametrize("path", sorted(PAPER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_of_the_paper_runs_on_a_dataset_that_lacks_a_modality(path, two_modalities):
    data = ["data.source=directory", f"data.path={two_modalities}"]
    reproduction = Reproduction(path, data)
    assert "https://arxiv.org/abs/2110.14925" in path.read_text()
    assert reproduction.metrics == [
        f"{name}@{k}" for k in (1, 5, 10) for name in ("precision", "recall", "ndcg")
    ]
    for row in reproduction.rows:
        assert row.spec.data.source.options["path"] == str(two_modalities)


def test_table_2_has_every_model():
    found = {row.spec.model.name for row in Reproduction(PAPER / "table2.yaml").rows}
    assert found == set(MODELS)


def test_each_modality_stands_alone_in_a_row(two_modalities):
    data = ["data.source=directory", f"data.path={two_modalities}"]
    reproduction = Reproduction(PAPER / "table4.yaml", data)
    assert sorted(names(reproduction)) == ["all", "only textual", "only visual"]
    for row in reproduction.rows[:-1]:
        assert options(row)["modalities"] == (row.name.removeprefix("only "),)
    assert options(reproduction.rows[-1])["modalities"] is None


def test_only_the_modalities_that_are_used_stand_alone():
    reproduction = Reproduction(PAPER / "table4.yaml", ["model.modalities=[textual, visual]"])
    assert names(reproduction) == ["only textual", "only visual", "all"]


def test_a_row_changes_the_command_line_which_changes_the_study(study):
    text = HEAD + (
        "overrides: {train.lr: 1, train.batch_size: 2, model.id_dim: 3}\n"
        "rows: {a: {overrides: {train.epochs: 4}}, b: {overrides: {model.id_dim: 5}}}\n"
    )
    a, b = (row.spec for row in study(text, "train.lr=7").rows)
    assert (a.train.lr, a.train.batch_size, a.train.epochs, a.model.options["id_dim"]) == (
        7,
        2,
        4,
        3,
    )
    assert (b.train.lr, b.train.batch_size, b.train.epochs, b.model.options["id_dim"]) == (
        7,
        2,
        3,
        5,
    )


def test_every_row_takes_every_point_of_the_grid_for_every_seed(study):
    text = HEAD + "rows: {a: {}, b: {}}\ngrid: {train.lr: [1, 0.1], model.levels: [[4, 2], [3]]}\n"
    reproduction = study(text, seeds=[5, 8])
    points = [[1, [4, 2]], [1, [3]], [0.1, [4, 2]], [0.1, [3]]]
    assert [(row.name, [*row.point.values()]) for row in reproduction.rows] == [
        (name, point) for name in "ab" for point in points
    ]
    for row in reproduction.rows:
        assert list(row.specs) == [5, 8]
        for seed, spec in row.specs.items():
            assert spec.seed == seed
            assert [spec.train.lr, list(spec.model.options["levels"])] == [*row.point.values()]
    assert str(reproduction.rows[2].directory) == "a/lr-0.1/levels-4-2"
    assert len({row.directory for row in reproduction.rows}) == 8


def test_the_edges_are_those_of_the_graphs_that_the_models_get(study):
    text = HEAD + (
        "rows: {a: {}}\ngrid: {graph.min_common_users: [4, 2]}\nfigure: loss_by_threshold\n"
    )
    reproduction = study(text)
    pairs = reproduction._experiment.split.train
    for threshold, edges in reproduction.edges().items():
        builder = CoInteractionGraphBuilder(min_common_users=threshold)
        graph = builder.build(pairs.users, pairs.items, 60)
        assert graph.num_edges() == 2 * edges
    assert list(reproduction.edges()) == [4, 2]


FINE = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]


@pytest.mark.parametrize(
    ("upper", "level", "strongest"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], 2, [0, 1, 0]),
        ([[1.0, 0.0], [0.8, 0.2]], 1, [0, 1, 0]),  # of level 2 all items have the first
    ],
)
def test_items_are_told_apart_at_the_coarsest_level_that_can(upper, level, strongest):
    fine, upper = torch.tensor(FINE), torch.tensor(upper)
    items = _of_items(Intents((fine, upper), torch.cat([torch.eye(2), upper], dim=1), {}))
    np.testing.assert_allclose(items.distributions[:, 2:], fine @ upper)
    assert items.level == level
    assert list(items.strongest) == strongest


def test_all_faults_of_a_study_are_found_at_once_each_with_its_place(study):
    text = HEAD + (
        "rows:\n"
        "  a: {overrides: {model.levls: [3]}}\n"
        "  b: {spec: nowhere.yaml}\n"
        "  c: {overrides: {model: {component: lightgc}}}\n"
        "  d: {overrides: {train.lr: -1}}\n"
        "  e: {}\n"
        "grid: {seed: [1, 2]}\n"
    )
    with pytest.raises(SpecError) as error:
        study(text, "train.lr=0.1")
    found = [(fault.what.split(";")[0].split(" (")[0], fault.at) for fault in error.value.problems]
    assert found == [
        ("train.lr is varied by the study and also set", "study.yaml:8:19"),
        ("rows share their seeds", "study.yaml:10:8"),
        ("unknown key model.levls", "study.yaml:5:19"),
        ("spec not found: nowhere.yaml", "study.yaml:6:13"),
        ("unknown model 'lightgc'", "study.yaml:7:38"),
        ("train.lr: expected number > 0, got integer -1", "study.yaml:8:29"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: t\npaper: p\nrows: {a: {}}\nrow: 3\n", "unknown key row.*did you mean 'rows'"),
        ("title: t\npaper: p\nrows: {}\n", "rows: expected mapping of names to mapping"),
        ("title: t\npaper: p\nrows: {a: {}}\n", "row 'a' has no spec\n  at: study.yaml:3:11"),
        (HEAD + "rows: {a: {}}\ngrid: {train.lr: []}\n", "expected list of value .not empty"),
        (HEAD + "rows: {a: {each: modalty}}\n", "did you mean 'modality'"),
        (HEAD + "rows: {a: {}}\nfigure: tsn\n", "did you mean 'tsne'\\?\n  at: study.yaml:5:9"),
        (HEAD + "rows: {a: {}}\nfigure: loss_by_threshold\n", "a grid of graph.min_common_users"),
        (HEAD + "rows: {a: {}, b: {}}\nfigure: tsne\n", "needs one row, of a huign"),
        (HEAD + "rows: {a: {each: modality}}\nfigure: tsne\n", "needs one row, of a huign"),
        (HEAD + "rows: {a: {}}\ngrid: {train.lr: [1, 1]}\n", "row 'a', train.lr=1 cannot be told"),
        (HEAD + "rows: {a: {overrides: {model.modalities: [smell]}}}\n", "no modality 'smell'"),
        (HEAD + "rows: {a: {}, b: {overrides: {data.k_core: 2}}}\n", "'a' and 'b' differ in data"),
        (HEAD + "rows: {a: {}, b: {overrides: {evaluate.k: [10]}}}\n", "differ in evaluate"),
        (HEAD + "rows: {a b: {}, a/b: {}}\n", "row 'a/b' cannot be told"),
        (HEAD + "rows: {'..': {}}\n", "row '..' cannot be told"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(study, text, message):
    with pytest.raises(SpecError) as error:
        study(text)
    assert error.match(message)
    assert "study.yaml" in str(error.value)


def test_a_model_without_modalities_has_no_row_for_each(study):
    change = "{model: {component: lightgcn}, objective: {penalties: {l2: 1}}}"
    with pytest.raises(SpecError, match=r"unknown key model.modalities(?s:.*)study.yaml:4:"):
        study(HEAD + f"rows: {{a: {{each: modality, overrides: {change}}}}}\n")
