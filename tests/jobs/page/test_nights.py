"""What the page says about runs and nights, without Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.page.history import Point
from jobs.page.nights import intake_figures, jobs_table, publication
from lake.published import HELD_BACK, PASSED, WITHDRAWN, Night
from tests.jobs.page.pages import NIGHT, run_of

FIRST = Night("night-1", NIGHT, {}, PASSED)


def judged(verdict: str, published: bool) -> Night:
    return Night("night-2", NIGHT if published else None, {}, verdict)


@pytest.mark.parametrize(
    ("newest", "current", "expected"),
    [
        (judged(PASSED, published=True), judged(PASSED, published=True),
         {"word": "published", "text": "Readers see this night, night-2.", "reasons": []}),
        (judged(f"{HELD_BACK}: few rows; AUC fell", published=False), FIRST,
         {"word": "held back", "text": "Readers do not see the newest night, night-2; they see night night-1.",
          "reasons": ["few rows", "AUC fell"]}),
        (judged(WITHDRAWN, published=False), FIRST,
         {"word": "withdrawn", "text": "Readers do not see the newest night, night-2; they see night night-1.",
          "reasons": []}),
        (judged(f"{HELD_BACK}: few rows", published=False), None,
         {"word": "held back", "text": "Readers do not see the newest night, night-2; they see no night yet.",
          "reasons": ["few rows"]}),
    ],
)  # fmt: skip
def test_whether_readers_see_the_newest_night(newest: Night, current: Night | None, expected: dict[str, Any]) -> None:
    assert publication([FIRST, newest], current) == expected


def test_what_each_job_cost_and_why_it_ran() -> None:
    changed = run_of("evaluate", 0, 1800) | {"settings_hash": "b", "code_version": "2"}
    own = run_of("ingest", 0, 60) | {"input_versions": {"items": "8"}}  # what it wrote itself is no change
    jobs = {
        "evaluate": [changed, run_of("evaluate", 1, 900)],
        "ingest": [own, run_of("ingest", 1, 30) | {"output_versions": {"items": "8"}}],
        "mine_pairs": [run_of("mine_pairs", 1, 120), run_of("mine_pairs", 2, 120) | {"input_versions": {"items": "8"}}],
        "report": [run_of("report", 0, 5)],
    }
    rows = jobs_table(jobs, "night-4", cores=4)
    told = [(row["job"], row["ran"], row["seconds"], row["before"], row["core_hours"], row["changed"]) for row in rows]
    assert told == [
        ("mine_pairs", False, 120, 120, 0, "nothing"),
        ("report", True, 5, None, pytest.approx(20 / 3600), "first run"),
        ("ingest", True, 60, 30, pytest.approx(240 / 3600), "nothing"),
        ("evaluate", True, 1800, 900, 2, "settings, code 1 -> 2, items"),
    ]


def test_rows_by_night_add_up() -> None:
    at = [datetime(2025, 3, day, 2, tzinfo=UTC) for day in (9, 10)]
    values = {
        ("ingest.rows", "interactions"): (100.0, 60.0),
        ("ingest.duplicates_folded", "all"): (5.0, 0.0),
        ("ingest.rejected.unknown_item", "interactions"): (None, 4.0),
        ("ingest.rejected.null_user_id", "interactions"): (3.0, None),
        ("ingest.rejected.null_title", "items"): (1.0, 1.0),
    }
    history = {
        key: [Point(f"night-{i + 1}", at[i], value) for i, value in reversed([*enumerate(of)]) if value is not None]
        for key, of in values.items()
    }
    (figure,) = intake_figures(history)
    titles = ["taken", "folded as duplicates", "rejected: null user id", "rejected: unknown item"]
    assert figure.columns == ["night (UTC)", "rows", *titles]
    assert figure.rows == [["09 Mar 02:00", 100, 92, 5, 3, 0], ["10 Mar 02:00", 60, 56, 0, 0, 4]]
    assert [one["name"] for one in figure.data["series"]] == titles
    assert figure.data["series"][0]["values"] == [92, 56]
    assert figure.note.startswith("Newest night: 56 taken, 0 folded")
