from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.ranker.examples.columns import target_columns
from models.ranker.examples.context import Context
from models.ranker.examples.past import Past
from models.ranker.examples.registry import feature, feature_functions
from models.ranker.examples.targets import HOUR, Targets
from schemas.feature import Feature
from schemas.features import COUNTED, FEATURES
from tests.search_indexes import PARAMETERS, random_index

ITEMS, EVENTS, TARGETS = 20, 50, 12
COMPUTED = [declared for declared in FEATURES if declared.count is None]


def context(until: int = EVENTS, rows: slice = slice(None)) -> Context:
    """The first events and some of the targets of one user."""
    known, draw = random_index(ITEMS), np.random.default_rng(0)
    history, times = draw.integers(0, ITEMS, EVENTS), np.sort(draw.integers(0, 100, EVENTS)) * HOUR
    items, when = draw.integers(0, ITEMS, TARGETS), draw.integers(20, 90, TARGETS) * HOUR
    past = Past.of(history[:until], times[:until], np.zeros(until, np.int64), known)
    n = len(items[rows])
    targets = Targets(items[rows], when[rows], np.zeros((n, 1), bool), np.zeros(n, np.uint64))
    return Context(targets, past, known, PARAMETERS)


def test_what_is_declared_is_computed_or_counted_and_nothing_else() -> None:
    assert set(feature_functions()) == {declared.name for declared in COMPUTED}
    assert not set(feature_functions()) & set(COUNTED)


def test_a_second_function_of_a_name_is_refused() -> None:
    feature_functions()

    def hour(of: Context) -> np.ndarray:
        return of.targets.times

    with pytest.raises(
        ValueError, match=r"feature hour is computed by two functions, in .* and models.*\.target; remove one"
    ):
        feature(hour)


def test_a_text_is_found_by_the_items_number() -> None:
    of = context()
    assert target_columns(of, ["text_row"])["text_row"].tolist() == (of.targets.rows + 1).tolist()


@pytest.mark.parametrize("declared", COMPUTED, ids=[declared.name for declared in COMPUTED])
def test_values_have_the_declared_type_and_width(declared: Feature) -> None:
    values = target_columns(context())[declared.name]
    assert values.dtype == {"INT": np.int32, "FLOAT": np.float32}[declared.type]
    width = len(declared.parts) or declared.width
    assert values.ndim == (1 if width is None else 2)
    assert len(values) == TARGETS
    assert not width or values.shape[1] == width
    assert values.any()


@pytest.mark.parametrize("declared", COMPUTED, ids=[declared.name for declared in COMPUTED])
def test_later_events_and_other_targets_change_no_bit_of_a_feature(declared: Feature) -> None:
    whole = target_columns(context())[declared.name]
    for row in (0, 3, TARGETS - 1):
        seen = int(context().visible[row])
        alone = target_columns(context(until=seen, rows=slice(row, row + 1)))[declared.name]
        assert np.array_equal(alone[0], whole[row])


def test_what_is_shared_is_made_once() -> None:
    of = context()
    target_columns(of)
    assert of.found is of.found
    assert {"found", "same_item", "same_codes", "behaviour_fits"} <= set(vars(of))
    other = replace(of, parameters=replace(PARAMETERS, search="recent"))
    assert not np.array_equal(other.found.positions, of.found.positions)
