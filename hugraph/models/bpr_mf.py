"""Matrix factorisation: users and items as free vectors."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier


class BPRMF(PairwiseModel):
    r"""Matrix factorisation, trained with BPR.

    $$ \hat y_{uv} = p_u^\top q_v $$

    Args:
        num_users: Number of users.
        num_items: Number of items.
        dim: Size of the vectors.
        sparse_gradients: Updates only the rows of a batch, by a lazy Adam: for tables so long that
            a step of Adam over all rows would cost more than the rest. Other arithmetic, and other
            results: moments of rows outside of the batch do not decay.

    Source:
        [Rendle et al. 2009](https://arxiv.org/abs/1205.2618), section 4.3.1. Xavier initialisation,
        as HUIGN's paper uses for all its models; no bias.
    """

    separable = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        dim: Annotated[int, Ge(1)] = 64,
        sparse_gradients: bool = False,
    ) -> None:
        super().__init__(num_users, num_items)
        self.sparse_gradients = sparse_gradients
        self.user_embeddings = xavier(num_users, dim)
        self.item_embeddings = xavier(num_items, dim)

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Looks the rows up."""
        u = take(self.user_embeddings, users, sparse=self.sparse_gradients)
        v = take(self.item_embeddings, items, sparse=self.sparse_gradients)
        return Encoding(u, v, ego=(u, v))

    def lazy_tables(self) -> tuple[nn.Parameter, ...]:
        """Both tables, with sparse gradients."""
        return (self.user_embeddings, self.item_embeddings) if self.sparse_gradients else ()
