from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import sparse

from models.pairs.two_tower import TowerShape, TwoTower
from models.retriever.background import Asked
from models.retriever.histories import UserHistories
from models.retriever.items import ItemRule, items_of
from models.retriever.serving import Retriever
from models.retriever.sources import SOURCES
from models.retriever.sparse_rows import best_of_rows, values_at
from models.retriever.towers import Towers
from models.retriever.writer import Writer
from tests.models.retriever.networks import catalogue, network
from tests.models.retriever.worlds import DAY, ITEMS, MOMENT, PARAMETERS, USERS, asked, background, events


def dense(scores):
    return scores.toarray() if sparse.issparse(scores) else np.asarray(scores)


def scores(name, of=None, who=None):
    of = of or with_pairs(background())
    return dense(SOURCES[name](of, PARAMETERS).scores(who or asked(of)))


def with_pairs(of):
    """With mined pairs, and with a retriever that knows every item but the first three, in numbers of its own."""
    pairs = sparse.random(ITEMS, ITEMS, 0.2, random_state=5, format="csr", dtype=np.float32)
    return replace(of, pairs=pairs, writer=writer(), towers=towers())


def writer():
    known = catalogue(ITEMS - 3)
    rule = ItemRule(prior=1.0, half_life_days=30.0, items_per_code=3)
    number = np.arange(3, ITEMS, dtype=np.int32)
    return Writer(Retriever(network(known), known, ["a", "b"]), number, np.array([1], np.int8), rule, 6, 10)


def towers():
    torch.manual_seed(0)
    model = TwoTower(TowerShape(item_rows=20, feature_rows=9, dim=8)).eval()
    number = np.random.default_rng(0).permutation(ITEMS)  # items with a number of 20 or more share a row
    with torch.no_grad():
        features = torch.from_numpy(np.random.default_rng(1).integers(1, 10, (ITEMS, 3)))
        vectors = model.item_vectors(torch.from_numpy(number), features).numpy()
    return Towers(model, number, vectors, 5, 12)


def rows():
    """User, item, age in days and day of each event, from the slow way."""
    user, item, time = events()
    return list(zip(user, item, (MOMENT - time) / DAY, time // DAY, strict=True))


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b)) if (a @ a) * (b @ b) else 0.0


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_scores_every_user_above_zero(name):
    found = scores(name)
    assert found.shape == (USERS, ITEMS)
    assert (found >= 0).all()
    assert ((found > 0).sum(1) > 0).all()


@pytest.mark.parametrize("name", SOURCES)
def test_what_comes_after_the_moment_changes_nothing(name):
    until = 2 * MOMENT
    user, item, time = events(until=until, number=900)
    late = time >= MOMENT
    moved = np.where(late, (item + 7) % ITEMS, item).astype(np.int32)
    found = []
    for items in (item, moved):
        of = with_pairs(background())
        histories = UserHistories.of(user, items, time, now=np.full(USERS, until, np.int64))
        of = replace(of, moment=until, histories=histories).before(MOMENT)
        found.append(scores(name, of))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", SOURCES)
def test_a_user_alone_gets_the_scores_of_the_batch(name):
    of = with_pairs(background())
    whole = scores(name, of)
    for user in (0, USERS - 1):
        own = scores(name, of, asked(of).take(np.array([user])))
        np.testing.assert_allclose(own[0], whole[user], rtol=1e-4)


@pytest.mark.parametrize("name", ["user_knn", "cosine"])
def test_a_user_is_no_neighbour_of_their_own(name):
    """An item that only the user took gets no score from the user's own row; without ``itself`` it does."""
    user, item, time = events()
    item = np.where(item == 29, 28, item)
    item[np.flatnonzero(user == 3)[0]] = 29
    of = with_pairs(background())
    histories = UserHistories.of(user, item, time, now=np.full(USERS, MOMENT, np.int64))
    of = replace(of, histories=histories)
    assert scores(name, of)[3, 29] == 0
    assert scores(name, of, Asked(histories, np.full(USERS, -1)))[3, 29] > 0


