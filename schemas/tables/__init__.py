"""The contract of every table. Names of tables and columns are public: users' SQL depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Contract
from schemas.examples import ranker_examples
from schemas.tables.codes import ITEM_EMBEDDINGS, SEMANTIC_IDS, SID_CHANGES
from schemas.tables.inputs import INGESTED_FILES, INTERACTIONS, ITEMS, REJECTED_ROWS
from schemas.tables.lists import RETRIEVED_ITEMS, recommendations
from schemas.tables.pairs import ITEM_ANCHORS, ITEM_PAIRS, ITEM_QUESTIONS, PAIR_VERDICTS
from schemas.tables.records import LOCKS, METRICS, PUBLISHED, RUNS
from schemas.tables.scores import candidate_scores, predictions

__all__ = [
    "INGESTED_FILES",
    "INTERACTIONS",
    "ITEMS",
    "ITEM_ANCHORS",
    "ITEM_EMBEDDINGS",
    "ITEM_PAIRS",
    "ITEM_QUESTIONS",
    "LOCKS",
    "METRICS",
    "PAIR_VERDICTS",
    "PUBLISHED",
    "REJECTED_ROWS",
    "RETRIEVED_ITEMS",
    "RUNS",
    "SEMANTIC_IDS",
    "SID_CHANGES",
    "all_contracts",
    "candidate_scores",
    "predictions",
    "recommendations",
]


def all_contracts(tasks: Sequence[str]) -> list[Contract]:
    """The contracts of all tables, in the order in which the jobs write them."""
    return [
        INTERACTIONS, ITEMS, REJECTED_ROWS, INGESTED_FILES, ITEM_PAIRS, PAIR_VERDICTS, ITEM_QUESTIONS, ITEM_ANCHORS,
        ITEM_EMBEDDINGS, SEMANTIC_IDS, SID_CHANGES, ranker_examples(tasks), predictions(tasks), candidate_scores(tasks),
        RETRIEVED_ITEMS, recommendations(tasks), METRICS, RUNS, PUBLISHED, LOCKS,
    ]  # fmt: skip
