import json
import re

import pytest

from hugraph.assembly.ablation import PARTS
from hugraph.cli.ablate import ablate
from hugraph.report.statistics import holm
from tests.assembly.small import write_small_spec


@pytest.fixture
def spec(tmp_path):
    return write_small_spec(tmp_path)


def test_an_ablation_ends_with_a_table_of_differences(hugraph, spec):
    drop = ("--drop", "pooling", "--drop", " id", "--out", "mine", "train.epochs=1")
    code, out, err = hugraph("ablate", spec, *drop)
    assert code == 0, err
    assert len(err.splitlines()) == 3
    lines = out.splitlines()
    header = "without  test recall@10  test ndcg@10  p of recall@10"
    assert re.split(r"\s{2,}", lines[0]) == header.split("  ")
    full, pooling, without_id = (line.split() for line in lines[1:4])
    assert [full[0], pooling[0], without_id[0]] == ["(nothing)", "pooling", "id"]
    assert len(full) == 3 and len(pooling) == 6
    tree = json.loads(hugraph("ablate", spec, *drop, "--json").out)
    assert [one["without"] for one in tree["variants"]] == [None, "pooling", "id"]
    assert [one["changes"] for one in tree["variants"]][1:] == [
        ["model.levels=[4]"],
        ["model.id_dim=0"],
    ]
    a, b = (one["test"]["recall@10"] for one in tree["variants"][:2])
    assert float(pooling[1]) == pytest.approx(b, abs=5e-5)
    assert float(pooling[2].removesuffix("%")) == pytest.approx(100 * (b / a - 1), abs=0.05)
    assert tree["variants"][1]["percent"]["recall@10"] == pytest.approx(100 * (b / a - 1))
    paired = [one["paired"] for one in tree["variants"]]
    assert paired[0] is None and paired[1]["difference"] == pytest.approx(a - b)
    assert [one["t_p_holm"] for one in paired[1:]] == holm([one["t_p"] for one in paired[1:]])
    assert float(pooling[5]) == pytest.approx(paired[1]["t_p_holm"], rel=0.05)


def test_what_training_stops_by_is_shown_first_and_decides(hugraph, spec):
    decided = ("train.epochs=1", "train.early_stopping.metric=ndcg@5", "-q")
    out = hugraph("ablate", spec, "--drop", "id", "--out", "mine", *decided).out
    header = "without  test ndcg@5  test recall@5  p of ndcg@5"
    assert re.split(r"\s{2,}", out.splitlines()[0]) == header.split("  ")


def test_nothing_of_the_table_is_cut_off_by_a_narrow_terminal(hugraph, spec, monkeypatch):
    command = ("ablate", spec, "--drop", "modality:visual", "--out", "mine", "-q")
    command += ("train.epochs=1", "evaluate.metrics=[recall,ndcg,precision]")
    cells = hugraph(*command).out.split()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = re.sub(r"\x1b\[\d*m", "", hugraph(*command).out)
    assert max(map(len, shown.splitlines())) <= 60
    assert set(cells) <= set(shown.split())


def test_the_help_names_every_part():
    assert all(f"    {name} " in ablate.callback.__doc__ for name in PARTS)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "Missing option '--drop'"),
        (("--drop", "fusio"), 3, "did you mean 'fusion'"),
        (("--drop", "id", "conv"), 2, "have commas between, as in --drop conv,pooling"),
        (("--drop", "id", "model=bpr_mf"), 3, "fix: name the spec of another model"),
        (("--drop", "id", "--metric", "recal@5"), 2, "'recal@5' is evaluated; did you mean"),
        (("--drop", "id", "model.id_dim=0"), 3, "id cannot be taken away"),
        (("--drop", "id", "--data", "nowhere"), 4, "nowhere"),
        (("--drop", "id", "--out", "."), 5, "is no ablation (small.yaml)"),
        (("--drop", "id", "--out", "small.yaml"), 5, "small.yaml is a file"),
    ],
)
def test_mistakes_end_in_a_message_and_the_right_code(hugraph, spec, args, code, message):
    outcome = hugraph("ablate", spec, *args)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
