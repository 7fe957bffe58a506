"""`hugraph data`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from hugraph.cli.paths import PathName
from hugraph.cli.terminal import count, write_json, write_line, write_table
from hugraph.errors import DataError, ResourceError, SpecError, hint
from hugraph.sizes import in_bytes

if TYPE_CHECKING:
    from hugraph.data.dataset import Dataset
    from hugraph.data.describe import Description


@click.group()
def data() -> None:
    """Look at a dataset, or write a synthetic one."""


@data.command(short_help="Say what a dataset is and how dense its graph would be.")
@click.argument("directory", type=PathName())
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
def describe(directory: str, as_json: bool) -> None:
    """Say what the dataset in DIRECTORY is, and how dense its co-interaction graph would be.

    \b
    hugraph data describe path/to/my_dataset
    """
    from hugraph.data.describe import describe as measure
    from hugraph.data.files import load_directory
    from hugraph.graph import co_interaction_histogram

    dataset = load_directory(path=directory)
    described = measure(dataset)
    edges: dict[int, int] | None = None
    try:
        edges = co_interaction_histogram(dataset.users, dataset.items, dataset.num_items)
    except (DataError, ResourceError) as error:
        reason = f"the edges of the co-interaction graph are not counted: {error.what}"
        described = replace(described, warnings=(*described.warnings, reason))
    if as_json:
        write_json({**asdict(described), "co_interaction_edges": edges})
    else:
        _show(described, edges, has_split=dataset.given_split is not None)


@data.command(short_help="Write a synthetic dataset.")
@click.argument("out", type=PathName())
@click.argument("options", nargs=-1, metavar="[KEY=VALUE]...")
def synthesize(out: str, options: tuple[str, ...]) -> None:
    """Write a synthetic dataset, drawn from a planted tree of intents, into the directory OUT.

    KEY=VALUE sets an option; `hugraph components show planted` lists them.

    \b
    hugraph data synthesize my_synthetic num_users=500 noise=0.5
    """
    from hugraph.data.export import write_directory

    for option in options:
        if "=" not in option:
            raise click.UsageError(f"{option!r} is not of the form KEY=VALUE.")
    dataset = _planted(options)
    write_directory(dataset, out)
    write_line(
        f"{out}: synthetic, {count(dataset.num_users, 'user')}, "
        f"{count(dataset.num_items, 'item')}, "
        f"{count(dataset.num_interactions, 'interaction')}, {', '.join(dataset.features)}"
    )


def _planted(given: Sequence[str]) -> "Dataset":
    from hugraph.assembly.catalog import SOURCES
    from hugraph.assembly.options import options
    from hugraph.assembly.sections import SCHEMA, Spec
    from hugraph.assembly.spec import gathered, parse, write

    known = options(SOURCES["planted"])

    def spec(values: Mapping[str, Any]) -> Spec:
        source = {"source": "planted", **values}
        return SCHEMA.parse(write({"version": 1, "model": "popularity", "data": source}))

    values: dict[str, Any] = {}
    faults: list[SpecError] = []
    for option in given:  # one by one, so that each fault has its place
        key, _, text = option.partition("=")
        at = f"option {option!r}"
        if key not in known:
            near = get_close_matches(key, known, n=1)
            fix = f"write {near[0]}" if near else f"remove {key}"
            faults.append(SpecError(f"unknown option {key!r}{hint(key, known)}", at=at, fix=fix))
            continue
        try:
            values[key] = parse(text, at, inline=True).plain()
            spec({key: values[key]})
        except SpecError as error:
            faults += [SpecError(one.what, at=at, fix=one.fix) for one in error.problems or [error]]
    if faults:
        raise gathered(faults, "the options")
    dataset: Dataset = spec(values).data.source()
    return dataset


def _show(described: "Description", edges: Mapping[int, int] | None, *, has_split: bool) -> None:
    kind = " (synthetic)" if described.synthetic else ""
    write_line(f"{described.name}{kind}")
    write_line(
        f"{count(described.users, 'user')}, {count(described.items, 'item')}, "
        f"{count(described.interactions, 'interaction')}, "
        f"sparsity {100 * described.sparsity:.2f} %, "
        f"{in_bytes(described.bytes)} in memory, {count(described.titles, 'title')}"
    )
    times, ratings = described.timestamps, described.ratings
    write_line(
        f"timestamps: {f'{times[0]} to {times[1]}' if times else 'none'}; "
        f"ratings: {f'{ratings[0]:g} to {ratings[1]:g}' if ratings else 'none'}; "
        f"split: {'given' if has_split else 'none'}"
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
    if edges is not None:
        write_line(
            "\nco-interaction graph over all interactions (fit builds it from the training part)"
        )
        most = max(edges.values()) or 1
        write_table(
            ("common users", "edges", ""),
            [(f">= {t}", f"{n:,}", "#" * round(40 * n / most)) for t, n in edges.items()],
        )
    for warning in described.warnings:
        write_line(f"note: {warning}")
