"""SIM with its hard search: the latest events of the target's category (Pi et al., CIKM 2020)."""

from __future__ import annotations

from models.ranker.baseline import TrainedBaseline


class SimHard(TrainedBaseline):
    """Reads ids, counts, and the age, action and position of the events, like every trained baseline."""

    name = "sim_hard"
    title = "SIM hard"
    meaning = "attention over the latest events of the target's category"
    nightly = False
    examples = "category"
