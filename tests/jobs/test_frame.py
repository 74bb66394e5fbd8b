"""Blocks of days, windows and the split by date, from night to night."""

from __future__ import annotations

import json
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.examples.frame import MOST_BLOCKS, Frame, first_frame, next_frame
from lake.periods import Periods

DAY = date(2025, 1, 1)
SHARES = (0.3, 0.6, 1.0)


def after(days: int) -> date:
    return DAY + timedelta(days=days)


def periods(valid: int, test: int, fit: int | None = None) -> Periods:
    return Periods(DAY, after(valid if fit is None else fit), after(valid), after(test))


@given(st.integers(2, 400), st.integers(1, 200), st.integers(1, 200))
def test_a_first_night_has_one_block_of_train_days_and_later_ones_within_one_split(
    train: int, valid: int, test: int
) -> None:
    split = periods(train, train + valid)
    frame = first_frame(split, after(train + valid + test - 1), "run-1", SHARES)
    assert frame.blocks_of("train") == [DAY]
    blocks = [*frame.blocks_of("train"), *frame.blocks_of("valid"), *frame.blocks_of("test")]
    assert blocks == [*frame.blocks] == sorted(set(blocks))
    assert {split.valid_from, split.test_from} <= {*blocks}
    assert len(blocks) <= MOST_BLOCKS + 2
    assert Frame.from_card(json.loads(json.dumps(frame.as_card()))) == frame


def test_examples_may_begin_after_the_fit_period() -> None:
    assert first_frame(periods(20, 30, fit=10), after(39), "run-1", SHARES).blocks[0] == after(10)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=12))
def test_later_nights_add_blocks_and_periods_only_move_on_by_whole_blocks(
    nights: list[tuple[int, int, int]],
) -> None:
    last = 39
    frame = first_frame(periods(20, 30), after(last), "run-1", SHARES)
    for new_days, valid_from, gap in nights:
        wanted = periods(valid_from + 10, valid_from + 10 + gap)
        later = next_frame(frame, wanted, after(last), after(last + new_days))
        assert later.blocks[: len(frame.blocks)] == frame.blocks, "a block never changes"
        assert later.windows[: len(frame.windows)] == frame.windows
        added = [after(last + 1)] if new_days else []
        assert [*later.blocks[len(frame.blocks) :]] == added == [*later.windows[len(frame.windows) :]]
        old, new = frame.periods, later.periods
        assert old.valid_from <= new.valid_from < new.test_from
        assert old.test_from <= new.test_from
        assert {new.valid_from, new.test_from} <= {*later.blocks}
        assert new.rank_from is None
        assert {*frame.blocks_of("train")} <= {*later.blocks_of("train")}, "no example leaves the train split"
        frame, last = later, last + new_days


def test_the_fit_period_of_the_first_night_stays() -> None:
    frame = first_frame(periods(20, 30, fit=10), after(39), "run-1", SHARES)
    later = next_frame(frame, periods(22, 32, fit=11), after(39), after(42))
    assert later.periods.rank_from == after(10)
    assert (later.periods.valid_from, later.periods.test_from) == (after(22), after(32))


def test_days_that_come_to_the_train_period_are_read_as_thinly_as_the_first_ones() -> None:
    frame = first_frame(periods(20, 30), after(39), "run-1", SHARES)
    assert {frame.share_to_read(block) for block in frame.blocks} == {1.0}
    later = next_frame(frame, periods(22, 32), after(39), after(42))
    moved, tested = after(20), after(30)
    assert later.share_to_read(DAY) == 1.0
    assert later.share_to_read(moved) == 0.5, "built as validation days, read as train days"
    assert later.share_to_read(tested) == 0.6, "built as test days, read as validation days"
    assert later.share_to_read(after(40)) == 1.0
    old = Frame(later.periods, later.blocks, later.windows, later.origin)
    assert {old.share_to_read(block) for block in old.blocks} == {1.0}, "an earlier qarm did not write it down"
