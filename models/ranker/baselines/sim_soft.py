"""SIM with its soft search: inner products of learned projections (Pi et al., CIKM 2020)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class SimSoft(TrainedBaseline):
    """Ids, counts, and age, action and place of the events, as every baseline of this kind reads."""

    name = "sim_soft"
    title = "SIM soft"
    meaning = "attention over events found by learned projections"
    nightly = False
    examples = "recent"
    search = "soft"
