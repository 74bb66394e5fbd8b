"""The contract of ``ranker_examples``, from the declarations of its features."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract
from schemas.features import EVENT_FIELDS, FEATURES

HISTORIES = {"recent": "Last events, latest first", "found": "Events found by the GSU, best first"}
"""Histories of an example, with what they hold."""


def label_columns(tasks: Sequence[str]) -> tuple[Column, ...]:
    """A label a task."""
    return tuple(
        Column(f"label_{task}", "FLOAT", f"1 where the {task} happened, else 0", nullable=False) for task in tasks
    )


def ranker_examples(tasks: Sequence[str]) -> Contract:
    """The contract of ``ranker_examples`` for the settings' tasks.

    Args:
        tasks: task names, in the order of the settings.
    """
    sequences = (
        Column(f"{history}_{field}", "ARRAY<INT>", f"{what}: {words}; 0 is padding", nullable=False)
        for history, what in HISTORIES.items()
        for field, words in EVENT_FIELDS.items()
    )
    return Contract(
        name="ranker_examples",
        comment="Ranking examples whose lifelong history has already been searched",
        columns=(
            Column("example_id", "STRING", "Hash of user, item, time and kind", nullable=False),
            Column("user_id", "STRING", "The user", nullable=False),
            Column("item_id", "STRING", "The target item", nullable=False),
            Column("event_time", "TIMESTAMP", "When; the history ends strictly before it", nullable=False),
            Column("split", "STRING", "train, valid or test, by global time", nullable=False),
            *label_columns(tasks),
            *(feature.column for feature in FEATURES),
            *sequences,
            Column(
                "found_score",
                "ARRAY<FLOAT>",
                "Cosine of every found event's item and the target; 0 is padding",
                nullable=False,
            ),
            Column("recent_length", "INT", "Real events in the recent_* arrays", nullable=False),
            Column("found_length", "INT", "Real events in the found_* arrays", nullable=False),
        ),
        key=("example_id",),
        checks={"known_split": "split IN ('train', 'valid', 'test')"},
        partition_by=("split",),
    )
