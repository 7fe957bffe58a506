"""From a spec to a model that trains: data, split, graphs, model, objective and evaluation."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from hugraph.assembly.options import options, runtime
from hugraph.assembly.sections import Spec
from hugraph.data.dataset import Dataset
from hugraph.data.features import scale_features, scaled_on_disk, stays_on_disk
from hugraph.data.filter import filter_interactions
from hugraph.data.projection import project_features, project_on_disk
from hugraph.data.split import Pairs, Split, make_split
from hugraph.errors import DataError, HugraphError, SpecError, hint
from hugraph.file_matrix import FileMatrix
from hugraph.graph import co_interaction_histogram, user_item_graph
from hugraph.interfaces import (
    Interactions,
    ModalityFeatures,
    PropagatedFeatures,
    Recommender,
    Scorer,
    TokenBag,
)
from hugraph.models.popularity import Popularity
from hugraph.nn import adjacency_on
from hugraph.nn.adjacency import Adjacency
from hugraph.seed import seed_torch
from hugraph.train import Evaluation


class Experiment:
    """A spec together with its data: everything that training, evaluation and ranking need.

    Args:
        spec: What to do.
        dataset: The data, filtered.
        split: The parts of the data.
        kept: Features that were propagated for the same spec and data, by modality; models take
            them in the place of those of the dataset.

    Raises:
        SpecError: If the spec asks for longer lists than there are items.
        DataError: If nothing is left to validate on.
    """

    def __init__(
        self,
        spec: Spec,
        dataset: Dataset,
        split: Split,
        kept: Mapping[str, PropagatedFeatures] | None = None,
    ) -> None:
        self.spec = spec
        self.dataset = dataset
        self.split = split
        self.kept = kept or {}
        self.device = spec.train.torch_device()
        self.train = self._interactions(split.train)
        self.validation = self._interactions(split.validation)
        self.test = self._interactions(split.test)
        self._require_fit()

    @classmethod
    def prepare(cls, spec: Spec, dataset: Dataset | None = None) -> "Experiment":
        """Reads or draws the data of `spec`, filters and splits them.

        Args:
            spec: What to do.
            dataset: What [`load_data`][hugraph.assembly.experiment.load_data] gave for a spec with
                the same data, where they have been read before.
        """
        dataset = load_data(spec) if dataset is None else dataset
        return cls(spec, dataset, make_split(dataset, spec.data.split(dataset, spec.seed)))

    def build_model(self, device: torch.device | None = None) -> Recommender:
        """Makes the model, initialised by the seed, on the device of the spec.

        Whatever the constructor takes by position is supplied by name; graphs are built only for a
        model that asks for them.

        Args:
            device: Where the model makes its tensors, if not there; what it is given stays there.

        Raises:
            SpecError: If the options do not fit the data, or the model asks for something unknown.
            DataError: If a graph cannot be built from the data.
        """
        bound = self.spec.model
        require_modalities(self.spec, self.dataset)
        arguments = [self._supply(name, bound.name) for name in runtime(bound.constructor)]
        seed_torch(self.spec.seed, "model")
        try:
            with device or self.device:
                model: Recommender = bound(*arguments)
        except ValueError as error:
            raise SpecError(
                f"{bound.name}: {error}", at="model", fix="choose options that fit these data"
            ) from error
        self.spec.objective().weights(model.stages())  # says now what it would say in training
        return model

    def validate(self, scorer: Scorer) -> dict[str, float]:
        """Measures on validation interactions; training items are left out of the ranking."""
        ranked = self.spec.evaluate(scorer, self.validation, self.train, self.item_degrees)
        return dict(ranked.metrics)

    def evaluate(self, scorer: Scorer) -> Evaluation:
        """Measures on test interactions; training and validation items are left out."""
        result: Evaluation = self.spec.evaluate(scorer, self.test, self.known, self.item_degrees)
        return result

    def popularity(self) -> Popularity:
        """The baseline that every result is shown against."""
        baseline = Popularity(self.dataset.num_users, self.dataset.num_items, self.train)
        return baseline.to(self.device)

    @cached_property
    def known(self) -> Interactions:
        """Training and validation interactions: what a user has, as far as test is concerned."""
        return Interactions(
            torch.cat([self.train.users, self.validation.users]),
            torch.cat([self.train.items, self.validation.items]),
        )

    @cached_property
    def item_degrees(self) -> Tensor:
        """Training interactions of each item, `(num_items,)`."""
        return torch.bincount(self.train.items, minlength=self.dataset.num_items)

    @cached_property
    def modality_features(self) -> ModalityFeatures:
        """Scaled, projected features of every modality, on the device or on disk."""
        return {
            name: self.kept[name] if name in self.kept else self._content(given)
            for name, given in self.dataset.features.items()
        }

    @cached_property
    def item_adjacency(self) -> Adjacency:
        """The co-interaction graph of the training interactions."""
        pairs, num_items = self.split.train, self.dataset.num_items
        try:
            graph = self.spec.graph().build(pairs.users, pairs.items, num_items)
        except HugraphError as error:
            error.at = error.at or "graph"
            raise
        return adjacency_on(graph, self.device)

    @cached_property
    def user_item_adjacency(self) -> Adjacency:
        """The bipartite graph of the training interactions."""
        pairs, dataset = self.split.train, self.dataset
        graph = user_item_graph(pairs.users, pairs.items, dataset.num_users, dataset.num_items)
        return adjacency_on(graph, self.device)

    def edges(self, thresholds: Iterable[int] | None = None) -> dict[int, int]:
        """By threshold of the co-interaction graph, its edges in the training interactions.

        Args:
            thresholds: Least numbers of common users; from 1 to 10, or on to the spec's own, if
                left out.

        Raises:
            DataError: If there are more pairs of items than the spec has counted.
            ResourceError: If the interactions do not fit into its memory budget.
        """
        pairs, chosen = self.split.train, self.spec.graph.options
        if thresholds is None:
            thresholds = range(1, max(10, chosen.get("min_common_users", 1)) + 1)
        limits = {key: chosen[key] for key in options(co_interaction_histogram) if key in chosen}
        num_items = self.dataset.num_items
        return co_interaction_histogram(pairs.users, pairs.items, num_items, thresholds, **limits)

    def _require_fit(self) -> None:
        longest, num_items = max(self.spec.evaluate.options["k"]), self.dataset.num_items
        if longest > num_items:
            raise SpecError(
                f"lists of {longest} are asked for, but there are {num_items} items",
                at="evaluate.k",
                fix=f"use cut-offs of at most {num_items}",
            )
        if not len(self.validation.users):
            raise DataError(
                "the split has no validation interaction, so no epoch can be chosen",
                at="data.split",
                fix="choose another scheme or other ratios",
            )

    def _supply(self, name: str, model: str | None) -> Any:
        supplies: dict[str, Callable[[], Any]] = {
            "num_users": lambda: self.dataset.num_users,
            "num_items": lambda: self.dataset.num_items,
            "train_interactions": lambda: self.train,
            "modality_features": lambda: self.modality_features,
            "item_adjacency": lambda: self.item_adjacency,
            "user_item_adjacency": lambda: self.user_item_adjacency,
        }
        if name not in supplies:
            raise SpecError(
                f"{model} takes {name!r} by position{hint(name, supplies)}",
                at="model",
                fix="make it keyword-only if it is an option of the spec",
            )
        return supplies[name]()

    def _interactions(self, pairs: Pairs) -> Interactions:
        def tensor(indices: NDArray[Any]) -> Tensor:
            return torch.from_numpy(indices).to(self.device)

        return Interactions(tensor(pairs.users), tensor(pairs.items))

    def _content(self, given: NDArray[Any] | TokenBag) -> Tensor | TokenBag | FileMatrix:
        if isinstance(given, TokenBag):
            tokens, offsets = given.tokens.to(self.device), given.offsets.to(self.device)
            return TokenBag(tokens, offsets, given.num_tokens)
        data = self.spec.data
        if stays_on_disk(given):
            stored = scaled_on_disk(given, data.scaling)
            return stored if data.project is None else project_on_disk(stored, data.project)
        features = scale_features(given, data.scaling)
        if data.project is not None:
            features = project_features(features, data.project)
        return torch.from_numpy(features).to(self.device)


def require_modalities(spec: Spec, dataset: Dataset) -> None:
    """Raises a `SpecError` if the model of `spec` names a modality that `dataset` lacks."""
    known = dataset.features
    for name in spec.model.options.get("modalities") or ():
        if name not in known:
            raise SpecError(
                f"the dataset has no modality {name!r}{hint(name, known)}",
                at="model.modalities",
                fix="model.modalities=null takes all that are there",
            )


def load_data(spec: Spec) -> Dataset:
    """Reads or draws the data of `spec` and applies its filters.

    Raises:
        SpecError: If the options of the source contradict each other.
        DataError: If the data cannot be used.
    """
    data = spec.data
    try:
        dataset: Dataset = data.source()
    except (ValueError, MemoryError) as error:
        raise SpecError(
            f"{data.source.name}: {error}", at="data", fix="choose options that go together"
        ) from error
    return filter_interactions(dataset, k_core=data.k_core, min_rating=data.min_rating)
