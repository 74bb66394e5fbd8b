from __future__ import annotations

import numpy as np
import pytest

from models.retriever.histories import HistoryShape, UserHistories, behaviours_of
from tests.models.retriever.networks import DAY, NOW, histories

SHAPE = HistoryShape(recent_length=3, older_length=4, taken_length=3, half_lives=[7.0, 30.0])


def test_events_are_ordered_counted_and_strictly_before_the_moment() -> None:
    time = np.array([30, 10, 20, 40, 10, 50])
    made = UserHistories.of(
        np.array([1, 1, 1, 1, 0, 0]), np.array([5, 5, 7, 5, 5, 2], np.int32), time, now=np.array([50, 40])
    )
    assert made.offsets.tolist() == [0, 1, 4]  # the events at 40 and 50 are not before their users' moments
    assert made.item.tolist() == [5, 5, 7, 5]
    assert made.time.tolist() == [10, 10, 20, 30]
    assert made.count.tolist() == [1, 1, 1, 2]
    assert made.user.tolist() == [0, 1, 1, 1]


def test_some_users_have_the_histories_that_they_have_among_all() -> None:
    every = histories()
    some = every.take(np.array([4, 0, 2]))
    for place, user in enumerate((4, 0, 2)):
        own, other = (slice(*of.offsets[at : at + 2]) for of, at in ((some, place), (every, user)))
        for name in ("item", "time", "action", "count"):
            assert np.array_equal(getattr(some, name)[own], getattr(every, name)[other])


def test_behaviours_are_those_of_a_loop_over_users_and_events() -> None:
    item_code = np.arange(150, dtype=np.int32) // 20
    of = histories(users=6, events=50)
    made = behaviours_of(of, item_code, SHAPE)
    for user in range(of.users):
        own = slice(*of.offsets[user : user + 2])
        codes, age = item_code[of.item[own]], (NOW - of.time[own]) / DAY
        latest = [*codes[::-1].tolist(), *[-1] * 7]
        assert made["recent_code"][user].tolist() == latest[:3]
        assert made["older_code"][user].tolist() == latest[3:7]
        taken = {int(code): (0.5 ** (age[codes == code] / 30.0)).sum() for code in set(codes.tolist())}
        best = sorted(taken, key=lambda code: -taken[code])[:3]
        assert made["taken_code"][user].tolist() == [*best, *[-1] * (3 - len(best))]
        for place, code in enumerate(best):
            same = codes == code
            assert made["taken_count"][user, place] == same.sum()
            assert made["taken_age"][user, place] == pytest.approx(age[same].min(), rel=1e-5)
            assert made["taken_mass_1"][user, place] == pytest.approx(taken[code], rel=1e-5)
            assert made["taken_mass_0"][user, place] == pytest.approx((0.5 ** (age[same] / 7.0)).sum(), rel=1e-5)


def test_users_without_any_events_have_behaviours_of_padding() -> None:
    nobody = UserHistories.of(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), now=np.array([9, 9]))
    made = behaviours_of(nobody, np.arange(4, dtype=np.int32), SHAPE)
    assert all((made[f"{name}_code"] == -1).all() for name in ("recent", "older", "taken"))
    assert made["taken_mass_0"].shape == (2, 3)
