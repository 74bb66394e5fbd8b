from __future__ import annotations

import numpy as np

from models.retriever.histories import HistoryShape, UserHistories
from models.retriever.moments import MomentParameters, moments_of, rows_of

SHAPE = HistoryShape(recent_length=4, older_length=4, taken_length=4, half_lives=[30.0])
PARAMETERS = MomentParameters(
    visit_gap=100, targets=3, history_events=50, user_moments=10, share=1.0, begin=1000, end=5000
)
TIME = np.array([10, 1500, 1500, 1560, 3000, 3000, 4990, 5010, 9000])
CODE = np.array([1, 2, 3, 2, 4, 5, 6, 7, 8], np.int32)


def rows(time: np.ndarray = TIME, code: np.ndarray = CODE, parameters: MomentParameters = PARAMETERS) -> dict:
    moments = moments_of(7, time, code, parameters)
    events = UserHistories.of(np.zeros(len(time), np.int64), code, time, now=np.array([10**6]))
    (made,) = rows_of(events, moments, SHAPE, parameters.history_events)
    return made


def test_a_visit_is_predicted_from_the_events_before_it() -> None:
    made = rows()
    assert [sorted(own[own >= 0].tolist()) for own in made["target_code"]] == [[2, 3], [4, 5], [6]]
    assert made["recent_code"].tolist() == [[1, -1, -1, -1], [2, 3, 2, 1], [5, 4, 2, 3]]
    # The visit of 4990 goes on until 5010, which is of the next period and no target.
    assert made["older_code"][2].tolist() == [2, 1, -1, -1]


def test_a_later_event_changes_no_earlier_row() -> None:
    moved = CODE.copy()
    moved[-3:] = 0
    before, after = rows(), rows(code=moved)
    for name in before:
        assert np.array_equal(before[name][:2], after[name][:2]), name


def test_targets_and_moments_are_capped() -> None:
    few = MomentParameters(**{**vars(PARAMETERS), "targets": 1, "user_moments": 2})
    made = rows(parameters=few)
    assert made["target_code"].shape == (2, 1)
    assert made["target_code"][1, 0] == 6
    assert not len(moments_of(7, TIME, CODE, MomentParameters(**{**vars(PARAMETERS), "share": 0.0})).first)


def test_only_the_latest_events_of_a_history_are_read() -> None:
    short = MomentParameters(**{**vars(PARAMETERS), "history_events": 2})
    assert rows(parameters=short)["recent_code"][2].tolist() == [5, 4, -1, -1]
