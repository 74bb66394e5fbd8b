"""Tables of retrieval and recommendation."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract

FUSED = "fused"
"""Name of the fused list among the sources."""

RETRIEVED_ITEMS = Contract(
    name="retrieved_items",
    comment="The candidates of every user from every source, and the list that fuses the sources",
    columns=(
        Column("user_id", "STRING", "The user", nullable=False),
        Column("item_id", "STRING", "The candidate item", nullable=False),
        Column(
            "source",
            "STRING",
            f"Where the candidate comes from, e.g. own or tifu_knn, see docs/recommend.md; {FUSED} = the list that"
            " fuses all sources",
            nullable=False,
        ),
        Column("rank", "INT", "Rank, from 1, among the user's candidates of the source", nullable=False),
        Column(
            "score",
            "DOUBLE",
            "Score of the source, comparable within the source alone; of the fused list the log-odds among the user's"
            " candidates, not comparable between users, or, where no fusion is fitted, the sum of 1 / (60 + rank)",
            nullable=False,
        ),
        Column(
            "as_of",
            "TIMESTAMP",
            "Time for which the candidates are sought, UTC; the user's history ends strictly before it",
            nullable=False,
        ),
        Column("run_id", "STRING", "The run that wrote the candidates", nullable=False),
    ),
    key=("user_id", "item_id", "source"),
    checks={"rank_from_1": "rank >= 1"},
)


def recommendations(tasks: Sequence[str]) -> Contract:
    """The contract of ``recommendations`` for the settings' tasks."""
    return Contract(
        name="recommendations",
        comment="The list of each user, best first",
        columns=(
            Column("user_id", "STRING", "The user", nullable=False),
            Column("rank", "INT", "Rank in the user's list, from 1", nullable=False),
            Column("item_id", "STRING", "The recommended item", nullable=False),
            *(
                Column(
                    f"score_{task}",
                    "FLOAT",
                    f"The ranker's predicted probability that the label of task {task} is 1; null if the ranker was not"
                    " asked or does not know the item yet",
                )
                for task in tasks
            ),
            Column("reason", "STRING", "Why the item is in the list, in words", nullable=False),
            Column(
                "as_of",
                "TIMESTAMP",
                "Time for which the list is made, UTC; the user's history ends strictly before it",
                nullable=False,
            ),
            Column("run_id", "STRING", "The run that wrote the list", nullable=False),
        ),
        key=("user_id", "rank"),
        checks={"rank_from_1": "rank >= 1"},
    )
