"""Target attention over the recent history alone (DIN, Zhou et al., KDD 2018)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class RecentDin(TrainedBaseline):
    """Reads ids, counts, and the age, action and position of the events, like every trained baseline."""

    name = "recent_din"
    title = "DIN"
    meaning = "target attention over the recent history alone"
    examples = "recent"
    histories = ("recent",)
