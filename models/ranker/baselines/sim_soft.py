"""SIM with its soft search: inner products of learned projections (Pi et al., CIKM 2020)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class SimSoft(TrainedBaseline):
    """Reads ids, counts, and the age, action and position of the events, like every trained baseline."""

    name = "sim_soft"
    title = "SIM soft"
    meaning = "attention over events found by learned projections"
    nightly = False
    examples = "recent"
    search = "soft"
