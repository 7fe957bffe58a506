"""TensorBoard events of a run. They are a view: losing them never stops or harms training."""

import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hugraph.errors import ResourceError
from hugraph.train import atomic
from hugraph.train.projector import projector_files

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


class EventLog:
    """Writes scalars and histograms over epochs, and what a finished run shows.

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
        with self._forgiven():
            writer = self._open(epoch)
            for tag, value in scalars.items():
                writer.add_scalar(tag, value, epoch)
            for tag, values in histograms.items():
                finite = values.detach()[values.detach().isfinite()]
                if len(finite):
                    writer.add_histogram(tag, finite.float().cpu(), epoch)
            writer.flush()

    def draw(self, epoch: int, pictures: Mapping[str, bytes]) -> None:
        """Adds pictures to the last epoch; what was written of it stays.

        Args:
            epoch: The last one.
            pictures: By tag, the file of a PNG.
        """
        if self._failed:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        with self._forgiven():
            writer = self._open(epoch + 1)
            events: Any = writer.file_writer
            for tag, png in pictures.items():
                width, height = struct.unpack(">II", png[16:24])
                image = Summary.Image(width=width, height=height, encoded_image_string=png)
                shown = Summary(value=[Summary.Value(tag=tag, image=image)])
                events.add_summary(shown, epoch)
            writer.flush()

    def project(
        self, vectors: NDArray[np.floating], columns: Mapping[str, Sequence[str]], name: str
    ) -> None:
        """Writes points for the projector in the place of those before.

        Args:
            vectors: `(num_points, dim)`.
            columns: Labels of the points, by the name of the column.
            name: What the points are called.
        """
        if self._failed:
            return
        with self._forgiven():
            atomic.make_directory(self._directory)
            for file, content in projector_files(vectors, columns, name).items():
                atomic.write(self._directory / file, content)

    def close(self) -> None:
        """Ends the event file; another `write` would begin a new one."""
        with suppress(OSError):
            if self._writer is not None:
                self._writer.close()
        self._writer = None

    def _open(self, purge_step: int) -> "SummaryWriter":
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow, and ranking needs none

            self._writer = SummaryWriter(str(self._directory), purge_step=purge_step)
        return self._writer

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Reports the first refusal of the system, after which nothing more is tried."""
        try:
            yield
        except (OSError, ResourceError) as error:
            self._failed = True
            log.warning("TensorBoard events end here: %s", error)
            self.close()
