"""Names that are used by several tables, jobs and models."""

from __future__ import annotations

SID_COLUMNS = ("sid_1", "sid_2", "sid_3")
"""Columns of the first three levels of a semantic ID; ``sid_more`` holds the codes of further levels."""
LOOPS = "qarm.progress"
"""Logger to which long loops tell how far they are; its records have ``done`` and ``total``."""
PAIR_SOURCES = ("item2item", "user2item")
"""The miners of item pairs, in the order in which the judge and the ranker read them."""
