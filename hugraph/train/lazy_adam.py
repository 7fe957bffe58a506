"""Adam for tables of which a batch takes a few rows."""

import torch
from torch import Tensor


class LazyAdam(torch.optim.Optimizer):
    r"""Takes a step of Adam in the rows that have a gradient, and leaves all others as they are.

    A step costs by the rows of the batch, not by those of the table. It is other arithmetic than
    Adam's: in a row outside of the batch, Adam's moments decay and the row goes on moving along
    them; here both wait until the row's next gradient. Where every row has one, both are the same.

    Args:
        params: Dense parameters, `(rows, ...)`, whose gradients are sparse.
        betas: Decay of both moments in a row, per step that the row takes part in.
        eps: Added to the root of the second moment, as in Adam.

    Source:
        Adam, [Kingma and Ba 2015](https://arxiv.org/abs/1412.6980), Algorithm 1; lazy as
        `torch.optim.SparseAdam`, which takes twice the time and adds `eps` before the correction of
        bias. The correction counts all steps, as there.
    """

    def __init__(
        self,
        params: list[torch.nn.Parameter],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Takes a step in every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad.coalesce(), group)

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first_bias, second_bias = (1 - beta ** int(state["step"]) for beta in (beta1, beta2))
        rows, slope = gradient.indices()[0], gradient.values()
        first = state["exp_avg"].index_select(0, rows).lerp_(slope, 1 - beta1)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(beta2)
        second.addcmul_(slope, slope, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        length = second.sqrt_().div_(second_bias**0.5).add_(group["eps"])
        parameter.index_add_(0, rows, first.div_(length), alpha=-group["lr"] / first_bias)
