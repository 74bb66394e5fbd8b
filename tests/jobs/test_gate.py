"""The gate's limits, each one passed and broken."""

from __future__ import annotations

import pytest

from jobs.night.gate import reasons_to_hold_back
from schemas.settings import load_settings

BEFORE = {
    "night.rows/items": 100.0,
    "night.rows/item_pairs": 0.0,
    "night.nulls/items.category": 0.1,
    "night.collision_rate": 0.2,
    "night.moved_sids": 0.9,
    "night.auc/click": 0.8,
    "night.auc_low/click": 0.79,
    "night.auc_high/click": 0.81,
}
SAME = BEFORE | {"night.moved_sids": 0.0}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"night.rows/items": 90.0}, None),
        (
            {"night.rows/items": 89.0},
            "table items has 89 rows, and 100 in the published night: less than gate.least_rows",
        ),
        ({"night.rows/items": 200.0}, None),
        ({"night.rows/items": 201.0}, "more than gate.most_rows = 2 times them"),
        ({"night.rows/item_pairs": 10.0}, None),
        ({"night.rows/predictions": 10.0}, None),
        ({"night.nulls/items.category": 0.15}, None),
        (
            {"night.nulls/items.category": 0.2},
            "20.0% of column items.category are null, and 10.0% in the published night",
        ),
        ({"night.nulls/items.category": 0.0}, None),
        ({"night.collision_rate": 0.24}, None),
        ({"night.collision_rate": 0.3}, "30.0% of the contents share their semantic ID"),
        ({"night.moved_sids": 0.2}, None),
        ({"night.moved_sids": 0.25}, "25.0% of the items moved to another semantic ID: more than gate.most_moved_sids"),
        ({"night.auc/click": 0.78, "night.auc_low/click": 0.76, "night.auc_high/click": 0.8}, None),
        (
            {"night.auc/click": 0.77, "night.auc_low/click": 0.76, "night.auc_high/click": 0.78},
            r"test AUC of click is 0.7700 (95 % interval 0.7600 to 0.7800), and 0.8000 in the published night",
        ),
    ],
)
def test_each_limit(changed: dict[str, float], reason: str | None) -> None:
    found = reasons_to_hold_back(SAME | changed, BEFORE, load_settings().gate)
    assert len(found) == (reason is not None)
    assert reason is None or reason in found[0]


def test_a_table_that_is_gone_and_all_reasons_are_told() -> None:
    now = {k: v for k, v in SAME.items() if k != "night.rows/items"} | {"night.moved_sids": 0.5}
    gone, moved = reasons_to_hold_back(now, BEFORE, load_settings().gate)
    assert gone == "table items, which the published night has, is gone"
    assert "moved" in moved


def test_what_cannot_be_measured_any_more_is_a_reason() -> None:
    unknown = {"night.auc/click", "night.auc_low/click", "night.collision_rate", "night.nulls/items.category"}
    now = {key: value for key, value in SAME.items() if key not in unknown}
    auc, collisions = reasons_to_hold_back(now, BEFORE, load_settings().gate, unknown=unknown)
    assert auc.startswith("test AUC of click, which the published night has, cannot be measured")
    assert collisions == "the collision rate, which the published night has, was not measured"
    assert reasons_to_hold_back(now, BEFORE, load_settings().gate) == [], "a task that the settings no longer name"


def test_the_first_night_passes() -> None:
    assert reasons_to_hold_back(SAME, {}, load_settings().gate) == []
