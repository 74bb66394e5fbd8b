"""What the benchmark of lists fits on a log in memory is what the product's jobs fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks._cornac import CORNAC, SCRIPT
from benchmarks._fitted_sources import swing_pairs, two_towers
from benchmarks._generators import LIKE_POPULARITY, _among_like, _rows
from benchmarks._retriever_data import DATA
from models.retriever.background import Background
from models.retriever.catalogue import Catalogue
from models.retriever.histories import DAY, HistoryShape, UserHistories
from models.retriever.moments import MomentParameters
from schemas.parameters import take
from schemas.settings import load_settings
from udfs.moments import build_moments

USERS, ITEMS, EVENTS = 40, 30, 60
NOW = 20_000 * int(DAY)
SHAPE = HistoryShape(recent_length=4, older_length=6, taken_length=5, half_lives=[7.0, 30.0])


@pytest.fixture(scope="module")
def known() -> Background:
    """Users of two halves of the catalogue; items 2k and 2k + 1 are one content."""
    generator = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), EVENTS)
    item = generator.integers(0, ITEMS // 2, len(user)) + ITEMS // 2 * (user % 2)
    time = NOW - generator.integers(1, 100 * int(DAY), len(user))
    own = UserHistories.of(user, item.astype(np.int32), time, now=np.full(USERS, NOW))
    content = (np.arange(ITEMS) // 2).astype(np.int32)
    return Background(NOW, content, content, content, own)


def test_rows_are_those_of_the_job(known: Background) -> None:
    settings = load_settings((), ["retriever.moments=500"])
    sids = np.stack([np.arange(ITEMS) % 4, np.arange(ITEMS) // 4, np.arange(ITEMS) % 3], axis=1).astype(np.int32)
    catalogue = Catalogue.of(pa.array(np.arange(ITEMS).astype(str)), sids)
    begin, end = NOW - 60 * int(DAY), NOW - 10 * int(DAY)
    rows = _rows(known, catalogue, SHAPE, settings, period=(begin, end), most=500)
    own = known.histories
    inside = (own.time >= begin) & (own.time < end)
    days = pd.DataFrame({"user": own.user[inside], "day": own.time[inside] // int(DAY)}).drop_duplicates()
    parameters = take(
        MomentParameters, settings.retriever, visit_gap=360 * 60, share=500 / len(days), begin=begin, end=end
    )
    code = catalogue.item_code[own.item]
    given = pd.DataFrame({"user_id": own.user, "part": 0, "time": own.time, "code": code, "action": 0})
    given["key"] = pd.util.hash_array(np.arange(USERS))[own.user].view(np.int64)
    given = given.sort_values(["user_id", "time", "code"])
    made = pa.Table.from_batches(build_moments(SHAPE, parameters)([pa.RecordBatch.from_pandas(given)]))
    assert 0 < made.num_rows < len(days)
    for name, values in rows.items():
        theirs = np.array(made[name].to_pylist(), np.float32)
        np.testing.assert_array_equal(values.numpy().astype(np.float32), theirs, err_msg=name)


def test_shuffled_codes_go_to_items_of_like_popularity() -> None:
    popularity = np.arange(10 * LIKE_POPULARITY, dtype=np.float32)
    given = _among_like(popularity)
    assert sorted(given) == list(range(len(given)))
    assert np.abs(given - np.arange(len(given))).max() < LIKE_POPULARITY
    assert (given == np.arange(len(given))).mean() < 0.1


def test_pairs_lie_within_what_the_same_users_take(known: Background) -> None:
    pairs = swing_pairs(known, load_settings((), ["mine.significance=0.0"])).tocoo()
    assert pairs.nnz
    assert (pairs.row // (ITEMS // 2) == pairs.col // (ITEMS // 2)).all()
    assert (known.content[pairs.row] != known.content[pairs.col]).all()
    best = np.zeros(ITEMS)
    np.maximum.at(best, pairs.row, pairs.data)
    np.testing.assert_allclose(best[np.unique(pairs.row)], 1)


def test_towers_find_what_users_of_a_kind_take(known: Background) -> None:
    small = [f"mine.user2item.{given}" for given in ("steps=150", "dim=8", "recent_length=5", "batch_size=128")]
    texts = [f"thing {number}" for number in range(ITEMS // 2)]
    towers = two_towers(known, texts, load_settings((), small), seed=0)
    near = towers.nearest(known.histories).toarray()
    kind = np.arange(USERS) % 2
    own = near[np.arange(ITEMS)[None] // (ITEMS // 2) == kind[:, None]]
    other = near[np.arange(ITEMS)[None] // (ITEMS // 2) != kind[:, None]]
    assert own.mean() > other.mean() + 0.2


def test_every_model_of_cornac_is_known_to_the_script_and_has_settings_for_all_data() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    for other in CORNAC.values():
        assert f'"{other.model}": {other.model}' in script
        assert set(other.settings) == set(DATA)
