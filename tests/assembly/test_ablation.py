import json
from dataclasses import replace

import pytest

from hugraph.assembly import ablation
from hugraph.assembly.ablation import PARTS, Ablation
from hugraph.assembly.experiment import load_data
from hugraph.assembly.runs import complete
from hugraph.assembly.sections import SCHEMA
from hugraph.data.export import write_directory
from hugraph.errors import DivergedError, RunError, SpecError
from hugraph.report.runs import find_runs, summarize
from tests.assembly.small import MODELS, write_small_spec

QUICK = ["train.epochs=1"]


def planned(tmp_path, *drop, overrides=(), **options):
    spec = write_small_spec(tmp_path)
    return Ablation(spec, [*QUICK, *overrides], drop=drop, **options)


def changed(before, after):
    """The keys of a spec that differ, and what they are then."""
    flat = lambda tree, path=(): (
        {".".join(path): tree}
        if not isinstance(tree, dict)
        else {k: v for key in tree for k, v in flat(tree[key], (*path, key)).items()}
    )
    here, there = flat(SCHEMA.tree(before)), flat(SCHEMA.tree(after))
    return {key: there.get(key) for key in here | there if here.get(key) != there.get(key)}


@pytest.mark.parametrize(
    ("name", "overrides", "changes"),
    [
        ("fusion", (), {"model.fusion.component": "mean"}),
        ("conv", (), {"model.conv.hops": 0, "model.conv.self_loops": "keep"}),
        (
            "conv",
            ["model.conv={hops: 2, weight: true, activation: leaky_relu, self_loops: keep}"],
            {"model.conv.hops": 0, "model.conv.weight": False, "model.conv.activation": "none"},
        ),
        ("pooling", (), {"model.levels": [4]}),
        ("entropy", (), {"objective.penalties.assignment_entropy": 0}),
        ("independence", (), {"objective.penalties.intent_independence": 0}),
        (
            "independence",
            ["objective.penalties=1e-3"],
            {
                "objective.penalties": None,
                "objective.penalties.l2": 1e-3,
                "objective.penalties.assignment_entropy": 1e-3,
                "objective.penalties.intent_independence": 0,
            },
        ),
        (
            "independence",
            ["objective.penalties=null"],
            {"objective.penalties.intent_independence": 0},
        ),
        (
            "independence",
            ["objective.penalties={}", "objective.penalties.l2=1"],
            {"objective.penalties.intent_independence": 0},
        ),
        ("id", (), {"model.id_dim": 0}),
        ("modality:visual", (), {"model.modalities": ["acoustic", "textual"]}),
        (
            "modality:visual",
            ["model.modalities=[textual, visual]"],
            {"model.modalities": ["textual"]},
        ),
    ],
)
def test_a_part_is_taken_away_and_nothing_else(tmp_path, name, overrides, changes):
    full, without = planned(tmp_path, name, overrides=overrides).variants
    assert changed(full.specs[3], without.specs[3]) == changes


def test_propagation_is_taken_away(tmp_path):
    with_it = ["model.propagation=light"]
    full, without = planned(tmp_path, "propagation", overrides=with_it).variants
    assert full.specs[3].model.options["propagation"] is not None
    assert without.specs[3].model.options["propagation"] is None


def test_every_part_says_in_a_sentence_what_its_absence_means():
    for _, without in PARTS.values():
        assert without.__doc__.endswith(".") and "\n" not in without.__doc__


@pytest.mark.parametrize(
    ("name", "overrides", "what"),
    [
        ("fusio", (), "huign has no part 'fusio'; did you mean 'fusion'? (known: conv, entropy"),
        ("modality:smell", (), "did you mean"),
        ("full", (), "huign has no part 'full'"),
        ("", (), "huign has no part ''"),
        ("fusion", MODELS["vbpr"], "(known: modality:acoustic, modality:textual, modality:visual)"),
        ("conv", MODELS["lightgcn"], "lightgcn has no part 'conv' (known: none)"),
        ("fusion", ["model.modalities=[visual]"], "there are no two modalities to fuse"),
        ("fusion", ["model.fusion=mean"], "fusion cannot be taken away: the spec does without it"),
        ("modality:visual", ["model.modalities=[visual]"], "it is the only modality"),
        ("pooling", ["model.levels=[4]"], "the spec does without it"),
        ("id", ["model.id_dim=0"], "the spec does without it"),
        ("propagation", (), "the spec does without it"),
        ("entropy", ["objective.penalties.assignment_entropy=0"], "its weight is 0"),
        ("entropy", ["objective.penalties=0"], "its weight is 0"),
    ],
)
def test_what_is_not_there_to_be_taken_away_is_refused(tmp_path, name, overrides, what):
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, name, overrides=overrides)
    (problem,) = caught.value.problems
    assert what in problem.what


