"""A model is whole when it has an example, a page, a contract test and an exact resumption."""

from pathlib import Path

import pytest

from hugraph.assembly import SCHEMA
from hugraph.assembly.catalog import MODELS
from hugraph.assembly.options import call
from tests.assembly import small

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def examples():
    return {SCHEMA.resolve(path).model.name for path in (ROOT / "examples").glob("*.yaml")}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_an_example_a_page_a_contract_test_and_is_resumed(name, examples):
    constructor, _ = call(MODELS[name])
    page = (ROOT / "docs/api/models.md").read_text()
    test = (ROOT / f"tests/models/test_{name}.py").read_text()
    assert name in examples
    assert f"::: {constructor.__module__}.{constructor.__qualname__}" in page
    assert "RecommenderContract" in test or name in small.UNTRAINED
    assert name in small.MODELS
    assert name in small.UNTRAINED or "Source:" in constructor.__doc__
