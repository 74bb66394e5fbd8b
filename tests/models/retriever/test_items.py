from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from models.retriever.catalogue import Catalogue
from models.retriever.histories import UserHistories
from models.retriever.items import ItemRule, items_of
from models.retriever.serving import GeneratedCodes
from tests.models.retriever.networks import DAY, NOW, catalogue, histories

RULE = ItemRule(prior=2.0, half_life_days=30.0, items_per_code=10, unseen=0.0)
KNOWN = Catalogue.of(
    pa.array(list("abcde")),
    np.array([[0, 0], [0, 0], [0, 0], [1, 0], [1, 2]], np.int32),
    popularity=np.array([6, 3, 1, 5, 5], np.float32),
)


def generated(*rows: list[int]) -> GeneratedCodes:
    codes = np.array(rows, np.int32)
    return GeneratedCodes(codes, np.where(codes < 0, -np.inf, np.log(0.5) - np.arange(codes.shape[1])).astype("f4"))


def test_the_users_own_count_and_recency_are_weighed_against_popularity() -> None:
    # The user took c now, and b a half-life ago: 1 and 0.5 events beside a prior of 2.
    of = UserHistories.of(
        np.zeros(2, np.int64), np.array([1, 2], np.int32), np.array([NOW - 30 * DAY, NOW - 1]), now=np.array([NOW])
    )
    made = items_of(generated([0, 2]), of, KNOWN, RULE, most=5)
    chance = {"a": 1.2 / 3.5, "b": (0.6 + 0.5) / 3.5, "c": (0.2 + 1.0) / 3.5}
    found = {"abcde"[item]: score for item, score in zip(made.items[0], made.score[0], strict=True) if item >= 0}
    for item, value in chance.items():
        assert found[item] == pytest.approx(np.log(0.5 * value), abs=1e-4)
    assert found["e"] == pytest.approx(np.log(0.5) - 1, abs=1e-4)  # the only item of its code
    assert (np.diff(made.score[0][:4]) <= 0).all()
    assert made.items[0, 4] == -1
    assert np.isneginf(made.score[0, 4])


def test_a_code_gives_at_most_its_best_items() -> None:
    nobody = UserHistories.of(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), now=np.array([NOW]))
    few = ItemRule(prior=2.0, half_life_days=30.0, items_per_code=2)
    assert items_of(generated([0, -1]), nobody, KNOWN, few, most=5).items.tolist() == [[0, 1, -1, -1, -1]]


def test_scores_of_a_codes_items_sum_to_its_probability() -> None:
    known, of = catalogue(), histories()
    codes = np.tile(np.arange(8, dtype=np.int32), (of.users, 1))
    beams = GeneratedCodes(codes, np.full(codes.shape, -3.0, np.float32))
    made = items_of(beams, of, known, RULE, most=150)
    for user in range(of.users):
        items = made.items[user][made.items[user] >= 0]
        assert len(np.unique(items)) == np.isin(known.item_code, np.arange(8)).sum() == len(items)
        sums = np.bincount(known.item_code[items], weights=np.exp(made.score[user][: len(items)]))
        assert sums == pytest.approx(np.full(8, np.exp(-3.0)), rel=1e-4)
