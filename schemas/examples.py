"""The contract of ``ranker_examples``, from the declarations of its features."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract
from schemas.features import EVENT_FIELDS, FEATURES

HISTORIES = {
    "recent": "The user's last events, latest first",
    "found": "Events that the general search unit (GSU) found in the user's history, best first",
}
"""Prefixes of the columns of an example's histories, with what each history holds."""


def label_columns(tasks: Sequence[str]) -> tuple[Column, ...]:
    """One label column per task."""
    return tuple(
        Column(f"label_{task}", "FLOAT", f"1 if the event was positive for task {task}, else 0", nullable=False)
        for task in tasks
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
        comment="Examples for training and evaluating the ranker, with the search results of the user's lifelong"
        " history (GSU); a user took an item where an event of the user on it was positive for a task",
        columns=(
            Column("example_id", "STRING", "Hash of user, item, time and kind of the example", nullable=False),
            Column("user_id", "STRING", "The user whose reaction is predicted", nullable=False),
            Column("item_id", "STRING", "The target item, whose label is predicted", nullable=False),
            Column(
                "event_time",
                "TIMESTAMP",
                "Time of the example, UTC; the user's history ends strictly before it",
                nullable=False,
            ),
            Column(
                "days_from",
                "DATE",
                "First day of the block of whole UTC days that the example lies in; a block belongs to one split, which"
                " follows from the dates that the search index of the night tells",
                nullable=False,
            ),
            *label_columns(tasks),
            *(feature.column for feature in FEATURES),
            Column(
                "log_q",
                "FLOAT",
                "Natural logarithm of the number of times that the target is expected among the negatives of the"
                " example's positive (examples.negatives_from); 0 in a log with impressions. It corrects training"
                " (ranker.log_q) and is no feature: it knows the popularity of the whole window, later days included",
                nullable=False,
            ),
            *sequences,
            Column(
                "found_score",
                "ARRAY<FLOAT>",
                "Cosine similarity of the item of each found event and the target item; 0 is padding",
                nullable=False,
            ),
            Column(
                "recent_length", "INT", "Number of events in the recent_* arrays, padding not counted", nullable=False
            ),
            Column(
                "found_length", "INT", "Number of events in the found_* arrays, padding not counted", nullable=False
            ),
        ),
        key=("example_id",),
        partition_by=("days_from",),
    )
