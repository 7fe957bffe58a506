"""`hugraph data`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hugraph.cli.terminal import write_line, write_table

if TYPE_CHECKING:
    from hugraph.data.describe import Description


@click.group()
def data() -> None:
    """Look at a dataset, or write a synthetic one."""


@data.command()
@click.argument("directory")
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
def describe(directory: str, as_json: bool) -> None:
    """Say what the dataset in DIRECTORY is, and how dense its co-interaction graph would be.

    \b
    hugraph data describe path/to/my_dataset
    """
    from hugraph.data.describe import describe as count
    from hugraph.data.files import load_directory
    from hugraph.graph import co_interaction_histogram

    dataset = load_directory(path=directory)
    described = count(dataset)
    edges = co_interaction_histogram(dataset.users, dataset.items, dataset.num_items)
    if as_json:
        write_line(json.dumps({**asdict(described), "co_interaction_edges": edges}, indent=2))
    else:
        _show(described, edges)


@data.command()
@click.argument("out")
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
def synthesize(out: str, options: tuple[str, ...]) -> None:
    """Write a synthetic dataset, drawn from a planted tree of intents, into the directory OUT.

    KEY=VALUE sets an option; `hugraph components show planted` lists them.

    \b
    hugraph data synthesize my_synthetic num_users=500 noise=0.5
    """
    from hugraph.assembly.sections import SCHEMA
    from hugraph.data.export import write_directory

    for option in options:
        if "=" not in option:
            raise click.UsageError(f"{option!r} is not of the form KEY=VALUE.")
    keys = "".join("  {}: {}\n".format(*option.split("=", 1)) for option in options)
    text = f"version: 1\nmodel: popularity\ndata:\n  source: planted\n{keys}"
    dataset = SCHEMA.parse(text, "the options of synthesize").data.source()
    write_directory(dataset, out)
    write_line(
        f"{out}: synthetic, {dataset.num_users:,} users, {dataset.num_items:,} items, "
        f"{dataset.num_interactions:,} interactions, {', '.join(dataset.features)}"
    )


def _show(described: "Description", edges: Mapping[int, int]) -> None:
    kind = " (synthetic)" if described.synthetic else ""
    write_line(f"{described.name}{kind}")
    write_line(
        f"{described.users:,} users, {described.items:,} items, {described.interactions:,} "
        f"interactions, {100 * described.sparsity:.3f} % empty, "
        f"{described.bytes / 2**20:.1f} MiB in memory, {described.titles:,} titles"
    )
    write_line(f"SHA-256 {described.fingerprint}\n")
    quantiles = list(described.user_degrees)
    write_table(
        ("interactions of", *quantiles),
        [
            ("a user", *(f"{described.user_degrees[q]:,}" for q in quantiles)),
            ("an item", *(f"{described.item_degrees[q]:,}" for q in quantiles)),
        ],
    )
    write_line()
    write_table(
        ("modality", "kind", "shape", "missing", "mean norm", "constant", "repeated"),
        [
            (
                name,
                m.kind,
                " x ".join(f"{size:,}" for size in m.shape),
                f"{m.missing:,}",
                f"{m.mean_norm:.3g}",
                m.constant_columns,
                m.repeated_columns,
            )
            for name, m in described.modalities.items()
        ],
    )
    write_line("\nco-interaction graph over all interactions")
    most = max(edges.values()) or 1
    write_table(
        ("common users", "edges", ""),
        [(f">= {t}", f"{n:,}", "#" * round(40 * n / most)) for t, n in edges.items()],
    )
    for warning in described.warnings:
        write_line(f"note: {warning}")
