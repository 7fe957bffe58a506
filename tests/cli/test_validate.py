import json
import os
from pathlib import Path

import pytest

from tests.assembly.good import GOOD


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


# number in the catalogue, spec, words of the message, place
CATALOGUE = [
    (2, "", "spec is empty", "s.yaml:1:1"),
    (2, "# only a comment\n", "spec is empty", "s.yaml:2:1"),
    (3, "- a\n- b\n", "the top level of a spec must be a mapping, not a list", "s.yaml:1:1"),
    (3, "huign", "the top level of a spec must be a mapping, not a string", "s.yaml:1:1"),
    (4, "version: 1\nmodel: {levels: [3\n", "not valid YAML", "s.yaml:3:1"),
    (4, "version: 1\nmodel:\n\tcomponent: huign\n", "not valid YAML", "s.yaml:3:1"),
    (5, GOOD + "---\nversion: 1\n", "a second one starts here", "s.yaml:15:1"),
    (
        6,
        changed("  id_dim", "  id_dimm"),
        "unknown key model.id_dimm; did you mean 'id_dim'?",
        "11:3",
    ),
    (7, changed("  id_dim", "  zzz"), "unknown key model.zzz (known: aliased_penalties,", "11:3"),
    (7, GOOD + "lr: 1\n", "unknown key lr; did you mean 'train.lr'?", "15:1"),
    (7, changed("  id_dim", "  hops"), "key model.hops; did you mean 'model.conv.hops'?", "11:3"),
    (8, GOOD + "seed: 8\n", "duplicate key 'seed', first on line 2", "15:1"),
    (
        9,
        changed("  component: huign\n", ""),
        "expected the name of a model under 'component'",
        "6:3",
    ),
    (9, changed("source: planted", "source: directory"), "missing key data.path: string", "3:7"),
    (10, changed("200", '"ten"'), "train.epochs: expected integer >= 1, got string 'ten'", "13:17"),
    (12, changed("id_dim: 64", "id_dim: yes"), "expected integer >= 0, got string 'yes'", "11:11"),
    (12, changed("id_dim: 64", "id_dim: true"), "expected integer >= 0, got boolean true", "11:11"),
    (13, changed("64", "64.5"), "expected integer >= 0, got number 64.5", "11:11"),
    (13, changed("64", "64.0"), "write 64, without a decimal point", "11:11"),
    (14, changed("64", "-1"), "model.id_dim: expected integer >= 0, got integer -1", "11:11"),
    (16, changed("[32, 8, 4]", "[8, 32]"), "each is smaller than the one before", "7:11"),
    (16, changed("[32, 8, 4]", "[]"), "model.levels: expected list of integer >= 2", "7:11"),
    (16, changed("[32, 8, 4]", "[32, 1]"), "model.levels[1]: expected integer >= 2", "7:16"),
    (18, changed("1e-3", "0"), "train.lr: expected number > 0, got integer 0", "13:44"),
    (18, changed("1e-3", "-1e-3"), "train.lr: expected number > 0, got number -0.001", "13:44"),
    (18, changed("1e-3", ".nan"), "train.lr: expected number > 0, got number nan", "13:44"),
    (18, changed("1e-3", ".inf"), "train.lr: expected number > 0, got number inf", "13:44"),
    (19, changed("huign", "hugin"), "unknown model 'hugin'; did you mean 'huign'?", "6:14"),
    (19, changed("[precision", "[precisoin"), "did you mean 'precision'?", "14:22"),
    (20, changed("huign", "os.system"), "unknown model 'os.system' (known: bm3", "6:14"),
    (22, changed("planted,", "planted, modalities: [],"), "data.modalities: expected list", "3:37"),
    (22, changed("planted,", "planted, modalities: [a, a],"), "nothing is listed twice", "3:37"),
    (23, changed("[1, 5, 10, 20]", "[]"), "evaluate.k: expected list of integer >= 1", "14:51"),
    (23, changed("[1, 5, 10, 20]", "[0, 10]"), "evaluate.k[0]: expected integer >= 1", "14:52"),
    (23, changed("[1, 5, 10, 20]", "[ten, 10]"), "evaluate.k[0]: expected integer >= 1", "14:52"),
    (24, changed("0.1]", "0.2]"), "data.split.ratios sum to 1.1, not 1", "3:57"),
    (24, changed("[0.8, 0.1", "[1.1, -0.2"), "data.split.ratios[0]: expected number >= 0", "3:58"),
    (
        24,
        changed("[0.8, 0.1, 0.1]", "[1, 0, 0]"),
        "leave nothing for validation and for test",
        "3:57",
    ),
    (25, changed("users: 5", "users: 0"), "graph.min_common_users: expected integer >= 1", "4:54"),
    (25, changed("users: 5", "users: 2.5"), "expected integer >= 1, got number 2.5", "4:54"),
    (26, changed("seed: 7", "seed: -1"), "seed: expected integer >= 0 and < 4294967296", "2:7"),
    (26, changed("seed: 7", "seed: 4294967296"), "got integer 4294967296", "2:7"),
    (26, changed("seed: 7", "seed: 18446744073709551616"), "an integer beyond 64 bits", "2:7"),
    (26, changed("seed: 7", "seed: abc"), "got string 'abc'", "2:7"),
    (27, changed("recall@10", "recall@7"), "'recall@7' is not evaluated", "13:75"),
    (30, "x: !!python/object/apply:os.system ['touch hacked']", "tag !!python/object", "1:4"),
    (31, "a: &a [x]\nb: &b [*a, *a]\n", "anchor &a is not allowed", "s.yaml:1:4"),
    (32, "x: " + 500 * "[" + 500 * "]", "nested deeper than 32 levels", "s.yaml:1:36"),
    (33, GOOD + 2**20 * "#", "spec is larger than 1048576 bytes", "s.yaml"),
    (34, GOOD + "x: 2024-13-45", "unknown key x", "s.yaml:15:1"),
    (34, GOOD + "x: !!int abc", "tag !!int is not allowed", "s.yaml:15:4"),
    (34, changed("64", "0x_"), "expected integer >= 0, got string '0x_'", "11:11"),
    (34, GOOD + "x: !!bool maybe", "tag !!bool is not allowed", "s.yaml:15:4"),
    (35, b"version: 1\nseed: \xff\n", "not text: byte 0xff at offset 17", "s.yaml:2:7"),
    (37, "1: a", "keys are strings, got integer 1", "1:1"),
    (37, "on: x", "unknown key on", "1:1"),
    (37, "null: x", "keys are strings, got null", "1:1"),
    (38, "version: 1\nseed: \x07\n", "character U+0007 is not allowed", "s.yaml:2:7"),
    (38, "version: \x001", "character U+0000 is not allowed", "s.yaml:1:10"),
    (39, changed("version: 1", "version: 99"), "this hugraph reads version 1; a later one", "1:10"),
    (39, changed("version: 1\n", ""), "missing key version: integer", "s.yaml:1:1"),
    (
        40,
        changed("lr: 1e-3", "final_lr: 0.1"),
        "no effect while train.lr_schedule is",
        "and s.yaml",
    ),
]


