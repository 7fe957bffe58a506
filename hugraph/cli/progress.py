"""Shows how training goes: bars on a terminal, one line per epoch elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from hugraph.cli.terminal import ascii_only, say
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
    elif sys.stderr.isatty() and not ascii_only(sys.stderr):
        with _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        ) as bars:
            yield _Display(bars, metric)
    else:
        yield lambda event: _line(event, metric)


def _line(event: BatchDone | EpochDone, metric: str) -> None:
    if isinstance(event, EpochDone):
        say(_text(event, metric))


def _text(event: EpochDone, metric: str) -> str:
    terms = "  ".join(f"{name} {value:<9.4g}" for name, value in event.terms.items())
    best = f"best {event.best_validation.get(metric, 0):.4f} (epoch {event.best_epoch:3d})"
    return (
        f"epoch {event.epoch:3d}  {terms}  {metric} {event.validation[metric]:.4f}  {best}"
        f"  {event.seconds:5.1f} s"
    )


class _Bars(Progress):
    """Bars with lines of text below them, which a narrow terminal cuts short."""

    said: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.said)


class _Display:
    def __init__(self, bars: _Bars, metric: str) -> None:
        self._bars = bars
        self._metric = metric
        self._epochs = bars.add_task("epochs", total=None)
        self._steps = bars.add_task("steps", total=None)

    def __call__(self, event: BatchDone | EpochDone) -> None:
        if isinstance(event, BatchDone):
            if event.step == 1:
                self._bars.reset(self._steps)
            self._bars.update(self._steps, completed=event.step, total=event.num_steps)
            self._bars.update(self._epochs, completed=event.epoch - 1, total=event.last_epoch)
            return
        self._bars.update(self._epochs, completed=event.epoch)
        best = event.best_validation.get(self._metric, 0)
        self._bars.said = (
            f"{self._metric} {event.validation[self._metric]:.4f}, best {best:.4f} "
            f"(epoch {event.best_epoch})",
            "  ".join(f"{name} {value:.3g}" for name, value in event.terms.items()),
        )
