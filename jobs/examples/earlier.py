"""What the night before left to go on from: its search index, its examples, and the events that are new since."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.frame import Frame
from jobs.examples.search_index import ITEM_ROWS
from lake.artifacts import Artifact
from lake.history import MAINTENANCE, has_version, history
from lake.run import Run
from lake.staleness import last_alike, unless_told
from schemas.contract import Contract
from schemas.errors import QarmError
from schemas.examples import ranker_examples
from schemas.tables import INTERACTIONS, ITEM_EMBEDDINGS, SEMANTIC_IDS

log = logging.getLogger("qarm")

BY_RUNS = {"WRITE", "MERGE", "RESTORE"}
"""Operations by which runs of build_examples change the examples."""


@dataclass(frozen=True)
class Earlier:
    """The night before.

    Attributes:
        index: its search index.
        frame: what its examples stand on.
        last_day: last day of that version.
        events: tonight's events of all users with new events, with ``new``.
    """

    index: Artifact
    frame: Frame
    last_day: date
    events: DataFrame


def makers(run: Run) -> dict[str, str]:
    """The codebook and the encoder of the items; examples by others mean something else."""
    asked = {"codebook": (SEMANTIC_IDS.name, "codebook_version"), "encoder": (ITEM_EMBEDDINGS.name, "encoder_version")}
    return {
        what: ",".join(sorted(row[0] for row in run.read(table).select(column).distinct().collect()))
        for what, (table, column) in asked.items()
    }


def earlier(run: Run, made_by: Mapping[str, str]) -> Earlier | None:
    """The night before; None if all examples have to be built, and the log says why.

    Args:
        run: the run.
        made_by: result of :func:`makers`.
    """
    return unless_told(_earlier(run, made_by), "build_examples: builds all examples")


def _earlier(run: Run, made_by: Mapping[str, str]) -> Earlier | str:
    last = last_alike(run)
    if isinstance(last, str):
        return last
    try:
        index = run.artifact("search_index", last.output_versions["search_index"])
    except (QarmError, KeyError):
        return "the search index of the last night is gone"
    if any(index.card.get(what) != name for what, name in made_by.items()):
        return "the codebook or the encoder is another one"
    contract = ranker_examples(run.settings.ranking.task_names)
    if not _as_last_recorded(run, contract, int(last.output_versions[contract.name])):
        return "table ranker_examples is gone or was changed by hand"
    if run.find_with_columns(contract) is None:
        return "table ranker_examples has other columns"
    numbered = run.spark.read.parquet(f"{index.url}/{ITEM_ROWS}").select("item_id")
    embedded = run.read(ITEM_EMBEDDINGS.name).select("item_id")
    if not numbered.join(embedded, "item_id", "left_anti").isEmpty():
        return "items of the last night are gone"
    version, name = int(last.input_versions[INTERACTIONS.name]), INTERACTIONS.name
    if not has_version(run.lake.warehouse, name, version):
        return "the log of the last night is gone"
    old = run.read_earlier(name, version)
    last_day = date.fromisoformat(index.card["last_day"])
    new = _new_events(run, version)
    if new is None:
        return "events of the log were deleted or moved"
    users = new.select("user_id").distinct()
    of_users = old.join(users, "user_id", "left_semi").withColumn("new", F.lit(False))
    events = of_users.unionByName(new.withColumn("new", F.lit(True)))
    return Earlier(index, Frame.from_card(index.card["frame"]), last_day, events)


def _as_last_recorded(run: Run, contract: Contract, version: int) -> bool:
    """Undoes what runs wrote to the examples that were cut off before they were recorded; False if it cannot.

    The search index of such a run is not the one to go on from, so its numbers of items mean nothing, and its ids of
    examples, which follow from them, would let a start with other inputs add examples twice.
    """
    tables = run.lake.warehouse
    newest = tables.version(contract.name)
    if newest is None or newest < version:  # gone, or made anew
        return False
    done = {commit.operation for commit in history(tables, contract.name, version + 1)} - {*MAINTENANCE}
    if not done:
        return True
    # Rows that were deleted by hand, for one, must not come back.
    if not done <= BY_RUNS or not has_version(tables, contract.name, version):
        return False
    log.info("build_examples: what an interrupted run added to %s is undone", contract.name)
    tables.restore(contract, version)
    return True


def _new_events(run: Run, since: int) -> DataFrame | None:
    """The events that came after a version of the log; None if the log did not only grow."""
    now, name = int(run.version(INTERACTIONS.name)), INTERACTIONS.name
    if now == since:
        return run.read(name).limit(0)
    try:
        changes = run.changes(name, since + 1, now)
        kinds = {row[0] for row in changes.select("_change_type").distinct().collect()}
    except PySparkException:  # versions before the table told its changes
        return None
    if "delete" in kinds:
        return None
    return changes.where("_change_type = 'insert'").select(*INTERACTIONS.names)
