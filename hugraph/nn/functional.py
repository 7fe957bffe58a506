"""Losses and penalties: differentiable steps without state. None of them owns a weight."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hugraph.nn.adjacency import full_precision


def bpr_loss(pos_scores: Tensor, neg_scores: Tensor) -> Tensor:
    r"""Bayesian personalised ranking: the mean of $-\ln\sigma(\hat y_{uv} - \hat y_{uv'})$.

    Args:
        pos_scores: Scores of items the users know, `(batch,)`.
        neg_scores: Scores of items they do not know, `(batch,)`.

    Returns:
        A scalar, finite for every finite score difference.

    Source:
        [Rendle et al. 2009](https://arxiv.org/abs/1205.2618); HUIGN Eq. 17. The mean over the batch
        stands for the paper's sum, as in the authors' code.
    """
    return F.softplus(neg_scores - pos_scores).mean()


def soft_assignment(logits: Tensor) -> tuple[Tensor, Tensor]:
    r"""Assigns nodes to intents, and tells how undecided the assignment is.

    $$ \gamma_{ik} = \frac{\exp e_{ik}}{\sum_{k'} \exp e_{ik'}}, \qquad
       H = -\frac{1}{n} \sum_{i} \sum_{k} \gamma_{ik} \ln \gamma_{ik} $$

    Both gradients are taken in one pass, in float32 at least, and neither is spoilt by a
    probability that underflows to zero. $H$ is in nats: zero if every node
    belongs to one intent, $\ln K$ if every node is spread evenly over all `K`.

    Args:
        logits: $e$, `(num_nodes, K)`.

    Returns:
        $\gamma$, `(num_nodes, K)`, rows summing to 1, and $H$, a scalar.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 7 and, for one level, Eq. 9.
        The paper leaves sum or mean over nodes open; the mean is the authors' code. They add
        $10^{-15}$ inside the logarithm, which a log-softmax makes unnecessary.
    """
    return _SoftAssignment.apply(logits)


def assignment_entropy(logits: Tensor) -> Tensor:
    r"""The entropy $H$ of [`soft_assignment`][hugraph.nn.soft_assignment] alone, a scalar."""
    return soft_assignment(logits)[1]


def intent_independence(supernodes: Tensor) -> Tensor:
    r"""How far the intents are from orthonormal: $\frac{1}{K^2}\lVert XX^\top - I\rVert_F$.

    Args:
        supernodes: $X$, `(K, dim)`.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 10, for one level; the body
        of the equation, not squared and with $1/K^2$, follows the authors' code.
    """
    identity = torch.eye(len(supernodes), dtype=supernodes.dtype, device=supernodes.device)
    return torch.linalg.matrix_norm(supernodes @ supernodes.T - identity) / len(supernodes) ** 2


def batch_l2(*rows: Tensor) -> Tensor:
    r"""Half the squared norm of a batch's rows, per example: $\frac{1}{2B}\sum\lVert r\rVert^2$.

    Args:
        rows: Embedding rows, `(B, dim)` each; the batch size `B` is taken from the first.

    Source:
        LightGCN, [He et al. 2020](https://arxiv.org/abs/2002.02126), as in the authors' code. It
        stands for the $\lVert\theta\rVert^2$ of HUIGN's Eq. 18.
    """
    total = torch.stack([row.square().sum() for row in rows]).sum()
    return total / (2 * len(rows[0]))


def info_nce(anchors: Tensor, positives: Tensor, temperature: float) -> Tensor:
    r"""Tells how badly each anchor finds its own positive among those of the whole batch.

    $$ -\frac{1}{B} \sum_{b} \ln \frac{\exp(\cos(a_b, p_b) / \tau)}
       {\sum_{b'} \exp(\cos(a_b, p_{b'}) / \tau)} $$

    A row of zeros has cosine 0 with everything, and no gradient. Rows of the same user or item are
    negatives of one another: give each once.

    Args:
        anchors: $a$, `(B, dim)`.
        positives: $p$, `(B, dim)`, aligned with `anchors`.
        temperature: $\tau$; the smaller, the more the most similar negatives matter.

    Returns:
        A scalar between $\ln(1 + (B - 1)\, e^{-2/\tau})$ and $\ln(1 + (B - 1)\, e^{2/\tau})$,
        finite for every finite input.

    Raises:
        ValueError: If the rows are not aligned, or `temperature` is not positive.

    Source:
        [van den Oord et al. 2018](https://arxiv.org/abs/1807.03748), Eq. 4, with the cosine as in
        SGL, [Wu et al. 2021](https://arxiv.org/abs/2010.10783), Eq. 10, whose negatives are the
        batch as well. The mean stands for their sum.
    """
    if anchors.shape != positives.shape:
        raise ValueError(
            f"anchors and positives must be aligned, got {tuple(anchors.shape)} "
            f"and {tuple(positives.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    logits = unit_rows(anchors) / temperature @ unit_rows(positives).T
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def unit_rows(features: Tensor) -> Tensor:
    r"""Scales every row to length 1, $x / \lVert x \rVert$; a row of length 0 stays as it is.

    The same as `torch.nn.functional.normalize` but for rows shorter than $10^{-12}$, which become
    zeros and have no gradient, where that function's grows to $10^{12}$; forward and backward
    together, it reads memory half as often.

    Args:
        features: `(..., dim)`; half precision is taken as float32.
    """
    return _UnitRows.apply(full_precision(features))


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
        inverse = length.reciprocal().masked_fill_(length < 1e-12, 0)
        unit = features * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        unit, inverse = ctx.saved_tensors
        product = gradient * unit
        along = product.sum(dim=-1, keepdim=True)
        return torch.addcmul(gradient, unit, along, value=-1, out=product).mul_(inverse)


class _SoftAssignment(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        ctx.dtype = logits.dtype
        with torch.autocast(logits.device.type, enabled=False):
            half = logits.dtype in (torch.float16, torch.bfloat16)
            log = F.log_softmax(logits, dim=1, dtype=torch.float32 if half else None)
            assignment = log.exp()
            entropy = -torch.dot(assignment.flatten(), log.flatten()) / len(log)
        ctx.save_for_backward(assignment, log)
        return assignment, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_assignment: Tensor, to_entropy: Tensor) -> Tensor:
        assignment, log = ctx.saved_tensors
        # dH/dγ = -(ln γ + 1)/n; the 1 is the same for all of a row and vanishes in the softmax.
        weighted = torch.addcmul(to_assignment, log, -to_entropy / len(log)).mul_(assignment)
        mean = weighted.sum(dim=1, keepdim=True)
        return weighted.addcmul_(assignment, mean, value=-1).to(ctx.dtype)
