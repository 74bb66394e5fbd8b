"""Names that several tables, jobs and models share."""

from __future__ import annotations

SID_COLUMNS = ("sid_1", "sid_2", "sid_3")
"""The levels of a semantic ID; codes of further levels stand in ``sid_more``."""
PAIR_SOURCES = ("item2item", "user2item")
"""What mines item pairs, in the order that judging and the ranker take them."""
