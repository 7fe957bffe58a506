"""One stage's optimiser: a batch in, a step of Adam out, or an error before anything changed."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from hugraph.errors import DivergedError, RunError
from hugraph.interfaces import Batch, Stage
from hugraph.train.lazy_adam import LazyAdam
from hugraph.train.processes import Processes


class StageOptimizer:
    """Steps along the gradient of a stage's weighted terms.

    Parameters that the stage calls lazy are updated by
    [`LazyAdam`][hugraph.train.lazy_adam.LazyAdam], all others by Adam.

    Args:
        stage: What to optimise.
        weights: The weight of each of its terms; a term of weight 0 is only measured.
        clip_norm: Longest gradient; a longer one is scaled down. None for no limit.
        precision: `"bfloat16"` computes the terms under autocast.
        processes: All that take the same steps, each with its part of a batch; None for one alone.
    """

    def __init__(
        self,
        stage: Stage,
        weights: Mapping[str, float],
        *,
        clip_norm: float | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes
        self._stage = stage
        self._weights = weights
        self._clip_norm = clip_norm
        self._device_type = stage.parameters[0].device.type
        self._autocast = precision == "bfloat16"
        lazy = {id(parameter) for parameter in stage.lazy}
        tables = [p for p in stage.parameters if id(p) in lazy]
        others = [p for p in stage.parameters if id(p) not in lazy]
        self._optimizers: list[torch.optim.Optimizer] = []
        if others:
            self._optimizers.append(torch.optim.Adam(others, fused=True))
        if tables:
            self._optimizers.append(LazyAdam(tables))
        self._places: dict[Tensor, int] = {
            parameter: place for place, parameter in enumerate(stage.parameters)
        }

    def step(self, batch: Batch, lr: float) -> dict[str, float]:
        """Takes one step and returns the unweighted terms before it.

        Raises:
            DivergedError: If the loss or its gradient is not finite; no parameter has changed.
            ValueError: If the stage returns other terms than it announces.
        """
        part, share = (batch, 1.0) if self._processes is None else self._processes.part(batch)
        with torch.autocast(self._device_type, torch.bfloat16, enabled=self._autocast):
            terms = self._stage.terms(part)
            if terms.keys() != self._weights.keys():
                raise ValueError(
                    f"stage {self._stage.name!r} announces the terms {sorted(self._weights)} "
                    f"and returns {sorted(terms)}"
                )
            loss = torch.stack([w * terms[name] for name, w in self._weights.items() if w]).sum()
        parameters = self._stage.parameters
        if self._processes is not None:
            loss = share * loss
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients: Sequence[Tensor | None] = [
            None if g is None else _laid_out(g, p) for p, g in zip(parameters, found, strict=True)
        ]
        if self._processes is not None:
            gradients, terms, loss = _added_up(self._processes, share, gradients, terms, loss)
        entries = [g.values() if g.is_sparse else g for g in gradients if g is not None]
        norm = get_total_norm(entries)
        values = self._finite(terms, loss, norm, lr)
        del found, entries  # so that no gradient is held twice
        if self._clip_norm is not None:
            shrink = (self._clip_norm / (norm + 1e-6)).clamp(max=1)
            gradients = [None if g is None else g * shrink for g in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        for optimizer in self._optimizers:
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
            optimizer.zero_grad()
        return values

    def tensors(self) -> dict[str, Tensor]:
        """The state of Adam, by names that `load` understands."""
        return {
            f"{self._places[parameter]}.{key}": value
            for optimizer in self._optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over the state that `tensors()` gave.

        Raises:
            RunError: If it is that of other parameters.
        """
        given = {name: value.shape for name, value in tensors.items()}
        fitting = {
            f"{index}.{key}": torch.Size() if key == "step" else parameter.shape
            for index, parameter in enumerate(self._stage.parameters)
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"{index}.step" in given  # a parameter without a gradient has none
        }
        if given != fitting:
            different = sorted({name for name, _ in given.items() ^ fitting.items()})
            raise RunError(
                f"{len(different)} moments of the checkpoint do not fit stage "
                f"{self._stage.name!r}: {', '.join(different[:5])}",
                fix="use the spec and the dataset that the run was made with",
            )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            place, key = name.split(".")
            moments.setdefault(int(place), {})[key] = value
        for optimizer in self._optimizers:
            (group,) = optimizer.param_groups
            places = [self._places[parameter] for parameter in group["params"]]
            state = {i: moments[place] for i, place in enumerate(places) if place in moments}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

    def _finite(
        self, terms: Mapping[str, Tensor], loss: Tensor, norm: Tensor, lr: float
    ) -> dict[str, float]:
        """The values of the terms, once loss and gradient are known to be finite."""
        scalars = torch.stack([t.detach().double() for t in (*terms.values(), loss, norm)])
        *numbers, loss_value, norm_value = scalars.tolist()  # waits for the device, once a step
        values = dict(zip(terms, numbers, strict=True))
        for what, value in (("loss", loss_value), ("gradient", norm_value)):
            if not math.isfinite(value):
                listed = ", ".join(f"{name} {term:.4g}" for name, term in values.items())
                raise DivergedError(
                    f"the {what} became {value} (lr {lr:g}; {listed})",
                    fix="lower train.lr, or set train.clip_norm",
                )
        return values


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in the order of the parameter's memory, in which fused Adam reads it."""
    if gradient.is_sparse:
        return gradient.coalesce()
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _added_up(
    processes: Processes,
    share: float,
    gradients: Sequence[Tensor | None],
    terms: Mapping[str, Tensor],
    loss: Tensor,
) -> tuple[tuple[Tensor | None, ...], dict[str, Tensor], Tensor]:
    """Those of the whole batch; the part's share is in its gradients and loss already."""
    shares = [share * term.detach().float() for term in terms.values()]
    scalars = torch.stack([*shares, loss.detach().float()])
    scalars, *totals = processes.summed([scalars, *(g for g in gradients if g is not None)])
    *values, loss = scalars.unbind()
    left = iter(totals)
    return (
        tuple(None if g is None else next(left) for g in gradients),
        dict(zip(terms, values, strict=True)),
        loss,
    )
