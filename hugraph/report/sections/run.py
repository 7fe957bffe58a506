"""What was fitted, and how well it ranks."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hugraph.data.dataset import Dataset
from hugraph.report.page import Cell, Code, Details, Facts, Number, Prose, Section
from hugraph.report.sections.cells import counted, four, interval, ratio, table_of
from hugraph.report.statistics import bootstrap_interval, paired_test


def run_card(
    record: Mapping[str, Any], result: Mapping[str, Any], spec: str, dataset: Dataset
) -> Section:
    """What was fitted, on what, by what, and how long it took.

    Args:
        record: What `run.json` holds.
        result: What `result.json` holds.
        spec: What `spec.yaml` holds.
        dataset: The data.
    """
    data, counts, machine = record["data"], record["split_counts"], record["environment"]
    versions = {name: str(value) for name, value in machine.items()}
    values = {
        "model": record["model"],
        "data": f"{data['name']}{' (synthetic)' if data['synthetic'] else ''}",
        "users": f"{dataset.num_users:,}",
        "items": f"{dataset.num_items:,}",
        "interactions": f"{dataset.num_interactions:,}",
        "modalities": ", ".join(dataset.features) or "none",
        "training, validation, test": ", ".join(
            f"{counts[part]:,}" for part in ("train", "validation", "test") if part in counts
        ),
        "epochs": f"{result['epochs']}, the best {result['best_epoch']}",
        "seconds of training": f"{result['seconds']:,}",
        "hash of the split": record["split_hash"][:16],
        "hash of the data": data["fingerprint"][:16],
        **versions,
    }
    warnings = [Prose(text, beware=True) for text in data["warnings"]]
    headline = Facts(_headline(result), large=True)
    more = Details("The spec", [Code(spec)])
    return Section("run", "Run", [headline, *warnings, Facts(values), more])


def metrics(
    model: str,
    result: Mapping[str, Any],
    ours: Mapping[str, NDArray[np.float64]],
    theirs: Mapping[str, NDArray[np.float64]],
) -> Section:
    """The test beside that of popularity.

    Args:
        model: Its name.
        result: What `result.json` holds.
        ours: By metric, the score of each user.
        theirs: The scores of popularity for the same users.
    """
    rows: list[list[Cell]] = []
    for name, value in result["test"].items():
        if name == "users":
            continue
        baseline = result["popularity"].get(name, math.nan)
        row: list[Cell] = [name, four(value)]
        if name in ours and name in theirs:
            test = paired_test(ours[name], theirs[name])
            row += [
                interval(*bootstrap_interval(ours[name])),
                four(baseline),
                ratio(value, baseline),
                Number(test.difference, f"{test.difference:+.4f}"),
                interval(*test.interval),
                f"{test.wins:,} / {test.ties:,} / {test.losses:,}",
            ]
        else:
            row += ["", four(baseline), ratio(value, baseline), "", "", ""]
        rows.append(row)
    header = ["metric", model, "95 % interval", "popularity", "ratio", "difference"]
    header += ["95 % interval", "users better / equal / worse"]
    caption = f"Test metrics over {counted(result['test']['users'], 'user')}"
    how = Prose(
        "Popularity shows everybody the items with most training interactions, and is what any "
        "model must beat. Intervals are bootstrapped over users; the difference is paired."
    )
    return Section("metrics", "Metrics", [table_of(caption, header, rows), how])


def _headline(result: Mapping[str, Any]) -> dict[str, str]:
    """The test metrics at the first cut-off, beside those of popularity."""
    metrics = [name for name in result["test"] if name != "users"]
    cut = metrics[0].partition("@")[2] if metrics else ""
    shown = {}
    for name in metrics:
        value, baseline = result["test"][name], result["popularity"].get(name, 0.0)
        if name.partition("@")[2] == cut:
            times = f" ({value / baseline:.1f}× popularity)" if baseline else ""
            shown[f"{name}{times}"] = f"{value:.4f}"
    return shown
