"""Reads an interaction log and an item table into Delta; rejected rows are kept with the reason."""

from __future__ import annotations

import sys
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.intake import interactions as of_log
from jobs.intake import items as of_items
from jobs.intake.consumed import consumed, new_items, record_files
from jobs.intake.inputs import read_inputs, shape_inputs
from jobs.intake.interactions import fold_duplicates
from jobs.intake.items import fold_items
from jobs.intake.malformed import malformed_rows
from jobs.intake.matching import UNKNOWN, ids_with_points, matched
from jobs.intake.measures import Counts, measure_interactions, measure_rows
from jobs.intake.options import INPUT_OPTIONS
from jobs.intake.summary import intake_text, unread_columns
from lake.command import main
from lake.declaration import Job
from lake.inputs.complaints import MALFORMED_ROW
from lake.inputs.reading import Input
from lake.run import Run
from schemas.errors import UserError
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, ITEMS, REJECTED_ROWS


def rejected(rows: DataFrame, given: Input, counts: Counts, *, source: str, run_id: str) -> DataFrame:
    """Rows with a reason for rejection, as rows of ``rejected_rows``; malformed ones with their place.

    Args:
        rows: rows of an input with ``complaint`` and ``row``.
        given: the input, in which malformed rows are looked up.
        counts: rows by reason.
        source: interactions or items.
        run_id: id of the run.
    """
    named = {"source": F.lit(source), "run_id": F.lit(run_id)}
    found = rows.where(F.col("complaint").isNotNull() & (F.col("complaint") != MALFORMED_ROW))
    found = found.select(F.col("complaint").alias("reason"), "row")
    if MALFORMED_ROW in counts:
        placed = reduce(DataFrame.unionByName, (malformed_rows(part) for part in given.parts if part.may_be_malformed))
        found = found.unionByName(placed.select(F.lit(MALFORMED_ROW).alias("reason"), "row"))
    return found.withColumns(named).select(*REJECTED_ROWS.names)


def steps(run: Run) -> None:
    """Reads and checks both inputs completely before the first table is written.

    Executor memory: that of Spark's aggregations. Driver memory: one row per reason for rejection and per action.
    """
    settings = run.settings.ingest
    before = consumed(run)
    log, catalogue = read_inputs(
        run.spark, settings, lambda files, read: before.new(files, lambda: new_items(run, read()))
    )
    events, items = (rows.persist() for rows in shape_inputs(log, catalogue, run.settings, run.started_at))
    with run.step("read items"), catalogue.reading():
        item_counts = _refuse_unusable_items(catalogue, items, settings.items)
    with run.step("read interactions"), log.reading():
        points = ids_with_points(events, items)
        interactions, titled = matched(events, items, run.find(ITEMS.name), points)
        counts = _refuse_unusable_log(run, log, interactions, titled, goes_on=bool(before.files))
    accepted_items = fold_items(titled.where("complaint IS NULL")).persist()
    folded = fold_duplicates(interactions.where("complaint IS NULL")).select(*INTERACTIONS.names).persist()

    with run.step("count"):
        measure_rows(run.measure, counts, item_counts)
        measure_interactions(run.measure, interactions, folded, counts)
        run.measure("ingest.items_folded", item_counts[None] - accepted_items.count())
    with run.step("write interactions"):
        run.merge(INTERACTIONS, folded, compare=["weight"], within="event_date")
    with run.step("write items"):  # after the events: killed between, the next start still finds the items new
        run.merge(ITEMS, accepted_items, compare=["content_hash"], keep=["first_seen"])
    with run.step("write rejected rows"):
        refused = rejected(titled, catalogue, item_counts, source="items", run_id=run.run_id).unionByName(
            rejected(interactions, log, counts, source="interactions", run_id=run.run_id)
        )
        run.append(REJECTED_ROWS, refused.coalesce(1))
    record_files(run, log.files.files)
    for source, given, module in (("interactions", log, of_log), ("items", catalogue, of_items)):
        for column in unread_columns(given.parts, module.READ, are_attributes=source == "items"):
            run.measure("ingest.unread_column", 1, f"{source}/{column}")
    print(intake_text(run.headline), file=sys.stderr)
    for frame in (items, events, accepted_items, folded):
        frame.unpersist()


def _refuse_unusable_items(catalogue: Input, items: DataFrame, path: str) -> Counts:
    by_reason = items.groupBy("complaint").agg(F.count("*"), F.count("title")).collect()
    counts: Counts = {row[0]: row[1] for row in by_reason}
    if MALFORMED_ROW in counts:
        catalogue.refuse_undecodable()
    if not counts:
        raise UserError(f"--items {path}: the input has no rows")
    if not any(row[2] for row in by_reason):
        raise UserError(
            f"--items {path}: column title is empty in all {sum(counts.values())} rows; map another column with"
            " --rename theirs=title"
        )
    if None not in counts:
        raise UserError(
            f"--items {path}: {_all_rejected(counts)}; is item_id the right column? --rename theirs=item_id"
        )
    return counts


def _all_rejected(counts: Counts) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=str))
    return f"all {sum(counts.values())} rows are rejected: {reasons}"


def _refuse_unusable_log(run: Run, log: Input, interactions: DataFrame, items: DataFrame, *, goes_on: bool) -> Counts:
    """Refuses a log without a row to take; that of a later night may bring none, as earlier files brought some."""
    path = run.settings.ingest.interactions
    by_reason = interactions.groupBy("complaint").agg(
        F.count("*"), F.min("user_id"), F.max("user_id"), F.count_if("without_action")
    )
    rows = {row[0]: row[1:] for row in by_reason.collect()}
    counts = {reason: row[0] for reason, row in rows.items()}
    if MALFORMED_ROW in counts:
        log.refuse_undecodable()
    if goes_on and None not in counts:
        run.measure("ingest.without_action", 0)
        return {None: 0, **counts}
    if not counts:
        raise UserError(f"--interactions {path}: the input has no rows")
    if None not in counts:
        message = f"--interactions {path}: {_all_rejected(counts)}"
        if UNKNOWN in counts:
            theirs = interactions.where(F.col("complaint") == UNKNOWN).agg(F.min("item_id")).collect()[0][0]
            ours = items.agg(F.min("item_id")).collect()[0][0]
            message += f"; an item_id of the log is {theirs!r}, one of the catalogue {ours!r}"
        raise UserError(message)
    _, first, last, without_action = rows[None]
    before = run.find(INTERACTIONS.name)
    if not goes_on and first == last and (before is None or before.where(F.col("user_id") != first).isEmpty()):
        raise UserError(
            f"--interactions {path}: all events are of user {first}; pairs and rankings need at least two users"
        )
    run.measure("ingest.without_action", without_action)
    return counts


def source_files(settings: Settings) -> list[str]:
    """Paths of both inputs, without those that are not set."""
    return [path for path in (settings.ingest.interactions, settings.ingest.items) if path]


JOB = Job(
    name="ingest",
    steps=steps,
    sections=("ingest", "ranking"),
    writes=("interactions", "items", "rejected_rows", "ingested_files"),
    consults=("runs",),
    source_files=source_files,
    examples=(
        "--interactions clicks.csv --items products.csv --rename shopper=user_id,sku=item_id",
        "--interactions s3a://raw/clicks --items s3a://raw/products --warehouse s3a://lake/qarm",
    ),
    options=INPUT_OPTIONS,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
