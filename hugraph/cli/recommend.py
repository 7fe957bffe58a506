"""`hugraph recommend`."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hugraph.cli.paths import PathName, elsewhere, require_out
from hugraph.cli.terminal import count, say, write_json, write_line, write_table
from hugraph.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from hugraph.data.dataset import Dataset

_SUFFIXES = (".parquet", ".csv", ".jsonl")
_NAMED = 5  # of the users that are not there


@click.command(short_help="List the items that a run ranks highest for a user.")
@click.argument("run", type=PathName())
@click.option(
    "--user", "-u", "users", multiple=True, metavar="ID", help="A user's raw id; repeatable."
)
@click.option("--all", "everybody", is_flag=True, help="Recommend to every user.")
@click.option(
    "--k", "-k", default=10, show_default=True, type=click.IntRange(1), help="Items a user."
)
@click.option(
    "--out",
    type=PathName(),
    metavar="FILE",
    help="Write to FILE: .parquet, .csv or .jsonl; replaces it if it exists.",
)
@click.option(
    "--data", type=PathName(), metavar="DIR", help="Where the dataset is now, if it has moved."
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
    if out is not None and as_json:
        raise click.UsageError("Give either --json or --out; --out FILE.jsonl writes JSON lines.")
    if out is not None:
        require_out(out, _SUFFIXES, run)

    from hugraph.assembly import runs
    from hugraph.assembly.recommendation import recommend_in_blocks
    from hugraph.train import RunDir

    experiment = runs.reopen(Path(run), data=data)
    dataset = experiment.dataset
    known, unknown = (range(dataset.num_users), []) if everybody else _find(dataset, users)
    if known:
        model = runs.trained_model(experiment, RunDir(Path(run)))
        if k > dataset.num_items:
            say(f"note: there are {count(dataset.num_items, 'item')}, fewer than --k {k}")
        for user in sorted(set(known) - set(experiment.train.users.tolist())) if users else []:
            say(
                f"note: user {dataset.user_ids[user]} has no training interaction; nothing is "
                "known of their taste"
            )
        blocks = recommend_in_blocks(experiment, model, known, k)
        if out is not None:
            _write((lists for _, lists in blocks), Path(out))
        else:
            for block, lists in blocks:
                if as_json:
                    for row in lists.iter_rows(named=True):
                        write_json(row, indent=None)
                else:
                    _show(lists, dataset, block)
    if unknown:
        raise _not_there(dataset, unknown)


def _find(dataset: "Dataset", users: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """The indices of the users that there are, and the ids of the others; each once."""
    indices = {user: index for index, user in enumerate(dataset.user_ids.tolist())}
    asked = list(dict.fromkeys(users))
    known = [indices[user] for user in asked if user in indices]
    return known, [user for user in asked if user not in indices]


def _not_there(dataset: "Dataset", users: list[str]) -> DataError:
    first = users[:_NAMED]
    more = f" and {len(users) - _NAMED:,} more" if len(users) > _NAMED else ""
    among = f"{'is' if len(users) == 1 else 'are'} not in this run ({dataset.num_users:,} users)"
    near = {user: get_close_matches(user, dataset.user_ids.tolist()) for user in first}
    meant = [
        f"for {user!r} perhaps {' or '.join(map(repr, ids))}" for user, ids in near.items() if ids
    ]
    return DataError(
        f"user{'s' * (len(users) > 1)} {', '.join(map(repr, first))}{more} {among}",
        fix="; ".join(meant) or "use the ids as the data spell them; --all lists every user",
    )


def _show(lists: "pl.DataFrame", dataset: "Dataset", users: Iterable[int]) -> None:
    parts = lists.partition_by("user", maintain_order=True, as_dict=True, include_key=False)
    for user in users:
        name = dataset.user_ids[user]
        if (str(name),) not in parts:
            write_line(f"user {name} has every item already; there is nothing to recommend")
            continue
        write_line(f"for user {name}" + (" (synthetic data)" if dataset.synthetic else ""))
        rows = parts[str(name),].rows()
        table = [(rank, item, title, f"{score:.4f}") for rank, item, title, score in rows]
        write_table(("rank", "item", "title", "score"), table)


def _write(blocks: "Iterable[pl.DataFrame]", out: Path) -> None:
    from hugraph.assembly.recommendation import write_lists

    written = {"recommendation": 0, "user": 0}

    def counted() -> "Iterator[pl.DataFrame]":
        for lists in blocks:
            written["recommendation"] += len(lists)
            written["user"] += lists["user"].n_unique()
            yield lists

    with elsewhere():
        write_lists(counted(), out)
    rows, users = (count(number, what) for what, number in written.items())
    say(f"{rows} for {users} in {out}")
