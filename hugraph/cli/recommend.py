"""`hugraph recommend`."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hugraph.cli.terminal import count, write_line, write_table
from hugraph.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from hugraph.data.dataset import Dataset

_SUFFIXES = (".parquet", ".csv", ".jsonl")


@click.command(short_help="List the items that a run ranks highest for a user.")
@click.argument("run", type=click.Path())
@click.option(
    "--user", "-u", "users", multiple=True, metavar="ID", help="A user's raw id; repeatable."
)
@click.option("--all", "everybody", is_flag=True, help="Recommend to every user.")
@click.option(
    "--k", "-k", default=10, show_default=True, type=click.IntRange(1), help="Items a user."
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="Write to FILE: .parquet, .csv or .jsonl; replaces it if it exists.",
)
@click.option(
    "--data", type=click.Path(), metavar="DIR", help="Where the dataset is now, if it has moved."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines instead of a table.")
def recommend(
    run: str,
    users: tuple[str, ...],
    everybody: bool,
    k: int,
    out: str | None,
    data: str | None,
    as_json: bool,
) -> None:
    """List the items that RUN ranks highest for a user.

    Items that the user has in training or validation are left out, so that the lists are those that
    `evaluate` judges.

    \b
    hugraph recommend RUN --user u17 --k 10
    hugraph recommend RUN --all --out recommendations.parquet
    """
    if everybody == bool(users):
        raise click.UsageError("Give either --user ID or --all.")
    if out is not None and not out.endswith(_SUFFIXES):
        raise click.UsageError(f"--out {out!r} must end in one of {', '.join(_SUFFIXES)}.")

    from hugraph.assembly import runs
    from hugraph.assembly.recommendation import recommend as rank
    from hugraph.train import RunDir

    experiment = runs.reopen(Path(run), data=data)
    dataset = experiment.dataset
    known, unknown = (range(dataset.num_users), []) if everybody else _find(dataset, users)
    if known:
        model = runs.trained_model(experiment, RunDir(Path(run)))
        lists = rank(experiment, model, known, k)
        if k > dataset.num_items:
            _say(f"note: there are {count(dataset.num_items, 'item')}, fewer than --k {k}")
        for user in sorted(set(known) - set(experiment.train.users.tolist())) if users else []:
            _say(
                f"note: user {dataset.user_ids[user]} has no training interaction; nothing is "
                "known of their taste"
            )
        if out is not None:
            _write(lists, Path(out))
        elif as_json:
            sys.stdout.write(lists.write_ndjson())
        else:
            _show(lists, dataset, known)
    if unknown:
        raise (
            unknown[0]
            if len(unknown) == 1
            else DataError(
                f"{len(unknown)} users are not in this run; the first: {unknown[0].what}",
                fix=unknown[0].fix,
            )
        )


def _find(dataset: "Dataset", users: tuple[str, ...]) -> tuple[list[int], list[DataError]]:
    known, unknown = [], []
    for user in users:
        try:
            known.append(dataset.user_index(user))
        except DataError as error:
            unknown.append(error)
    return known, unknown


def _show(lists: "pl.DataFrame", dataset: "Dataset", users: "list[int] | range") -> None:
    for user in users:
        name = dataset.user_ids[user]
        rows = lists.filter(lists["user"] == name).drop("user").rows()
        if not rows:
            write_line(f"user {name} has every item already; there is nothing to recommend")
            continue
        write_line(f"for user {name}" + (" (synthetic data)" if dataset.synthetic else ""))
        table = [(rank, item, title, f"{score:.4f}") for rank, item, title, score in rows]
        write_table(("rank", "item", "title", "score"), table)


def _write(lists: "pl.DataFrame", out: Path) -> None:
    from hugraph.train import atomic

    buffer = io.BytesIO()
    if out.suffix == ".parquet":
        lists.write_parquet(buffer)
    elif out.suffix == ".csv":
        lists.write_csv(buffer)
    else:
        lists.write_ndjson(buffer)
    atomic.write(out, buffer.getvalue())
    users = count(lists["user"].n_unique(), "user")
    _say(f"{count(len(lists), 'recommendation')} for {users} in {out}")


def _say(text: str) -> None:
    write_line(text, file=sys.stderr)
