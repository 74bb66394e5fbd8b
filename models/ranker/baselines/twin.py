"""TWIN: the search shares the exact attention's logits (Chang et al., KDD 2023)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class Twin(TrainedBaseline):
    """Reads ids, counts, and the age, action and position of the events, like every trained baseline."""

    name = "twin"
    title = "TWIN"
    meaning = "attention over the events with the highest logits of that attention itself"
    nightly = False
    examples = "recent"
    search = "twin"
