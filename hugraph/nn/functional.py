"""Losses and penalties: differentiable steps without state. None of them owns a weight."""

import torch
import torch.nn.functional as F
from torch import Tensor


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


def assignment_entropy(assignment: Tensor, log_assignment: Tensor) -> Tensor:
    r"""How undecided an assignment is: mean over nodes of $-\sum_k \gamma_{ik}\ln\gamma_{ik}$.

    In nats. Zero if every node belongs to one intent; $\ln K$ if every node is spread evenly over
    all `K`.

    Args:
        assignment: $\gamma$, `(num_nodes, num_supernodes)`; rows sum to 1.
        log_assignment: $\ln\gamma$ from a log-softmax, so that a probability that underflows to
            zero contributes zero to the value and to the gradient.

    Source:
        HUIGN, [Wei et al. 2021](https://arxiv.org/abs/2110.14925), Eq. 9, for one level. The paper
        leaves sum or mean over nodes open; the mean is the authors' code. They add $10^{-15}$
        inside the logarithm, which log-softmax makes unnecessary.
    """
    return -(assignment * log_assignment).sum(dim=1).mean()


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
