"""DisenGCN: every neighbour speaks through the channels that explain the link."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Predicate
from torch import Tensor, nn

from hugraph.checks import check_options, distinct
from hugraph.interfaces import ModalityFeatures
from hugraph.models.pairwise import Encoding, PairwiseModel, take, xavier
from hugraph.nn import Edges, ModalityContent, SymmetricAdjacency, unit_rows
from hugraph.nn.adjacency import Adjacency


class DisenGCN(PairwiseModel):
    r"""Smooths embeddings over the user-item graph, in channels between which neighbours choose.

    A layer projects the features $x_i$ of every node to $K$ channels,
    $z_{ik} = \phi(W_k^\top x_i + b_k)$ scaled to length 1, and routes each neighbour to those that
    it has in common with the node: from $c_{ik} = z_{ik}$ on, $T$ times,

    $$ p_{jk} = \operatorname{softmax}_k(z_{jk}^\top c_{ik} / \tau), \qquad
       c_{ik} \leftarrow \frac{z_{ik} + \sum_{j \in N(i)} p_{jk} z_{jk}}{\lVert\,\cdot\,\rVert}. $$

    $x_i$ is an ID embedding, for an item with projected content added if there are `modalities`,
    and in later layers $[c_{i1} \,\|\, \cdots \,\|\, c_{iK}]$ of the layer before. $\phi$ is a ReLU
    but for the last layer, which has none: with non-negative representations no score could be
    negative.

    Channels have length 1, so scores lie within $\pm K$ (for `combine=last`), and the length of an
    embedding plays no part in them: `l2`, over the rows of a batch, hardly matters. A cold item has
    no neighbours: its channels are those of its own embedding, trained as a negative only, and of
    its content, if that is used. Training keeps $K$ numbers per edge, iteration and layer.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modality_features: Features of every modality.
        user_item_adjacency: Symmetric adjacency over users, then items, without self-loops.
        modalities: Whose content is added to the embeddings of items: none, unless named; null
            takes all. A modality that an item lacks adds nothing.
        num_channels: $K$.
        channel_dim: Size of a channel.
        num_layers: Number of layers, each with projections of its own.
        num_iterations: $T$.
        temperature: $\tau$.
        combine: Whether the last layer represents a node, or the mean of all layers.
        token_dim: Embedding size of a modality given as tokens.

    Raises:
        ValueError: If an option is out of range, the adjacency is not symmetric or has other
            nodes, or a modality does not fit.

    Source:
        [Ma et al. 2019](https://proceedings.mlr.press/v97/ma19a.html), section 3: layer and
        routing. The paper classifies nodes, with $T = 7$, up to five layers and dropout; how
        HUIGN's authors made it recommend is not published. Graph, input, combination of layers, the
        last layer without a ReLU and the absence of dropout are inferred. So are the defaults,
        which were not tuned.
    """

    separable = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        modality_features: ModalityFeatures,
        user_item_adjacency: Adjacency,
        *,
        modalities: Annotated[Sequence[str], Predicate(distinct)] | None = (),
        num_channels: Annotated[int, Ge(1)] = 4,
        channel_dim: Annotated[int, Ge(1)] = 16,
        num_layers: Annotated[int, Ge(1)] = 1,
        num_iterations: Annotated[int, Ge(1)] = 3,
        temperature: Annotated[float, Gt(0)] = 1.0,
        combine: Literal["last", "mean"] = "last",
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__(num_users, num_items)
        check_options(
            DisenGCN,
            num_channels=num_channels,
            channel_dim=channel_dim,
            num_layers=num_layers,
            num_iterations=num_iterations,
            temperature=temperature,
            combine=combine,
        )
        self.edges = Edges(SymmetricAdjacency(user_item_adjacency, num_users + num_items))
        self.num_iterations = num_iterations
        self.temperature = temperature
        self.combine = combine

        dim = num_channels * channel_dim
        self.embeddings = xavier(num_users + num_items, dim)
        self.content: ModalityContent | None = None
        if modalities is None or modalities:
            self.content = ModalityContent(
                modality_features, num_items, modalities=modalities, token_dim=token_dim
            )
            self.projection = xavier(sum(self.content.dims), dim)
        self.weights = nn.ParameterList(
            torch.stack([xavier(dim, channel_dim).detach() for _ in range(num_channels)])
            for _ in range(num_layers)
        )
        self.biases = nn.ParameterList(
            torch.zeros(num_channels, 1, channel_dim) for _ in range(num_layers)
        )

    def encode(self, users: Tensor | None = None, items: Tensor | None = None) -> Encoding:
        """Routes through all layers, then takes the rows."""
        features = self._inputs()
        layers: list[Tensor] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            channels = features @ weight + bias  # (num_channels, num_nodes, channel_dim)
            is_last = len(layers) == len(self.weights) - 1
            routed = self._routed(unit_rows(channels if is_last else F.relu(channels)))
            features = routed.transpose(0, 1).flatten(1)
            layers.append(features)
        result = features if self.combine == "last" else torch.stack(layers).mean(dim=0)
        all_users, all_items = result.split([self.num_users, self.num_items])
        node_ids = None if items is None else items + self.num_users
        return Encoding(
            take(all_users, users),
            take(all_items, items),
            ego=(take(self.embeddings, users), take(self.embeddings, node_ids)),
        )

    def _inputs(self) -> Tensor:
        if self.content is None:
            return self.embeddings
        content = torch.cat(self.content.rows(), dim=1) @ self.projection
        return self.embeddings + F.pad(content, (0, 0, self.num_users, 0))

    def _routed(self, channels: Tensor) -> Tensor:
        sent, centres = channels / self.temperature, channels
        for _ in range(self.num_iterations):
            shares = self.edges.dot(sent, centres).softmax(dim=0)
            centres = unit_rows(channels + self.edges.weighted_sum(shares, channels))
        return centres