@pytest.mark.parametrize(("number", "spec", "words", "place"), CATALOGUE, ids=range(len(CATALOGUE)))
def test_a_wrong_spec_ends_with_code_3_what_where_and_a_fix(hugraph, number, spec, words, place):
    Path("s.yaml").write_bytes(spec if isinstance(spec, bytes) else spec.encode())
    before = sorted(os.listdir())
    code, out, err = hugraph("validate", "s.yaml")
    assert (code, out) == (3, "")
    assert words in err
    assert place in err
    assert err.startswith("error[3]: ")
    assert err.count("\n  at: s.yaml") == err.count("\n  fix: ") == err.count("error[3]: ")
    assert "Traceback" not in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("number", "content"),
    [
        (11, GOOD),
        (36, b"\xef\xbb\xbf" + GOOD.encode()),
        (36, GOOD.encode("utf-16")),
        (36, GOOD.replace("\n", "\r\n").encode()),
    ],
)
def test_a_right_spec_ends_with_code_0(hugraph, number, content):
    Path("s.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert hugraph("validate", "s.yaml") == (0, "s.yaml is valid\n", "")


def test_a_spec_that_is_not_there_names_those_beside(hugraph):
    Path("huign.yaml").write_text(GOOD)
    Path("bpr.yml").write_text(GOOD)
    assert hugraph("validate", "hugin.yaml") == (
        3,
        "",
        "error[3]: spec not found: hugin.yaml\n  at: hugin.yaml\n"
        "  fix: did you mean huign.yaml? there are bpr.yml, huign.yaml\n",
    )
    assert "spec is a directory: ." in hugraph("validate", ".").err


@pytest.mark.timeout(10)
def test_a_spec_that_is_no_regular_file_is_refused_at_once(hugraph):
    os.mkfifo("pipe.yaml")
    for path in ("pipe.yaml", "/dev/zero"):
        code, _, err = hugraph("validate", path)
        assert code == 3
        assert "not a regular file" in err


def test_all_faults_are_counted(hugraph):
    Path("s.yaml").write_text(changed("seed: 7", "sed: 7").replace("64", "x"))
    err = hugraph("validate", "s.yaml", "train.lr=-1").err
    assert err.count("error[3]: ") == 3
    assert err.endswith(
        "  at: override 'train.lr=-1'\n  fix: for example lr: 0.001\n3 faults in s.yaml\n"
    )


def test_the_faults_come_as_json_for_machines(hugraph):
    Path("s.yaml").write_text(changed("64", "x"))
    code, out, err = hugraph("validate", "--json", "s.yaml")
    assert (code, err) == (3, "")
    assert json.loads(out) == {
        "valid": False,
        "faults": [
            {
                "what": "model.id_dim: expected integer >= 0, got string 'x'",
                "at": "s.yaml:11:11",
                "fix": "for example id_dim: 64",
            }
        ],
    }


def test_the_resolved_spec_comes_as_json_for_machines(hugraph):
    Path("s.yaml").write_text(GOOD)
    code, out, _ = hugraph("validate", "--json", "s.yaml", "model.levels=[64,16]", "train.lr=5e-4")
    spec = json.loads(out)["spec"]
    assert code == 0
    assert spec["model"]["levels"] == [64, 16]
    assert spec["train"]["lr"] == 0.0005
    assert spec["model"]["conv"]["hops"] == 1


def test_a_json_schema_for_editors_is_written(hugraph):
    code, out, _ = hugraph("validate", "--schema")
    assert code == 0
    assert "huign" in json.loads(out)["$defs"]


def test_no_spec_is_a_matter_of_usage(hugraph):
    code, _, err = hugraph("validate")
    assert code == 2
    assert "Missing argument 'SPEC'" in err


def test_escape_sequences_of_a_spec_do_not_reach_the_terminal(hugraph):
    Path("s.yaml").write_text(changed("huign", '"\\e[31mred"'))
    err = hugraph("validate", "s.yaml").err
    assert "\x1b" not in err
    assert "error[3]: " in err
