from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from models.pairs.two_tower import save_two_tower
from models.retriever import fusion as fusion_module
from models.retriever.background import Asked
from models.retriever.candidates import Candidates, best_by
from models.retriever.facts import FACTS, Facts
from models.retriever.fusion import FEWEST_LISTS, LINEAR, Fusion, FusionParameters, Mixture, chosen_mixture
from models.retriever.histories import UserHistories
from models.retriever.lessons import NO_DAY, Lessons, lessons_of, next_days, next_taken
from models.retriever.linear import Linear
from models.retriever.lists import Lists
from models.retriever.pool import REPEATS, Pool
from models.retriever.retrieval import Retrieval, reciprocal_ranks
from models.retriever.saved import save_network
from models.retriever.sparse_rows import values_at
from models.retriever.trees import Size
from tests.models.retriever.networks import catalogue
from tests.models.retriever.test_sources import with_pairs
from tests.models.retriever.worlds import DAY, ITEMS, MOMENT, PARAMETERS, USERS, asked, background, events

PLAIN = FusionParameters(trees=12, leaves=(7,), learning_rate=0.1, min_leaf=5, l2=0.0, linear_l2=1.0, seed=0)
TREES_ALONE = Mixture(1.0, Size(12, 7))
MOST = {"own": 6, "tifu_knn": 8, "cosine": 5, "popular": 4}


def learned(rows=6000, *, takes, per_list=10, moments=4):
    """Lessons of lists of random numbers, in whose columns 0 and 1 the function ``takes`` sees what is taken."""
    draw = np.random.default_rng(5)
    numbers = draw.random((rows, 5)).astype(np.float32)
    number = np.arange(rows) // per_list
    moment = np.sort(number % moments)
    taken = takes(numbers, draw)
    names = ("score_a", "score_b", "events_7", "item_last", "rank_a")
    return Lessons(names, numbers, taken, np.ones(rows, np.int64), moment, number)


def by_a_number(numbers, draw):
    return numbers[:, 0] + 0.2 * draw.random(len(numbers)) > 0.9


def crossed(numbers, draw):
    """Where two numbers are on the same side of a half: nothing that a linear score could tell."""
    return ((numbers[:, 0] > 0.5) == (numbers[:, 1] > 0.5)) & (draw.random(len(numbers)) < 0.9)


def by_chance(numbers, draw):
    return draw.random(len(numbers)) < 0.3


def lists_of(lessons):
    return Lists.of(lessons.list)


