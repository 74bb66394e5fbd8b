"""What ingest says about its inputs at the end, without Spark."""

from __future__ import annotations

from typing import Any

from jobs.intake.summary import intake_table, intake_text, unread_columns
from lake.inputs.part import Field, Part

METRICS = {
    "ingest.rows/interactions": 1204.0,
    "ingest.rows/items": 302.0,
    "ingest.interactions": 1150.0,
    "ingest.duplicates_folded": 41.0,
    "ingest.items": 301.0,
    "ingest.items_folded": 1.0,
    "ingest.rejected.malformed_row/interactions": 10.0,
    "ingest.rejected.unknown_item/interactions": 3.0,
    "ingest.rejected.null_item_id/items": 1.0,
    "ingest.events_by_action/purchase": 250.0,
    "ingest.events_by_action/click": 900.0,
    "ingest.items_of_log": 280.0,
    "ingest.items_not_in_catalogue": 2.0,
    "ingest.without_action": 7.0,
    "ingest.unread_column/interactions/session": 1.0,
}


def test_every_row_is_in_the_table() -> None:
    assert intake_table(METRICS) == [
        (
            "interactions",
            "1,204 rows: 1,150 taken, 41 folded as duplicates, 13 rejected (10 malformed_row, 3 unknown_item)",
        ),
        ("items", "302 rows: 300 taken, 1 folded as duplicates, 1 rejected (1 null_item_id)"),
        ("actions", "click 900 (78.3%), purchase 250 (21.7%)"),
        ("without an action", "7 rows took ingest.default_action"),
        ("not in the catalogue", "2 of the log's 280 items (0.7%)"),
        ("not read, interactions", "session"),
    ]
    assert len(intake_text(METRICS).splitlines()) == 6


def test_a_run_of_an_earlier_version_has_no_table() -> None:
    assert intake_table({"ingest.interactions": 3.0}) == []


def test_many_columns_are_cut_short() -> None:
    many = METRICS | {f"ingest.unread_column/interactions/c{n:02d}": 1.0 for n in range(20)}
    assert intake_table(many)[-1][1].endswith("c07 and 13 more")


def part(*names: str) -> Part:
    nothing: Any = None
    fields = tuple(Field(name, nothing, nothing) for name in names)
    return Part(rows=nothing, fields=fields, row=nothing, file="log.csv")


def test_a_column_that_looks_like_ours_is_told() -> None:
    known = ("user_id", "item_id", "event_time", "action", "weight")
    unread = unread_columns([part("user_id", "item_id", "event_time", "eventType", "page", "")], known, False)
    assert unread == ["eventType (is it action? --rename eventType=action)", "page"]


def test_nothing_looks_like_a_column_that_is_there() -> None:
    assert unread_columns([part("action", "event_type")], ("action",), False) == ["event_type"]


def test_of_a_catalogue_only_lookalikes_are_told() -> None:
    known = ("item_id", "title", "category", "description", "image")
    unread = unread_columns([part("item_id", "title", "genre", "price")], known, True)
    assert unread == ["genre (is it category? --rename genre=category)"]
