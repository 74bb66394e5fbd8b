"""The linear score of candidates, and lists of candidates."""

import numpy as np

from models.retriever.linear import FACTS_L2, Linear
from models.retriever.lists import Lists, list_losses

NAMES = ("score_a", "rank_a", "item_last")


def drawn(lists=300, per_list=12):
    """Candidates in shuffled order; the first number times 2 less the last one is what decides."""
    draw = np.random.default_rng(3)
    number = draw.permutation(np.repeat(np.arange(lists), per_list))
    numbers = draw.random((len(number), 3)).astype(np.float32)
    chance = np.log(-(np.log(draw.random(len(number))) ** -1))  # of Gumbel: the best is drawn by softmax
    odds = 8 * numbers[:, 0] - 4 * numbers[:, 2] + chance
    taken = np.zeros(len(number), bool)
    for one in range(lists):
        rows = np.flatnonzero(number == one)
        taken[rows[np.argmax(odds[rows])]] = True
    return numbers, taken, number


def test_lists_add_up_and_spread_in_any_order():
    number = np.array([7, 2, 7, 2, 2])
    lists = Lists.of(number)
    values = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
    assert lists.sums(values).tolist() == [12.0, 4.0]
    assert lists.spread(np.array([5.0, 9.0])).tolist() == [9.0, 5.0, 9.0, 5.0, 5.0]
    found = lists.standardised(values[:, None])[:, 0]
    for one in (2, 7):
        own = values[number == one]
        np.testing.assert_allclose(found[number == one], (own - own.mean()) / own.std())
    assert lists.standardised(np.full((5, 1), 0.1)).tolist() == [[0.0]] * 5


def test_the_loss_of_a_list_is_that_of_its_softmax():
    scores, taken = np.array([1.0, 0.0, 2.0, 5.0, 5.0, 1.0]), np.array([1, 0, 1, 0, 0, 1], bool)
    lists = Lists.of(np.array([0, 0, 0, 1, 1, 2]))
    shares = np.exp(scores[:3]) / np.exp(scores[:3]).sum()
    expected = -np.log(shares[[0, 2]]).mean()
    np.testing.assert_allclose(list_losses(scores, taken, lists), [expected])  # lists 1 and 2 tell nothing
    np.testing.assert_allclose(list_losses(scores + 9, taken, lists), [expected])


def test_evenly_some_lists_are_taken_whole():
    number = np.repeat(np.arange(10), 3)
    rows = Lists.some(number, 4)
    assert number[rows].tolist() == np.repeat([0, 3, 6, 9], 3).tolist()
    assert len(Lists.some(number, 99)) == 30
    assert len(Lists.some(number[:0], 4)) == 0


def test_the_linear_score_finds_what_decides():
    numbers, taken, number = drawn()
    lists = Lists.of(number)
    linear = Linear.fit(NAMES, numbers, taken, lists, l2=0.1)
    assert not linear.weights[1].any(), "a rank is not read"
    assert linear.weights[0].sum() > 1.5 > 0.3 > linear.weights[2].sum()
    scores = linear.scores(numbers, lists)
    truth = 8 * numbers[:, 0] - 4 * numbers[:, 2]
    assert list_losses(scores, taken, lists).mean() < list_losses(truth.astype(float), taken, lists).mean() + 0.02
    only = numbers.copy()
    only[:, 0] = only[:, 0] * 100 + number  # another unit and start in every list
    np.testing.assert_allclose(
        Linear(linear.weights * [1, 0]).scores(only, lists),
        Linear(linear.weights * [1, 0]).scores(numbers, lists),
        atol=1e-2,
    )


def test_other_numbers_are_drawn_to_nothing_more_than_those_of_sources():
    numbers, taken, number = drawn()
    numbers[:, 2] = 1 - numbers[:, 0]  # both say the same
    weights = Linear.fit(NAMES, numbers, taken, Lists.of(number), l2=3.0).weights
    assert weights[0].sum() > FACTS_L2 / 3 * -weights[2].sum() > 0


def test_a_users_own_scale_changes_nothing():
    numbers, _, number = drawn(30)
    lists = Lists.of(number)
    plain = lists.standardised(numbers.astype(float))
    scaled = lists.standardised(numbers * (1.0 + number[:, None]) + number[:, None])
    np.testing.assert_allclose(plain, scaled, atol=1e-4)


def test_no_candidates_have_no_scores():
    none = Lists.of(np.zeros(0, np.int64))
    assert Linear(np.ones((3, 2))).scores(np.zeros((0, 3), np.float32), none).shape == (0,)
    assert Lists.telling(np.zeros(0, np.int64), np.zeros(0, bool)).shape == (0,)


def test_every_list_counts_the_same():
    """Two kinds of lists want opposite numbers; more candidates taken of one kind do not make it count more."""
    numbers, _, number = drawn(200)
    taken = np.zeros(len(number), bool)
    for one in range(200):
        rows = np.flatnonzero(number == one)
        order = rows[np.argsort(numbers[rows, 0])]
        taken[order[-1:] if one % 3 else order[:4]] = True
    assert Linear.fit(NAMES, numbers, taken, Lists.of(number), l2=0.1).weights[0].sum() > 0.2
