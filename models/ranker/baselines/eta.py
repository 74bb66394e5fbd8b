"""ETA: the search compares SimHash fingerprints (Chen et al., 2021)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class Eta(TrainedBaseline):
    """Reads ids, counts, and the age, action and position of the events, like every trained baseline."""

    name = "eta"
    title = "ETA"
    meaning = "attention over the events with the nearest fingerprints"
    nightly = False
    examples = "recent"
    search = "eta"
