from __future__ import annotations

import numpy as np

from models.ranker.examples.columns import target_columns
from models.ranker.examples.distinct_items import tried
from models.ranker.examples.histories import Past, findings_of
from models.ranker.examples.mined_pairs import paired
from models.ranker.examples.similarity import behaviour
from models.ranker.examples.targets import HOUR, ExampleParameters, Targets
from models.ranker.examples.taste import taste
from tests.search_indexes import random_catalogue

PARAMETERS = ExampleParameters(recent_length=3, found_length=4, search="embedding", negatives=0, attribution_gap=0)


def test_columns_carry_what_the_whole_past_says() -> None:
    known, draw = random_catalogue(20), np.random.default_rng(0)
    rows, times = draw.integers(0, 20, 50), np.sort(draw.integers(0, 100, 50)) * HOUR
    past = Past.of(rows, times, np.zeros(50, np.int64), known)
    asked, when = draw.integers(0, 20, 12), draw.integers(20, 100, 12) * HOUR
    targets = Targets(asked, when, np.zeros((12, 1), bool), np.zeros(12, np.uint64))
    columns = target_columns(targets, findings_of(past, targets, known, PARAMETERS), known)
    visible = np.searchsorted(times, when, side="left")
    expected = {
        "history_length": visible,
        "behaviour": behaviour(asked, when, visible, rows, known),
        "taste": taste(asked, when, visible, rows, known),
        "tried": tried(asked, visible, rows, known),
        "paired": paired(asked, visible, rows, known.triggers),
    }
    for name, values in expected.items():
        assert values.any()
        assert np.array_equal(columns[name], values), name
