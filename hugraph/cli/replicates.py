"""Several seeds of one spec: how they are given, and how what they came to is shown."""

from collections.abc import Sequence
from statistics import fmean, stdev

import click

from hugraph.cli.terminal import ascii_only


def read_seeds(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[int, ...]:
    """The numbers of `0,1,2`; none if the option is left out."""
    try:
        return tuple(int(seed) for seed in given.split(",")) if given is not None else ()
    except ValueError:
        raise click.BadParameter(f"{given!r} is not of the form 0,1,2", ctx, param) from None


def spread(values: Sequence[float]) -> str:
    """The mean, and the standard deviation where there are several: `0.1234 ± 0.0056`."""
    sign = "+-" if ascii_only() else "±"
    deviation = f" {sign} {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{deviation}"
