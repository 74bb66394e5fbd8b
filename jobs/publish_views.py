"""Judges the night and publishes it in one commit, if it passes the gate; then readers see it in views and files."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from jobs.night.gate import reasons_to_hold_back
from jobs.night.numbers import JUDGED, measure_moved, measure_quality, measure_tables, numbers_of
from jobs.night.views import show
from lake.command import main
from lake.declaration import Job
from lake.published import HELD_BACK, PASSED, Night
from lake.run import Run
from schemas.tables import SEMANTIC_IDS, all_contracts

log = logging.getLogger("qarm")

LOGS = ("rejected_rows", "sid_changes", "pair_verdicts")
"""Tables that are published but not counted by the gate: they tell what happened, and may grow or shrink at will."""


def steps(run: Run) -> None:
    """Measures the night, compares it with the published one, and publishes it or holds it back.

    The commit to ``published`` is the moment at which readers change from one night to the other. A run that was cut
    off after it left the night published but not shown: this one then shows it, and publishes it no second time.
    """
    nights = run.lake.published
    before = nights.current()
    with run.step("measure the night"):
        counted = [c for c in all_contracts(run.settings.ranking.task_names) if c.name in {*JOB.reads} - {*LOGS}]
        measure_tables(run, counted)
        if before is not None and SEMANTIC_IDS.name in before.versions:
            measure_moved(run, int(before.versions[SEMANTIC_IDS.name]))
        measure_quality(run, run.lake.ledger.last_metrics(), run.settings.ranking.task_names)
    versions = {name: run.version(name) for name in JOB.reads if run.find(name) is not None}
    versions |= {kind: found.version for kind in JOB.uses if (found := run.latest(kind)) is not None}
    known = {} if before is None else numbers_of(before, run.lake.ledger, JOB.name)
    reasons = reasons_to_hold_back(run.headline, known, run.settings.gate, unknown=run.unknown)
    if before is not None and before.versions == versions:
        night, reasons = before, []
        run.outputs["published"] = str(run.lake.warehouse.version("published"))
    else:
        verdict = f"{HELD_BACK}: {'; '.join(reasons)}" if reasons else PASSED
        night = Night(run.run_id, None if reasons else datetime.now(UTC), versions, verdict)
        run.lake.assert_held()
        run.outputs["published"] = str(nights.record(night))
    if night.is_held_back:
        log.warning("publish_views: the night is %s", night.verdict)
    else:
        with run.step("show the night to readers"):
            show(run.lake, night)
    run.measure(JUDGED, float(night.is_held_back))


JOB = Job(
    name="publish_views",
    steps=steps,
    sections=("gate",),
    reads=(
        "interactions", "items", "rejected_rows", "item_pairs", "pair_verdicts", "item_questions", "item_anchors",
        "item_embeddings", "semantic_ids", "sid_changes", "ranker_examples", "predictions", "retrieved_items",
        "recommendations",
    ),
    uses=(
        "two_tower", "aligned_model", "encoder", "codebook", "search_index", "item_tokens", "ranker", "retriever",
        "retrieval",
    ),
    writes=("published",),
    consults=("runs", "metrics"),
)  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(main(JOB))
