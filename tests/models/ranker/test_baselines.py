from __future__ import annotations

import pytest

from models.ranker.baselines import BASELINES, COLUMNS, TRAINED
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from schemas.parameters import take
from schemas.settings import load_settings
from schemas.tables import ranker_examples

NAMES = ["eta", "popularity", "recent_din", "sim_hard", "sim_soft", "twin"]


def test_every_file_is_a_baseline_with_words_for_people() -> None:
    assert sorted(BASELINES) == NAMES
    assert all(baseline.title and baseline.meaning for baseline in BASELINES.values())
    assert len({baseline.title for baseline in BASELINES.values()}) == len(NAMES)


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_trained_baseline_is_a_ranker_that_reads_less(name: str) -> None:
    settings = load_settings().ranker
    sizes = {"tasks": ["click"], "items": 20, "codes": [4, 4, 4], "follows": {}}
    ours = take(RankerShape, settings, **sizes, histories=("recent", "found"), use=settings.use.on)
    theirs = take(RankerShape, settings, **sizes, **TRAINED[name].fixed())
    assert {*theirs.columns} < {*ours.columns}
    assert Ranker(theirs).head is not None


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_a_column_baseline_reads_a_column_that_there_is(name: str) -> None:
    assert COLUMNS[name].column in {"train_events", *ranker_examples(["click"]).names}