def test_all_faults_are_found_before_anything_runs(tmp_path):
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, "x", "conv", "y", seeds=(1, 1))
    assert len(caught.value.problems) == 3


def test_variants_are_run_for_every_seed_and_compared_with_the_full_spec(tmp_path):
    full, *others = planned(tmp_path, "pooling", "id", "pooling", seeds=(1, 2)).run(
        tmp_path / "out"
    )
    assert [one.variant.name for one in (full, *others)] == ["full", "pooling", "id"]
    for one in (full, *others):
        results = [summarize(run).result for run in one.runs]
        assert [SCHEMA.resolve(run / "spec.yaml").seed for run in one.runs] == [1, 2]
        assert list(one.results) == results
        assert one.values("ndcg@10") == [result["test"]["ndcg@10"] for result in results]
    a, b = full.values("ndcg@10")
    c, d = others[1].values("ndcg@10")
    assert others[1].difference(full, "ndcg@10") == pytest.approx(100 * ((c + d) / (a + b) - 1))
    assert full.difference(full, "ndcg@10") == 0
    assert {str(run.relative_to(tmp_path / "out")) for run in find_runs(tmp_path / "out")} == {
        f"{name}/seed-{seed}"
        for name in ("full", "without-pooling", "without-id")
        for seed in (1, 2)
    }


def test_a_finished_run_is_not_repeated_and_a_stopped_one_goes_on(tmp_path):
    out = tmp_path / "out"
    list(planned(tmp_path, "id").run(out))
    (out / "without-id/seed-3/result.json").unlink()
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.json*")}
    results = [one.results for one in planned(tmp_path, "id", "pooling").run(out)]
    again = {path: path.stat().st_mtime_ns for path in files}
    assert {path for path in files if files[path] != again[path]} == set()
    assert (out / "without-id/seed-3/result.json").exists()
    assert len(results) == 3 and all(results)


def test_a_run_of_another_spec_or_of_other_data_is_not_taken_for_this_one(tmp_path):
    dataset = load_data(SCHEMA.resolve(write_small_spec(tmp_path)))
    write_directory(dataset, tmp_path / "here")
    write_directory(dataset, tmp_path / "there")
    less = replace(dataset, users=dataset.users[:-1], items=dataset.items[:-1])
    write_directory(less, tmp_path / "less")

    def run(name, *overrides):
        place = "data={source: directory, path: " + json.dumps(str(tmp_path / name)) + "}"
        return list(planned(tmp_path, "id", overrides=[place, *overrides]).run(tmp_path / "out"))

    assert [one.results for one in run("here")] == [one.results for one in run("there")]
    with pytest.raises(RunError, match=r"train\.lr: 0\.01 -> 0\.5"):
        run("here", "train.lr=0.5")
    with pytest.raises(RunError, match="the data changed since"):
        run("less")


def test_a_variant_that_cannot_be_fitted_is_shown_and_stops_nothing(tmp_path, monkeypatch):
    def diverging(spec, path, dataset):
        if not spec.model.options["id_dim"]:
            raise DivergedError("the loss became nan")
        return complete(spec, path, dataset)

    monkeypatch.setattr(ablation, "complete", diverging)
    full, without_id, single = planned(tmp_path, "id", "pooling").run(tmp_path / "out")
    assert (without_id.results, without_id.failure) == ((), "the loss became nan")
    assert without_id.difference(full, "ndcg@10") is None
    assert full.failure is None and single.results
    with pytest.raises(DivergedError):  # there is nothing to compare with
        list(planned(tmp_path, "pooling", overrides=["model.id_dim=0"]).run(tmp_path / "other"))
