"""TensorBoard events of a run. They are a view: losing them never stops or harms training."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


class EventLog:
    """Writes scalars and histograms over epochs.

    Args:
        directory: For `tensorboard --logdir`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writer: SummaryWriter | None = None
        self._failed = False

    def write(
        self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Tensor]
    ) -> None:
        """Adds one epoch. The first call drops events of this and later epochs from the display."""
        if self._failed:
            return
        from torch.utils.tensorboard import SummaryWriter  # slow, and ranking needs none

        try:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._directory), purge_step=epoch)
            for tag, value in scalars.items():
                self._writer.add_scalar(tag, value, epoch)
            for tag, values in histograms.items():
                finite = values.detach()[values.detach().isfinite()]
                if len(finite):
                    self._writer.add_histogram(tag, finite.float().cpu(), epoch)
            self._writer.flush()
        except OSError as error:
            self._failed = True
            log.warning("TensorBoard events end here: %s", error)
            self.close()

    def close(self) -> None:
        """Ends the event file; another `write` would begin a new one."""
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        self._writer = None
