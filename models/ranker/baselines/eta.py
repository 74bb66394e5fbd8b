"""ETA: the search compares SimHash fingerprints (Chen et al., 2021)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class Eta(TrainedBaseline):
    """Ids, counts, and age, action and place of the events, as every baseline of this kind reads."""

    name = "eta"
    title = "ETA"
    meaning = "attention over the events with the nearest fingerprints"
    nightly = False
    examples = "recent"
    search = "eta"
