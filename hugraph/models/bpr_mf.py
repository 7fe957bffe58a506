"""Matrix factorisation: users and items as free vectors."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier


class BPRMF(PairwiseModel):
    r"""Matrix factorisation, trained with BPR.

    $$ \hat y_{uv} = p_u^\top q_v $$

    Args:
        num_users: Number of users.
        num_items: Number of items.
        dim: Size of the vectors.

    Source:
        [Rendle et al. 2009](https://arxiv.org/abs/1205.2618), section 4.3.1. Xavier initialisation,
        as HUIGN's paper uses for all its models; no bias.
    """

    def __init__(self, num_users: int, num_items: int, *, dim: Annotated[int, Ge(1)] = 64) -> None:
        super().__init__(num_users, num_items)
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Looks the rows up."""
        u, v = take(self.user_embeddings, users), take(self.item_embeddings, items)
        return Encoding(u, v, ego=(u, v))
