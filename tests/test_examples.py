"""Every file of examples/ is valid, says what it is, and does what it says for a moment."""

import ast
import re
import runpy
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from hugraph.assembly.experiment import Experiment
from hugraph.assembly.sections import SCHEMA
from hugraph.data.export import write_directory
from hugraph.data.schemes import random_per_user
from hugraph.data.synthetic import planted
from hugraph.train import fit

EXAMPLES = Path(__file__).parents[1] / "examples"
SPECS = sorted(EXAMPLES.glob("*.yaml"))
COMPOSE = EXAMPLES / "compose_layers.py"

SIZES = {"num_users": 120, "num_items": 80, "interactions_per_user": 12}
QUICK = ["train.epochs=1", "train.batch_size=256", "graph.min_common_users=1"]

every_spec = pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tiny"
    dataset = planted(**SIZES)
    write_directory(replace(dataset, given_split=random_per_user(dataset, seed=0)), path)
    return path


@every_spec
def test_a_spec_is_valid_as_it_stands_and_keeps_its_meaning_when_written_in_full(path):
    spec = SCHEMA.resolve(path)
    assert SCHEMA.tree(SCHEMA.parse(SCHEMA.dump(spec))) == SCHEMA.tree(spec)


@every_spec
def test_a_spec_begins_with_what_it_is_and_names_its_paper(path):
    comment = re.match(r"(# .+\n)+", path.read_text())
    assert comment
    assert path.stem == "popularity" or re.search(r"https://(arxiv|doi)\.org/", comment[0])


@every_spec
def test_a_spec_is_fitted_tested_and_learns_something(path, directory):
    source = SCHEMA.resolve(path).data.source.name
    sizes = [f"data.{key}={value}" for key, value in SIZES.items()]
    overrides = sizes if source == "planted" else [f"data.path={directory}"]
    spec = SCHEMA.resolve(path, [*overrides, *QUICK])
    experiment = Experiment.prepare(spec)
    model = experiment.build_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    fitted = fit(
        model,
        experiment.train,
        experiment.validate,
        seed=spec.seed,
        config=spec.train,
        objective=spec.objective(),
    )
    tested = experiment.evaluate(model.scorer())

    for name, parameter in model.named_parameters():
        assert (parameter != before[name]).any(), name
    assert fitted.epochs == len(model.stages())
    asked = product(spec.evaluate.options["metrics"], spec.evaluate.options["k"])
    assert set(tested.metrics) == {f"{name}@{k}" for name, k in asked}
    assert tested.metrics["recall@10"] > 0


def test_the_layers_compose_from_two_rooms_alone_in_under_sixty_lines():
    text = COMPOSE.read_text()
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    modules = {node.module for node in imports} | {
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert modules == {"torch", "hugraph.graph", "hugraph.nn"}
    assert len(text.splitlines()) < 60


def test_the_composed_layers_learn_to_find_the_withheld_item(capsys):
    runpy.run_path(str(COMPOSE))
    rates = [float(rate) for rate in re.findall(r"hit rate@10 ([0-9.]+)", capsys.readouterr().out)]
    chance = 10 / 230
    assert rates[-1] > 4 * max(rates[0], chance)
