"""Target attention over the recent history alone (DIN, Zhou et al., KDD 2018)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class RecentDin(TrainedBaseline):
    """Ids, counts, and age, action and place of the events, as every baseline of this kind reads."""

    name = "recent_din"
    title = "DIN"
    meaning = "target attention over the recent history alone"
    examples = "recent"
    histories = ("recent",)
