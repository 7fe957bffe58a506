"""What items look and sound like: the feature matrices of all modalities, fixed or learned."""

from collections.abc import Iterable, Sequence
from typing import Annotated, cast

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from hugraph.errors import hint
from hugraph.file_matrix import FileMatrix
from hugraph.interfaces import ModalityFeatures, PropagatedFeatures, TokenBag
from hugraph.nn.token_embedding import TokenEmbedding


class _FixedFeatures(nn.Module):
    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features, persistent=False)

    def forward(self, items: Tensor | None = None) -> Tensor:
        return self.features if items is None else self.features.index_select(0, items)


class _StoredFeatures(nn.Module):
    device: Tensor  # empty; moves with the model

    def __init__(self, matrix: FileMatrix, columns: slice = slice(None)) -> None:
        super().__init__()
        self.matrix = matrix
        self.columns = columns
        self.register_buffer("device", torch.empty(0), persistent=False)

    def forward(self, items: Tensor | None = None) -> Tensor:
        return self.part(self.read(items))

    def read(self, items: Tensor | None) -> Tensor:
        return self.matrix.read() if items is None else self.matrix.rows(items)

    def part(self, rows: Tensor) -> Tensor:
        return rows[:, self.columns].to(self.device)


class ModalityContent(nn.Module):
    """Holds one feature matrix per modality, and knows which items lack which modality.

    Fixed features are not part of the model's state: they come from the dataset. A bag of tokens
    becomes the mean of learned embeddings.

    Args:
        modality_features: Per modality either features `(num_items, dim)`, an all-zero row meaning
            that the item lacks the modality, or a [`TokenBag`][hugraph.interfaces.TokenBag]. Those
            in a [`FileMatrix`][hugraph.file_matrix.FileMatrix] are read as they are asked for, and
            so are [`PropagatedFeatures`][hugraph.interfaces.PropagatedFeatures].
        num_items: Rows that every modality must have.
        modalities: Which modalities to use, in order; all, if not given.
        token_dim: Size of a token's embedding.

    Attributes:
        names: The modalities, in order.
        dims: Feature size of each.
        present: `(num_items, num_modalities)` bool.
        complete: Per modality, whether every item has it.

    Raises:
        ValueError: If there is no modality, one is unknown, or one has another number of items.
    """

    present: Tensor

    def __init__(
        self,
        modality_features: ModalityFeatures,
        num_items: int,
        *,
        modalities: Sequence[str] | None = None,
        token_dim: Annotated[int, Ge(1)] = 128,
    ) -> None:
        super().__init__()
        self.names = tuple(modality_features if modalities is None else modalities)
        if not self.names:
            raise ValueError("at least one modality is needed, got none")
        if unknown := [name for name in self.names if name not in modality_features]:
            raise ValueError(
                f"there is no modality {unknown[0]!r}{hint(unknown[0], modality_features)}"
            )
        self.dims: list[int] = []
        present = []
        self._sources = nn.ModuleList()
        for name in self.names:
            features = modality_features[name]
            if isinstance(features, TokenBag):
                lengths = features.offsets.diff()
                self._sources.append(TokenEmbedding(features, token_dim))
                self.dims.append(token_dim)
                present.append(lengths > 0)
            elif isinstance(features, PropagatedFeatures):
                self._sources.append(_StoredFeatures(features.matrix, features.columns))
                self.dims.append(features.columns.stop - features.columns.start)
                present.append(features.present.to(torch.get_default_device()))
            elif isinstance(features, FileMatrix):
                self._sources.append(_StoredFeatures(features))
                self.dims.append(features.shape[1])
                told = [features.read(rows).numpy().any(axis=1) for rows in features.blocks()]
                present.append(torch.as_tensor(np.concatenate(told)).to(torch.get_default_device()))
            else:
                self._sources.append(_FixedFeatures(features))
                self.dims.append(features.shape[1])
                present.append((features != 0).any(dim=1))
            if len(present[-1]) != num_items:
                raise ValueError(f"{name} has {len(present[-1])} rows for {num_items} items")
        self.complete = [bool(column.all()) for column in present]
        self.register_buffer("present", torch.stack(present, dim=1), persistent=False)

    def __len__(self) -> int:
        return len(self.names)

    def of(self, modality: int, items: Tensor | None = None) -> Tensor:
        """Gives the features of `items` `(b,)`, or of all, in one modality: `(b, dim)`."""
        features: Tensor = self._sources[modality](items)
        return features

    def rows(
        self, items: Tensor | None = None, modalities: Iterable[int] | None = None
    ) -> list[Tensor]:
        """Gives the features of `items` `(b,)`, or of all, in each modality: `(b, dim)`.

        A file that holds several modalities is read once.

        Args:
            items: Which, in any order.
            modalities: In which; all, if not given.
        """
        chosen = range(len(self)) if modalities is None else modalities
        read: dict[FileMatrix, Tensor] = {}
        rows = []
        for source in map(self._sources.__getitem__, chosen):
            if isinstance(source, _StoredFeatures):
                if source.matrix not in read:
                    read[source.matrix] = source.read(items)
                rows.append(source.part(read[source.matrix]))
            else:
                rows.append(source(items))
        return rows

    def raw(self, modality: int) -> Tensor:
        """Gives what is known of all items in one modality before anything is learned.

        Returns:
            Fixed features, `(num_items, dim)`, or how often an item has each token,
            `(num_items, num_tokens)`, sparse COO.
        """
        source = self._sources[modality]
        return source.counts() if isinstance(source, TokenEmbedding) else source()

    def is_fixed(self, modality: int) -> bool:
        """Tells whether the features of this modality never change."""
        return not isinstance(self._sources[modality], TokenEmbedding)

    def is_stored(self, modality: int) -> bool:
        """Tells whether the features of this modality lie in a file."""
        return isinstance(self._sources[modality], _StoredFeatures)

    def stored(self, modality: int) -> FileMatrix:
        """Gives the file that a stored modality lies in, maybe beside others."""
        return cast(_StoredFeatures, self._sources[modality]).matrix

    def columns(self, modality: int) -> slice:
        """Tells which columns of its file a stored modality takes."""
        return cast(_StoredFeatures, self._sources[modality]).columns

    def replace(self, modality: int, features: Tensor) -> None:
        """Puts what was computed from fixed features, `(num_items, dim)`, in their place."""
        self._sources[modality] = _FixedFeatures(features)

    def store(self, modalities: Sequence[int], matrix: FileMatrix) -> None:
        """Puts what was computed from fixed features, side by side in a file, in their place.

        Args:
            modalities: Whose features stand in the file, from left to right.
            matrix: `(num_items, dims)`, those of the modalities together.
        """
        start = 0
        for m in modalities:
            columns = slice(start, start + self.dims[m])
            self._sources[m] = _StoredFeatures(matrix, columns)
            start = columns.stop