def test_own_sums_decayed_events():
    expected = np.zeros((USERS, ITEMS))
    for user, item, age, _ in rows():
        expected[user, item] += 0.5 ** (age / PARAMETERS.own_half_life_days)
    np.testing.assert_allclose(scores("own"), expected, rtol=1e-5)


def test_popular_counts_recent_events_of_the_most_taken_items():
    counts = np.zeros(ITEMS)
    for _, item, age, _ in rows():
        counts[item] += age <= PARAMETERS.popular_days
    best = sorted(range(ITEMS), key=lambda item: (-counts[item], item))[: PARAMETERS.popular_items]
    expected = np.where(np.isin(np.arange(ITEMS), best), counts, 0)
    np.testing.assert_array_equal(scores("popular"), np.tile(expected, (USERS, 1)))


def test_trending_counts_older_events_less():
    counts = np.zeros(ITEMS)
    for _, item, age, _ in rows():
        counts[item] += 0.5 ** (age / PARAMETERS.trending_half_life_days)
    best = np.argsort(-counts)[: PARAMETERS.popular_items]
    expected = np.where(np.isin(np.arange(ITEMS), best), counts, 0)
    np.testing.assert_allclose(scores("trending"), np.tile(expected, (USERS, 1)), rtol=1e-5)


def test_cosine_is_the_sum_over_the_users_items():
    taken, weight = np.zeros((USERS, ITEMS)), np.zeros((USERS, ITEMS))
    for user, item, age, _ in rows():
        taken[user, item] = 1
        weight[user, item] += 0.5 ** (age / PARAMETERS.cosine_half_life_days)
    size = np.sqrt(taken.sum(0))
    expected = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        others = np.delete(taken, user, axis=0)
        expected[user] = weight[user] @ ((others.T @ others) / np.outer(size, size))
    np.testing.assert_allclose(scores("cosine"), expected, rtol=1e-4)


def vectors_of_baskets():
    vectors = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        days = sorted({day for who, _, _, day in rows() if who == user}, reverse=True)
        groups = [days[start : start + PARAMETERS.group] for start in range(0, len(days), PARAMETERS.group)]
        for back, group in enumerate(groups):
            for place, day in enumerate(group):
                items = sorted({item for who, item, _, own in rows() if who == user and own == day})
                weight = PARAMETERS.within_group**place / len(group) * PARAMETERS.between_groups**back / len(groups)
                vectors[user, items] += weight
    return vectors


def test_tifu_knn_mixes_the_user_with_the_nearest_users():
    vectors = vectors_of_baskets()
    expected = np.zeros_like(vectors)
    for user in range(USERS):
        near = sorted((-cosine(vectors[user], vectors[v]), v) for v in range(USERS) if v != user)
        mean = np.mean([vectors[v] for _, v in near[: PARAMETERS.nearest_users]], axis=0)
        expected[user] = PARAMETERS.own_share * vectors[user] + (1 - PARAMETERS.own_share) * mean
    np.testing.assert_allclose(scores("tifu_knn"), expected, rtol=1e-4)


def test_user_knn_weights_the_nearest_users_by_cosine():
    taken = np.zeros((USERS, ITEMS))
    for user, item, _, _ in rows():
        taken[user, item] = 1
    rare = taken * np.log1p(USERS / np.maximum(taken.sum(0), 1))
    expected = np.zeros_like(taken)
    for user in range(USERS):
        near = sorted((-cosine(rare[user], rare[v]), v) for v in range(USERS) if v != user)[: PARAMETERS.nearest_users]
        weights = np.array([-own for own, _ in near])
        expected[user] = weights @ taken[[v for _, v in near]] / weights.sum()
    np.testing.assert_allclose(scores("user_knn"), expected, rtol=1e-4)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    taken = np.zeros((USERS, ITEMS))
    for user, item, _, _ in rows():
        taken[user, item] = 1
    known = np.sort(np.argsort(-taken.sum(0), kind="stable")[: PARAMETERS.ease_items])
    own = taken[:, known]
    weights = np.zeros((len(known), len(known)))
    for target in range(len(known)):
        others = np.delete(np.arange(len(known)), target)
        gram = own[:, others].T @ own[:, others] + PARAMETERS.ease_weight * np.eye(len(others))
        weights[others, target] = np.linalg.solve(gram, own[:, others].T @ own[:, target])
    kept = np.zeros_like(weights)
    for item, row in enumerate(weights):
        best = np.argsort(-np.abs(row))[: PARAMETERS.ease_per_item]
        kept[item, best] = row[best]
    expected = np.zeros((USERS, ITEMS))
    expected[:, known] = np.maximum(own @ kept, 0) * (own == 0)
    np.testing.assert_allclose(scores("ease"), expected, rtol=1e-4, atol=1e-6)


