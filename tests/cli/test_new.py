from pathlib import Path

import pytest

from hugraph.assembly.catalog import MODELS


@pytest.mark.parametrize("model", MODELS)
def test_a_new_spec_is_valid(hugraph, model):
    code, out, _ = hugraph("new", model)
    assert code == 0
    Path("my.yaml").write_text(out)
    assert hugraph("validate", "my.yaml").out == "my.yaml is valid\n"


def test_every_key_is_explained_above_it(hugraph):
    lines = hugraph("new", "huign").out.splitlines()
    where = lines.index("  epochs: 200")
    assert lines[where - 1] == "  # Most epochs of a stage. (integer >= 1)"
    assert "    component: concat  # or sum, mean, attention" in lines


@pytest.mark.parametrize("model", MODELS)
def test_a_new_spec_is_narrow_and_free_of_tex(hugraph, model):
    out = hugraph("new", model).out
    assert max(map(len, out.splitlines())) <= 78
    assert not {"$", "\\"} & set(out)
    assert "Delete the lines that you do not change." in out


def test_an_unknown_model_is_a_matter_of_usage(hugraph):
    code, _, err = hugraph("new", "hugin")
    assert code == 2
    assert "unknown model 'hugin'; did you mean 'huign'?" in err
