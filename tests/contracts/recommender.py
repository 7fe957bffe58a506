"""What every recommender must do. A model's test subclasses `RecommenderContract` and makes one."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hugraph.graph import CoInteractionGraphBuilder, user_item_graph
from hugraph.interfaces import Interactions, ItemBatch, Recommender, Triples, UserBatch
from hugraph.train.optimizer import StageOptimizer

NUM_BLOCKS, BLOCK_USERS, BLOCK_ITEMS = 4, 12, 10
NUM_USERS, NUM_ITEMS = NUM_BLOCKS * BLOCK_USERS, NUM_BLOCKS * BLOCK_ITEMS


class World:
    """Users who like every item of their own block, but for one each, which is withheld."""

    def __init__(self):
        users, items, withheld = [], [], []
        for user in range(NUM_USERS):
            block = user // BLOCK_USERS
            for k in range(BLOCK_ITEMS):
                item = block * BLOCK_ITEMS + k
                if k == user % BLOCK_ITEMS:
                    withheld.append(item)
                else:
                    users.append(user)
                    items.append(item)
        rng = np.random.default_rng(3)
        centres = rng.normal(size=(NUM_BLOCKS, 6))
        content = centres.repeat(BLOCK_ITEMS, axis=0) + rng.normal(size=(NUM_ITEMS, 6)) / 4
        self.num_users, self.num_items = NUM_USERS, NUM_ITEMS
        self.withheld = torch.tensor(withheld)
        self.train_interactions = Interactions(torch.tensor(users), torch.tensor(items))
        self.modality_features = {"visual": torch.from_numpy(content).float() / math.sqrt(6)}
        self.item_adjacency = CoInteractionGraphBuilder(min_common_users=5).build(
            users, items, NUM_ITEMS
        )
        self.user_item_adjacency = user_item_graph(users, items, NUM_USERS, NUM_ITEMS)

    def batch(self, kind, generator):
        if kind == "users":
            return UserBatch(torch.randperm(NUM_USERS, generator=generator))
        if kind == "items":
            return ItemBatch(torch.randperm(NUM_ITEMS, generator=generator))
        users, items = self.train_interactions
        order = torch.randperm(len(users), generator=generator)
        # A negative from another block is never in the history.
        shift = torch.randint(1, NUM_BLOCKS, (len(users),), generator=generator) * BLOCK_ITEMS
        return Triples(users[order], items[order], (items[order] + shift) % NUM_ITEMS)


class WholeTriples(Triples):
    """Notes what it gave as its first rows."""

    def first(self, rows, count):
        self.given = [*getattr(self, "given", []), super().first(rows, count)]
        return self.given[-1]


class PartOfTriples(Triples):
    """Gives as first rows those of the whole batch, as another process would."""

    def first(self, rows, count):
        return next(self.given)


class RecommenderContract:
    """Subclass, and say how to make the model from a world."""

    weights: Mapping[str, float] = MappingProxyType({})
    learning_rate = 0.05
    steps = 60

    def make(self, world):
        raise NotImplementedError

    @pytest.fixture
    def world(self):
        return World()

    def fresh(self, world):
        torch.manual_seed(11)
        return self.make(world)

    def total(self, stage, batch):
        terms = stage.terms(batch)
        assert set(terms) == set(stage.term_names)
        assert set(stage.penalty_weights) <= set(stage.term_names[1:])
        return self.weighted(stage, terms)

    def weighted(self, stage, terms):
        weighted = [self.weights.get(name, 0.01) * term for name, term in terms.items()]
        return terms[stage.term_names[0]] + sum(weighted[1:])

    def trained(self, world, steps):
        model = self.fresh(world)
        generator = torch.Generator().manual_seed(5)
        for stage in model.stages():
            optimizer = torch.optim.Adam(stage.parameters, lr=self.learning_rate)
            for _ in range(steps):  # each an epoch: a batch holds everything
                if stage.begin_epoch is not None:
                    stage.begin_epoch()
                optimizer.zero_grad()
                self.total(stage, world.batch(stage.batches, generator)).backward()
                optimizer.step()
        return model.eval()

    @torch.no_grad()
    def scores(self, model, world, users=None):
        users = torch.arange(world.num_users) if users is None else users
        return model.eval().scorer()(users)

    def test_it_is_a_recommender(self, world):
        model = self.fresh(world)
        assert isinstance(model, Recommender) and isinstance(model, torch.nn.Module)
        assert (model.num_users, model.num_items) == (world.num_users, world.num_items)

    def test_the_withheld_item_of_the_own_block_ranks_first(self, world):
        scores = self.scores(self.trained(world, self.steps), world)
        scores[world.train_interactions.users, world.train_interactions.items] = -math.inf
        hits = scores.argmax(dim=1) == world.withheld
        assert hits.float().mean() >= 0.9

    def test_the_same_seed_gives_the_same_numbers(self, world):
        first, second = (self.scores(self.trained(world, 3), world) for _ in range(2))
        assert torch.equal(first, second)

    def test_a_block_of_users_is_scored_like_all_of_them(self, world):
        model = self.trained(world, 1)
        some = self.scores(model, world, torch.tensor([7, 0, 31]))
        assert_close(some, self.scores(model, world)[[7, 0, 31]])

    def test_every_parameter_of_a_stage_gets_a_gradient(self, world):
        model = self.fresh(world)
        generator = torch.Generator().manual_seed(5)
        for stage in model.stages():
            self.total(stage, world.batch(stage.batches, generator)).backward()
            assert stage.parameters
            for parameter in stage.parameters:
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0

    def test_a_step_follows_the_gradient_whatever_terms_have_a_weight(self, world):
        """The first moment of Adam is a tenth of what `backward` gives, in any order of memory."""
        model = self.fresh(world)
        generator = torch.Generator().manual_seed(5)
        for stage in model.stages():
            if stage.begin_epoch is not None:
                stage.begin_epoch()
            batch = world.batch(stage.batches, generator)
            loss, *penalties = stage.term_names
            given = {loss: 1.0, **{name: self.weights.get(name, 0.01) for name in penalties}}
            for weights in (given, *({**given, name: 0.0} for name in penalties), {loss: 1.0}):
                weights = {name: weights.get(name, 0.0) for name in stage.term_names}
                before = [parameter.detach().clone() for parameter in stage.parameters]
                torch.manual_seed(1)
                terms = stage.terms(batch)
                sum(weight * terms[name] for name, weight in weights.items() if weight).backward()
                expected = {
                    f"{i}.exp_avg": parameter.grad.to_dense() / 10
                    for i, parameter in enumerate(stage.parameters)
                    if parameter.grad is not None
                }
                model.zero_grad()
                optimizer = StageOptimizer(stage, weights)
                torch.manual_seed(1)
                optimizer.step(batch, 0.1)
                moments = optimizer.tensors()
                assert_close({name: moments[name] for name in expected}, expected)
                for parameter, values in zip(stage.parameters, before, strict=True):
                    parameter.data = values

    def test_a_separable_stage_has_the_terms_and_gradients_of_the_parts_of_its_batch(self, world):
        model = self.fresh(world)
        generator = torch.Generator().manual_seed(5)
        for stage in filter(lambda stage: stage.separable, model.stages()):
            columns = world.batch(stage.batches, generator)
            kind = type(columns)
            whole = (WholeTriples if kind is Triples else kind)(*columns)
            torch.manual_seed(1)
            terms = stage.terms(whole)
            total = self.weighted(stage, terms)
            sums, loss = dict.fromkeys(terms, 0.0), 0.0
            rows = len(whole[0])
            for begin, end in ((0, rows // 3), (rows // 3, rows)):
                part = [column[begin:end] for column in whole]
                part = (PartOfTriples if kind is Triples else kind)(*part)
                if kind is Triples:
                    part.given = iter(getattr(whole, "given", []))
                torch.manual_seed(1)  # the generators of all processes
                share = (end - begin) / rows
                parts = stage.terms(part)
                loss = loss + share * self.weighted(stage, parts)
                sums = {name: value + share * parts[name] for name, value in sums.items()}
            assert_close(sums, terms, atol=1e-5, rtol=1e-5)  # float32
            gradients = [
                torch.autograd.grad(loss_, stage.parameters, retain_graph=True)
                for loss_ in (loss, total)
            ]
            assert_close(*gradients, atol=1e-5, rtol=1e-5)

    def test_terms_in_bfloat16_are_summed_in_float32_and_near_the_exact_ones(self, world):
        model = self.fresh(world)
        generator = torch.Generator().manual_seed(5)
        for stage in model.stages():
            batch = world.batch(stage.batches, generator)
            torch.manual_seed(1)
            exact = stage.terms(batch)
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16):
                terms = stage.terms(batch)
            assert {term.dtype for term in terms.values()} == {torch.float32}
            assert_close(terms, exact, rtol=0.02, atol=0.01)  # bfloat16 keeps 8 bits
            sum(terms.values()).backward()
            assert all(parameter.grad.isfinite().all() for parameter in stage.parameters)

    def test_a_step_leaves_the_graphs_as_they_were(self, world):
        before = [graph.edges() for graph in (world.item_adjacency, world.user_item_adjacency)]
        self.trained(world, 1)
        for graph, edges in zip(
            (world.item_adjacency, world.user_item_adjacency), before, strict=True
        ):
            assert all(torch.equal(a, b) for a, b in zip(graph.edges(), edges, strict=True))
            assert not graph.ndata and not graph.edata

    def test_a_saved_model_scores_the_same_when_loaded(self, world):
        model = self.trained(world, 2)
        twin = self.fresh(world).eval()
        twin.load_state_dict(model.state_dict())
        assert torch.equal(self.scores(twin, world), self.scores(model, world))