def test_transitions_are_shares_of_next_baskets():
    baskets = {}
    for user, item, _, day in rows():
        baskets.setdefault((user, day), set()).add(item)
    follows, before = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for user in range(USERS):
        days = sorted(day for who, day in baskets if who == user)
        for day, following in pairwise(days):
            for item in baskets[user, day]:
                before[item] += 1
                follows[item, list(baskets[user, following])] += 1
    shares = follows / np.maximum(before, 1)[:, None]
    kept = np.zeros_like(shares)
    for item in range(ITEMS):
        best = sorted(range(ITEMS), key=lambda target: (-follows[item, target], target))[
            : PARAMETERS.transitions_per_item
        ]
        kept[item, best] = shares[item, best]
    recent = np.zeros((USERS, ITEMS))
    for user, item, age, _ in rows():
        recent[user, item] += 0.5 ** (age / PARAMETERS.recent_half_life_days)
    np.testing.assert_allclose(scores("transitions"), recent @ kept, rtol=1e-4)


def test_the_best_of_rows_are_the_same_dense_and_sparse():
    draw = np.random.default_rng(1)
    table = np.round(draw.random((20, 50)) * (draw.random((20, 50)) < 0.4), 1).astype(np.float32)
    found = [best_of_rows(own, 12) for own in (table, sparse.csr_matrix(table))]
    for row in range(20):
        expected = sorted(np.flatnonzero(table[row]), key=lambda item: (-table[row, item], item))[:12]
        for items, values in found:
            assert items[row][items[row] >= 0].tolist() == expected
            np.testing.assert_array_equal(values[row][: len(expected)], table[row, expected])
    users, items = draw.integers(0, 20, 300), draw.integers(0, 50, 300)
    np.testing.assert_array_equal(values_at(sparse.csr_matrix(table), users, items), table[users, items])


def test_the_two_towers_name_the_nearest_items():
    of = with_pairs(background())
    own = of.towers
    found = scores("two_tower", of)
    for user in range(USERS):
        last = of.histories.item[of.histories.offsets[user] : of.histories.offsets[user + 1]][-5:]
        with torch.no_grad():
            vector = own.model.user_vectors(torch.from_numpy(own.number[last])[None]).numpy()[0]
        near = (1 + own.vectors @ vector) / 2
        best = np.argsort(-near)[:12]
        assert set(np.flatnonzero(found[user])) == set(best)
        np.testing.assert_allclose(found[user, best], near[best], rtol=1e-5)


def test_the_generator_names_the_retrievers_items_in_our_numbers():
    of = with_pairs(background())
    own, known = of.writer, of.histories
    kept = known.item >= 3
    theirs = UserHistories.of(
        known.user[kept], known.item[kept] - 3, known.time[kept], np.ones(kept.sum(), np.int8), now=known.now
    )
    with_popularity = replace(own.retriever.catalogue, popularity=of.popularity(PARAMETERS.popular_days)[3:])
    written = own.retriever.generate(theirs, beam=6)
    expected = items_of(written, theirs, with_popularity, own.rule, most=10)
    found = scores("generator", of)
    assert not found[:, :3].any()
    for user in range(USERS):
        items = expected.items[user][expected.items[user] >= 0]
        np.testing.assert_allclose(found[user, items + 3], np.exp(expected.score[user][: len(items)]), rtol=1e-5)
        assert (found[user] > 0).sum() == len(items)
