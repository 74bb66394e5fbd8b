"""Whether two warehouses hold the same night."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from tests.faults.nightly import Nightly
from tests.faults.tally import DONE

EXACT = {
    "interactions": ["user_id", "item_id", "event_time", "action", "weight"],
    "items": ["item_id", "content_hash"],
    "item_pairs": ["source", "trigger_item_id", "target_item_id", "score", "support", "verdict"],
    "item_questions": ["item_id", "question", "answer"],
    "semantic_ids": ["item_id", "sid", "content_hash", "reconstruction_error"],
    "sid_changes": ["item_id", "reason", "new_sid"],
    "ranker_examples": [
        "example_id", "user_id", "item_id", "event_time", "days_from", "label_click", "history_length",
    ],
}  # fmt: skip
"""Columns of tables that are the same to the bit; times of runs and versions of artifacts are not among them."""

ALL = frozenset({*EXACT, "item_embeddings", "predictions"})


def assert_same(one: Nightly, other: Nightly, *, but: Collection[str] = ()) -> None:
    """Compares the tables of two nights: to the bit where a stage is deterministic, else up to ALS's rounding.

    Args:
        one: a night.
        other: another night.
        but: tables that are left out.
    """
    _compare(one, other, but)
    DONE["nights compared with an undisturbed one"] += 1


def _compare(one: Nightly, other: Nightly, but: Collection[str]) -> None:
    for table, columns in EXACT.items():
        if table not in but:
            tables = [n.read(table)[columns].sort_values(columns, ignore_index=True) for n in (one, other)]
            assert len(tables[0]), table
            pd.testing.assert_frame_equal(*tables, check_exact=True, obj=table)
    if "item_embeddings" not in but:
        rows = [n.read("item_embeddings").sort_values("item_id") for n in (one, other)]
        assert [*rows[0]["item_id"]] == [*rows[1]["item_id"]]
        np.testing.assert_array_equal(*(r["embedding"].map(list).to_list() for r in rows))
    if "predictions" not in but:
        rows = [n.read("predictions").sort_values("example_id") for n in (one, other)]
        assert [*rows[0]["example_id"]] == [*rows[1]["example_id"]]
        np.testing.assert_allclose(*(r["score_click"].to_numpy() for r in rows), atol=0.02)


def differences(one: Nightly, other: Nightly) -> list[str]:
    """Tables in which two nights differ."""
    found = []
    for table in sorted(ALL):
        try:
            _compare(one, other, ALL - {table})
        except AssertionError:
            found.append(table)
    return found
