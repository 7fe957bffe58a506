import numpy as np
import pytest

from hugraph.data.schemes import random
from hugraph.data.split import make_split
from hugraph.data.synthetic import planted

SMALL = {"num_users": 300, "num_items": 200, "interactions_per_user": 10, "dim": 16}


@pytest.fixture(scope="module")
def data():
    return planted()


def test_the_default_has_the_size_that_it_says(data):
    assert data.synthetic
    assert (data.num_users, data.num_items) == (1000, 2000)
    degrees = np.bincount(data.users, minlength=1000)
    assert degrees.min() >= 3
    assert abs(degrees.mean() - 12) < 1
    assert {name: matrix.shape for name, matrix in data.features.items()} == dict.fromkeys(
        ("visual", "acoustic", "textual"), (2000, 64)
    )


def test_the_intents_form_a_tree_and_share_the_items_evenly(data):
    fine, middle, coarse = (data.truth[f"level_{level}"] for level in (1, 2, 3))
    for intents, number in ((fine, 32), (middle, 8), (coarse, 4)):
        assert np.bincount(intents).shape == (number,)
        assert np.ptp(np.bincount(intents)) <= 32 // number
    assert len(set(zip(fine, middle, coarse, strict=True))) == 32
    assert len(set(zip(middle, coarse, strict=True))) == 8


def test_titles_and_texts_tell_the_planted_intents(data):
    words = {}
    for item, text in enumerate(data.item_table["text"]):
        coarse, middle, fine = text.split(", ")
        assert data.title(item) == f"{middle} {fine} {item}".capitalize()
        for level, word in ((1, fine), (2, middle), (3, coarse)):
            words.setdefault((level, data.truth[f"level_{level}"][item]), set()).add(word)
    assert len(words) == 32 + 8 + 4
    assert all(len(spelled) == 1 for spelled in words.values())
    assert len(set.union(*words.values())) == 44


def test_users_keep_to_a_few_intents_within_one_coarse_intent(data):
    def share_of_favourites(level, count):
        table = np.zeros((1000, data.truth[level].max() + 1))
        np.add.at(table, (data.users, data.truth[level][data.items]), 1)
        return np.sort(table, axis=1)[:, ::-1][:, :count].sum() / table.sum()

    # A tenth of the interactions stray; a quarter of these fall into the coarse intent by chance.
    assert abs(share_of_favourites("level_3", 1) - 0.925) < 0.01
    assert share_of_favourites("level_1", 3) > 0.75


def test_without_noise_items_of_one_intent_have_the_same_features():
    data = planted(**SMALL, noise=0)
    for matrix in data.features.values():
        assert len(np.unique(matrix, axis=0)) == 32
    fine, visual = data.truth["level_1"], data.features["visual"]
    assert (visual[fine == 3] == visual[fine == 3][0]).all()


def test_the_noise_has_the_deviation_that_it_says():
    options = {**SMALL, "num_items": 4000}
    noisy, clean = planted(**options, noise=2.0), planted(**options, noise=0)
    difference = noisy.features["visual"] - clean.features["visual"]
    assert abs(difference.std() - 2) < 0.02
    assert np.array_equal(noisy.users, clean.users) and np.array_equal(noisy.items, clean.items)


def test_popularity_skew_and_missing_modalities_do_what_they_say():
    flat = planted(**SMALL, stray=1.0, popularity_skew=0)
    steep = planted(**SMALL, stray=1.0, popularity_skew=1.5)
    assert np.bincount(flat.items).max() < 40 < np.bincount(steep.items).max()
    lacking = planted(**{**SMALL, "num_items": 2000}, missing=0.3)
    absent = np.stack([~lacking.present(name) for name in lacking.features])
    assert abs(absent.mean() - 0.3) < 0.03
    assert (absent[0] != absent[1]).any()


def test_a_seed_gives_the_same_dataset_and_another_seed_another():
    one, same, other = (planted(**SMALL, seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert np.array_equal(one.items, same.items)
    assert all(np.array_equal(one.features[m], same.features[m]) for m in one.features)
    assert one.item_table.equals(same.item_table)
    renamed = planted(**SMALL, seed=1, modalities=("visual", "acoustic", "words"))
    assert renamed.fingerprint != one.fingerprint


def test_other_trees_and_modalities_are_possible():
    data = planted(**SMALL, levels=[100, 40, 10, 2], modalities=["smell"])
    assert list(data.features) == ["smell"]
    assert [len(np.unique(data.truth[f"level_{level}"])) for level in (1, 2, 3, 4)] == [
        100,
        40,
        10,
        2,
    ]
    assert len(set(data.item_table["text"])) == 100
    assert planted(**SMALL, levels=[5]).title(7).endswith(" 7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [4, 8, 32]}, "levels must be descending"),
        ({"modalities": ["a", "a"]}, "modalities must be distinct"),
        ({"modalities": ["../a"]}, "modalities must be is_file_name"),
        (
            {"num_users": 9_000_000_000_000},
            "num_users must be less than or equal to 1000000, got 9000000000000",
        ),
        ({"num_items": 9_000_000_000_000}, "num_items must be less than or equal to 1000000"),
        ({"dim": 9_000_000_000_000}, "dim must be less than or equal to 4096"),
        ({"num_items": 30}, "30 items are too few for 32 intents and 12 interactions a user"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        planted(**options)


def test_the_planted_intents_help_to_recommend_and_popularity_alone_does_not(data):
    """Ranking by the user's share of intents must beat popularity by far."""
    split = make_split(data, random(data, 7))
    seen = np.zeros((1000, 2000), dtype=bool)
    seen[split.train.users, split.train.items] = True
    seen[split.validation.users, split.validation.items] = True
    wanted = np.zeros_like(seen)
    wanted[split.test.users, split.test.items] = True
    popularity = np.bincount(split.train.items, minlength=2000)
    shares = np.zeros((1000, 32))
    np.add.at(shares, (split.train.users, data.truth["level_1"][split.train.items]), 1)

    def recall(scores):
        top = np.argpartition(-np.where(seen, -np.inf, scores), 10, axis=1)[:, :10]
        hits = np.take_along_axis(wanted, top, axis=1).sum(axis=1)
        tested = wanted.any(axis=1)
        return (hits[tested] / wanted.sum(axis=1)[tested]).mean()

    assert 0.02 < recall(np.tile(popularity, (1000, 1))) < 0.05
    assert recall(shares[:, data.truth["level_1"]] * popularity) > 0.15
