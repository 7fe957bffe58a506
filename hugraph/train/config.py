"""How a model is trained: everything but the model, the data and the objective."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le

from hugraph.checks import check_options
from hugraph.errors import ResourceError


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When a stage has learned enough.

    Args:
        metric: Validation metric to raise, such as `recall@10`; its best epoch is kept.
        patience: Epochs in a row without a new best before the stage ends.

    Raises:
        ValueError: If a value is out of its range.
    """

    metric: str = "recall@10"
    patience: Annotated[int, Ge(1)] = 20

    def __post_init__(self) -> None:
        check_options(EarlyStopping, **vars(self))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of `fit`.

    Args:
        epochs: Most epochs of a stage.
        batch_size: Triples, users or items of one step.
        lr: Learning rate of Adam in the first epoch.
        lr_schedule: How the rate falls over `epochs`: not, along half a cosine, or by a constant
            factor.
        final_lr: What a falling rate ends at, as a share of `lr`.
        early_stopping: When to stop before `epochs`.
        clip_norm: Longest gradient of a step; a longer one is scaled down. None for no limit.
        precision: Arithmetic of the forward pass; bfloat16 by autocast, weights stay float32.
        device: Where to train; `auto` takes a GPU if torch sees one.

    Raises:
        ValueError: If a value is out of its range.
    """

    epochs: Annotated[int, Ge(1)] = 200
    batch_size: Annotated[int, Ge(1)] = 1024
    lr: Annotated[float, Gt(0)] = 1e-3
    lr_schedule: Literal["constant", "cosine", "exponential"] = "constant"
    final_lr: Annotated[float, Gt(0), Le(1)] = 0.01
    early_stopping: EarlyStopping = EarlyStopping()
    clip_norm: Annotated[float, Gt(0)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        check_options(TrainConfig, **vars(self))

    def lr_at(self, epoch: int) -> float:
        """The learning rate of `epoch`, from 1 to `epochs`; it depends on nothing before."""
        progress = (epoch - 1) / max(self.epochs - 1, 1)
        if self.lr_schedule == "cosine":
            wave = (1 + math.cos(math.pi * progress)) / 2
            return self.lr * (self.final_lr + (1 - self.final_lr) * wave)
        if self.lr_schedule == "exponential":
            return self.lr * self.final_lr**progress
        return self.lr

    def torch_device(self) -> torch.device:
        """The device that `device` means on this machine.

        Raises:
            ResourceError: If a GPU is asked for and torch sees none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ResourceError(
                "torch sees no CUDA device", at="train.device", fix="set train.device=cpu or auto"
            )
        if self.device == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda")
