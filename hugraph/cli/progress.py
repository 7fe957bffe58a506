"""Shows how training goes: bars on a terminal, one line per epoch elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hugraph.cli.terminal import ascii_only, write_line
from hugraph.train import BatchDone, EpochDone
from hugraph.train.trainer import OnProgress


@contextmanager
def progress(metric: str, *, quiet: bool) -> Iterator[OnProgress]:
    """Gives the callback that shows progress on standard error.

    Args:
        metric: The validation metric to show.
        quiet: Whether to show nothing.
    """
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty() and not ascii_only():
        with _bars() as bars:
            yield _Bars(bars, metric)
    else:
        yield lambda event: _line(event, metric)


def _line(event: BatchDone | EpochDone, metric: str) -> None:
    if isinstance(event, EpochDone):
        write_line(_text(event, metric), file=sys.stderr)
        sys.stderr.flush()


def _text(event: EpochDone, metric: str) -> str:
    terms = "  ".join(f"{name} {value:.4g}" for name, value in event.terms.items())
    best = f"best {event.best_validation.get(metric, 0):.4f} (epoch {event.best_epoch})"
    return (
        f"epoch {event.epoch:3d}  {terms}  {metric} {event.validation[metric]:.4f}  {best}"
        f"  {event.seconds:.1f} s"
    )


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        console=Console(file=sys.stderr),
    )


class _Bars:
    def __init__(self, bars: Progress, metric: str) -> None:
        self._bars = bars
        self._metric = metric
        self._epochs = bars.add_task("epochs", total=None, said="")
        self._steps = bars.add_task("steps", total=None, said="")

    def __call__(self, event: BatchDone | EpochDone) -> None:
        if isinstance(event, BatchDone):
            self._bars.update(self._steps, completed=event.step, total=event.num_steps)
            self._bars.update(self._epochs, completed=event.epoch - 1, total=event.last_epoch)
            return
        self._bars.update(self._epochs, completed=event.epoch)
        terms = "  ".join(f"{name} {value:.3g}" for name, value in event.terms.items())
        best = event.best_validation.get(self._metric, 0)
        said = f"{self._metric} {event.validation[self._metric]:.4f}, best {best:.4f}"
        self._bars.update(self._epochs, said=f"{said} (epoch {event.best_epoch})")
        self._bars.update(self._steps, said=terms)