def test_saved_trees_score_as_those_of_scikit_learn(tmp_path):
    lessons = learned(takes=crossed)
    lessons.numbers[np.random.default_rng(2).random(lessons.numbers.shape) < 0.2] = np.nan
    Fusion.fit(lessons, PLAIN, TREES_ALONE).save(tmp_path)
    own = HistGradientBoostingClassifier(
        max_iter=12, max_leaf_nodes=7, learning_rate=0.1, min_samples_leaf=5, early_stopping=False, random_state=0
    ).fit(lessons.numbers, lessons.taken, sample_weight=lessons.weights)
    fusion = Fusion.load(tmp_path)
    assert (fusion.names, fusion.mixture) == (lessons.names, TREES_ALONE)
    found = fusion.scores(lessons.numbers, lists_of(lessons))
    np.testing.assert_allclose(found, own.decision_function(lessons.numbers), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_saved_mixture_scores_as_before(tmp_path, share):
    lessons = learned(takes=by_a_number)
    fusion = Fusion.fit(lessons, PLAIN, Mixture(share, Size(12, 7) if share else Size(0, 0)))
    fusion.save(tmp_path)
    again = Fusion.load(tmp_path)
    assert again.mixture == fusion.mixture
    scores = [own.scores(lessons.numbers, lists_of(lessons)) for own in (fusion, again)]
    np.testing.assert_array_equal(*scores)


def test_without_both_kinds_there_is_nothing_to_learn():
    lessons = learned(takes=by_chance)
    for taken in (np.zeros_like(lessons.taken), np.ones_like(lessons.taken)):
        assert Fusion.fit(replace(lessons, taken=taken), PLAIN) is None


def test_trees_count_as_much_as_later_lists_bear():
    many = replace(PLAIN, trees=100, leaves=(2, 7))
    assert chosen_mixture(learned(30_000, takes=crossed), many).share >= 0.75
    assert chosen_mixture(learned(30_000, takes=crossed), many).size.leaves == 7
    assert chosen_mixture(learned(30_000, takes=by_chance), many) == LINEAR


def test_the_mixture_is_chosen_by_the_later_lists_alone():
    lessons = learned(30_000, takes=crossed)
    turned = replace(lessons, taken=lessons.taken ^ lessons.late)
    assert chosen_mixture(turned, PLAIN).share == 0, "what holds early is wrong late"


def test_few_later_lists_leave_the_linear_score_alone():
    assert chosen_mixture(learned(4 * 10 * (FEWEST_LISTS - 1), takes=crossed), PLAIN) == LINEAR
    assert chosen_mixture(learned(4 * 10 * (FEWEST_LISTS + 60), takes=crossed), PLAIN) != LINEAR


def test_lists_that_tell_nothing_do_not_stand_in_for_those_that_do(monkeypatch):
    lessons = learned(4 * 10 * (FEWEST_LISTS + 60), takes=crossed)
    none = replace(lessons, taken=np.zeros_like(lessons.taken), user=lessons.user + len(lessons.user))
    parts = [np.concatenate([getattr(one, name) for one in (lessons, *(9 * [none]))]) for name in
             ("numbers", "taken", "size", "moment", "user")]  # fmt: skip
    monkeypatch.setattr(fusion_module, "MOST_LISTS", FEWEST_LISTS + 60)
    assert chosen_mixture(Lessons(lessons.names, *parts), PLAIN).share > 0


def test_earlier_lessons_of_one_kind_leave_the_linear_score_alone():
    lessons = learned(30_000, takes=crossed)
    for taken in (lessons.taken & lessons.late, lessons.taken | ~lessons.late):
        assert chosen_mixture(replace(lessons, taken=taken), PLAIN) == LINEAR


def test_lists_of_one_kind_each_order_nothing():
    lessons = learned(100, takes=by_chance)
    of_one_kind = replace(lessons, taken=lessons.list % 2 == 0)
    fusion = Fusion.fit(of_one_kind, PLAIN)
    assert not fusion.scores(lessons.numbers, lists_of(lessons)).any()


def test_a_batch_without_candidates_has_empty_lists():
    """Two users each hold an item that nobody else took, so the cosine names nothing."""
    user = np.array([0, 1])
    log = (user, np.array([3, 7], np.int32), np.full(2, MOMENT - DAY))
    of = background(log=log)
    numbers = len(Pool(of, PARAMETERS, {"cosine": 5}).names)
    fusion = Fusion(Pool(of, PARAMETERS, {"cosine": 5}).names, LINEAR, Linear(np.ones((numbers, 2))), None)
    retrieval = Retrieval(of, PARAMETERS, {"cosine": 5}, fusion)
    who = Asked(of.histories.take(user), user)
    (_, found), *rest = retrieval.lists(who, written=5, fused=5)
    assert not rest
    assert all(len(ranked.item) == 0 for ranked in found.values())


def test_a_number_that_no_candidate_has_is_not_asked_for():
    lessons = learned(takes=crossed)
    none = np.where(np.arange(5) == 3, np.nan, lessons.numbers).astype(np.float32)
    fusion = Fusion.fit(replace(lessons, numbers=none), PLAIN, Mixture(0.5, Size(12, 7)))
    lists = lists_of(lessons)
    np.testing.assert_array_equal(fusion.scores(none, lists), fusion.scores(lessons.numbers, lists))


def test_candidates_are_the_union_with_every_sources_score_and_rank():
    draw = np.random.default_rng(3)
    tables = {name: draw.random((6, 40)).astype(np.float32) for name in ("a", "b", "c")}
    found = Candidates.of(tables, {"a": 5, "b": 3, "c": 0})
    for user in range(6):
        best = {name: np.argsort(-tables[name][user])[:most].tolist() for name, most in {"a": 5, "b": 3}.items()}
        rows = np.flatnonzero(found.user == user)
        assert found.item[rows].tolist() == sorted({*best["a"], *best["b"]})
        for row in rows:
            item = found.item[row]
            np.testing.assert_array_equal(found.score[row], [tables[name][user, item] for name in "abc"])
            ranks = [best[name].index(item) + 1 if item in best[name] else 0 for name in ("a", "b")]
            assert found.rank[row].tolist() == [*ranks, 0]
    np.testing.assert_allclose(reciprocal_ranks(np.array([[1, 0], [2, 3]])), [1 / 61, 1 / 62 + 1 / 63])


def test_next_taken_is_the_first_day_at_or_after_the_moment():
    user, item, time = events(until=2 * MOMENT, number=300)
    whole = UserHistories.of(user, item, time, now=np.full(USERS, 4 * MOMENT, np.int64))
    moment, until = 90 * DAY, 130 * DAY
    found = next_taken(whole, ITEMS, moment, until).toarray()
    for who in range(USERS):
        days = sorted(t // DAY for u, t in zip(user, time, strict=True) if u == who and moment <= t < until)
        expected = {i for u, i, t in zip(user, item, time, strict=True) if days and u == who and t // DAY == days[0]}
        assert set(np.flatnonzero(found[who])) == expected


def lessons(item_after=None):
    user, item, time = events(until=120 * DAY, number=900)
    if item_after is not None:
        item = np.where(time >= MOMENT, item_after, item).astype(np.int32)
    of = background()
    histories = UserHistories.of(user, item, time, now=np.full(USERS, 120 * DAY, np.int64))
    known = type(of)(120 * DAY, of.content, of.title, of.category, histories)
    found = lessons_of(known, [MOMENT], lambda own: Pool(own, PARAMETERS, MOST), negatives=1000, seed=0)
    return known, found


def test_lessons_are_point_in_time_and_labelled_by_what_came_next():
    known, found = lessons()
    _, other = lessons(item_after=3)
    np.testing.assert_array_equal(found.numbers, other.numbers)
    truth = next_taken(known.histories, ITEMS, MOMENT, 120 * DAY)
    pool = Pool(known.before(MOMENT), PARAMETERS, MOST)
    users = np.flatnonzero(np.diff(truth.indptr) > 0)
    who = Asked(known.before(MOMENT).histories.take(users), users)
    (_, candidates, numbers), *rest = pool.batches(who)
    assert not rest
    np.testing.assert_array_equal(found.numbers, numbers)
    np.testing.assert_array_equal(found.taken, values_at(truth, users[candidates.user], candidates.item) > 0)
    np.testing.assert_array_equal(found.size, np.diff(truth.indptr)[users[candidates.user]])
    assert found.weights[~found.taken].tolist() == [1.0] * (~found.taken).sum()
    assert found.taken.any()


def test_negatives_are_capped_for_each_user():
    known, everything = lessons()
    few = lessons_of(known, [MOMENT], lambda own: Pool(own, PARAMETERS, MOST), negatives=2, seed=0)
    assert few.taken.sum() == everything.taken.sum()
    users = int((np.diff(next_taken(known.histories, ITEMS, MOMENT, 120 * DAY).indptr) > 0).sum())
    assert (~few.taken).sum() == 2 * users


def test_what_nobody_takes_again_is_offered_to_nobody_again():
    log = events(number=150)
    first = np.unique(log[0] * ITEMS + log[1], return_index=True)[1]
    once = background(log=[part[first] for part in log])
    assert Facts(once).repeats == 0.0
    assert Facts(background(log=log)).repeats > REPEATS
    for of, again in ((once, False), (background(log=log), True)):
        pool = Pool(of, PARAMETERS, MOST)
        (_, candidates, _), *_ = pool.batches(asked(of))
        taken = values_at(of.taken, candidates.user, candidates.item) > 0
        assert taken.any() == again
        assert set(pool.names) == set(Pool(background(), PARAMETERS, MOST).names)


def test_repeats_are_the_share_of_the_takings_that_came_back_on_another_day():
    of = background()
    own = of.histories
    days = {}
    for who, what, when in zip(own.user, own.item, own.time, strict=True):
        days.setdefault((who, what), set()).add(when // DAY)
    assert Facts(of).repeats == pytest.approx(sum(len(found) > 1 for found in days.values()) / len(days))


def test_facts_count_what_the_user_took():
    of = background()
    pool = Pool(of, PARAMETERS, MOST)
    (_, candidates, numbers), *_ = pool.batches(asked(of))
    column = {name: numbers[:, pool.names.index(name)] for name in FACTS}
    user, item, time = events()
    for row in range(0, len(candidates.item), 17):
        mine = (user == candidates.user[row]) & (of.category[item] == of.category[candidates.item[row]])
        days = np.unique(time[mine] // DAY)
        assert column["category_baskets"][row] == len(days)
        if len(days):
            np.testing.assert_allclose(column["category_last"][row], (MOMENT - time[mine].max()) / DAY, rtol=1e-5)
        else:
            assert column["category_last"][row] == 1000
        recent = (item == candidates.item[row]) & (time >= MOMENT - 28 * DAY)
        np.testing.assert_allclose(column["events_28"][row], np.log1p(recent.sum()), rtol=1e-6)


def test_a_saved_retrieval_gives_the_same_lists(tmp_path):
    _, found = lessons()
    of = background()
    fusion = Fusion.fit(found, PLAIN, Mixture(0.5, Size(12, 7)))
    retrieval = Retrieval(of, PARAMETERS, MOST, fusion)
    retrieval.save(tmp_path)
    both = []
    for own in (retrieval, Retrieval.load(tmp_path)):
        (_, lists), *_ = own.lists(asked(of), written=4, fused=6)
        both.append(lists)
    assert list(both[0]) == [*MOST, ""]
    for name, ranked in both[0].items():
        for part in ("user", "item", "rank", "score"):
            np.testing.assert_array_equal(getattr(ranked, part), getattr(both[1][name], part))
    assert both[0][""].rank.max() == 6
    assert both[0]["own"].rank.max() == 4


def test_the_best_of_each_user_are_in_order():
    candidates = Candidates(("a",), np.array([0, 0, 0, 1]), np.array([4, 5, 6, 1]), np.ones((4, 1)), np.ones((4, 1)))
    rows, rank = best_by(candidates, np.array([1.0, 3.0, 3.0, 0.0]), 2, 2)
    assert candidates.item[rows].tolist() == [5, 6, 1]
    assert rank.tolist() == [1, 2, 1]


def test_a_day_that_is_the_next_at_two_moments_is_a_lesson_at_one_of_them():
    known, _ = lessons()
    moments = [MOMENT - 2 * DAY, MOMENT - DAY, MOMENT]
    found = lessons_of(known, moments, lambda own: Pool(own, PARAMETERS, MOST), negatives=0, seed=0)
    days = np.stack([next_days(known.histories, moment, known.moment) for moment in moments])
    apart = sum(len(np.unique(own[own < NO_DAY])) for own in days.T)
    assert apart < (days < NO_DAY).sum(), "some users stay away for longer than a day"
    taken_of = [next_taken(known.histories, ITEMS, moment, known.moment) for moment in moments]
    at = np.searchsorted(moments, found.moment)
    most = {moment: taken_of[place].sum() for place, moment in enumerate(moments)}
    assert all((at == place).sum() <= most[moment] for place, moment in enumerate(moments))
    visits = {(user, day) for own in days for user, day in enumerate(own) if day < NO_DAY}
    once = sum(len(set(known.histories.item[(known.histories.user == user) & (known.histories.time // DAY == day)]))
               for user, day in visits)  # fmt: skip
    assert 0 < len(found.taken) <= once < sum(most.values())
    np.testing.assert_array_equal(found.late, found.moment == MOMENT)


def test_a_saved_retrieval_holds_the_towers_and_the_retriever_over_tonights_codes(tmp_path):
    of = with_pairs(background())
    known = catalogue(ITEMS - 3, seed=4)  # other codes than those that the network was made with
    save_network(of.writer.retriever.network, tmp_path, ["a", "b"])
    known.save(tmp_path)
    save_two_tower(of.towers.model, tmp_path)
    of = replace(of, writer=replace(of.writer, retriever=of.writer.retriever.over(known)))
    retrieval = Retrieval(of, PARAMETERS, {"generator": 5, "two_tower": 4, "swing": 3}, None)
    retrieval.save(tmp_path)
    both = [next(own.lists(asked(of), written=9, fused=9))[1] for own in (retrieval, Retrieval.load(tmp_path))]
    for name in ("generator", "two_tower", "swing", ""):
        np.testing.assert_array_equal(both[0][name].item, both[1][name].item)
        np.testing.assert_allclose(both[0][name].score, both[1][name].score, rtol=1e-5)
        assert len(both[0][name].item)
