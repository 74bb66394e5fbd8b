"""Popularity: the number of positive events on the target in the train period."""

from __future__ import annotations

from models.ranker.baseline import ColumnBaseline


class Popularity(ColumnBaseline):
    """Gives a target the same score for every user."""

    name = "popularity"
    title = "popularity"
    meaning = "positive events on the target in the train period"
    column = "train_events"
