"""Reads an interaction log and an item table into Delta; rejected rows are kept with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from lake.command import main
from lake.declaration import Job, Option
from lake.inputs import as_id, as_time, input_options, read_input, rename_columns, require_columns
from lake.run import Run
from schemas.errors import UserError
from schemas.ranking_sections import RankingSettings
from schemas.sections import IngestSettings
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, ITEMS, REJECTED_ROWS

ITEM_COLUMNS = ("title", "category", "description", "image", "attributes")


def shape_interactions(rows: DataFrame, ingest: IngestSettings, ranking: RankingSettings) -> DataFrame:
    """Gives the log the columns of ``interactions``; invalid values become null. ``row`` holds the input row as JSON.

    A column ``label`` is turned into ``action``: 1 into the first positive action of the first task, 0 into an
    impression.
    """
    types = {field.name: field.dataType for field in rows.schema.fields}
    if "action" in types:
        action = F.coalesce(F.col("action").cast("string"), F.lit(ingest.default_action))
    elif "label" in types:
        positive = next(iter(ranking.tasks.values()))[0]
        label = F.col("label").try_cast("double")
        action = F.when(label > 0, F.lit(positive)).when(label <= 0, F.lit(ranking.impression))
    else:
        action = F.lit(ingest.default_action)
    weight = F.col("weight").try_cast("double") if "weight" in types else F.lit(None).cast("double")
    time = as_time(F.col("event_time"), types["event_time"])
    return rows.select(
        as_id(F.col("user_id"), types["user_id"]).alias("user_id"),
        as_id(F.col("item_id"), types["item_id"]).alias("item_id"),
        time.alias("event_time"),
        action.alias("action"),
        F.when((weight >= 0) & ~F.isnan(weight), weight).otherwise(F.lit(1.0)).alias("weight"),
        F.to_date(time).alias("event_date"),
        F.to_json(F.struct(*(F.col(f"`{name}`") for name in rows.columns))).alias("row"),
    )


def interaction_complaint(earliest: datetime, latest: datetime) -> Column:
    """Why an interaction is rejected, or null.

    Args:
        earliest: earliest time that is accepted.
        latest: latest time that is accepted.
    """
    return (
        F.when(F.col("user_id").isNull(), "null_user_id")
        .when(F.col("item_id").isNull(), "null_item_id")
        .when(F.col("event_time").isNull(), "unreadable_time")
        .when(F.col("action").isNull(), "unreadable_label")
        .when(~F.col("event_time").between(F.lit(earliest), F.lit(latest)), "impossible_time")
    )


def fold_duplicates(interactions: DataFrame) -> DataFrame:
    """One row per key, with the largest weight, so that a log that is delivered twice counts once."""
    return interactions.groupBy(*INTERACTIONS.key).agg(
        F.max("weight").alias("weight"), F.first("event_date").alias("event_date")
    )


def shape_items(rows: DataFrame, now: datetime) -> DataFrame:
    """Gives the item input the columns of ``items``; other columns go into ``attributes``. Adds the input ``row``."""
    types = {field.name: field.dataType for field in rows.schema.fields}
    extra = [name for name in rows.columns if name not in {"item_id", *ITEM_COLUMNS}]
    if isinstance(types.get("attributes"), MapType):
        given = F.coalesce(F.col("attributes").cast("map<string,string>"), F.create_map().cast("map<string,string>"))
        given = F.map_filter(given, lambda key, _: ~key.isin(extra))
    else:
        extra = [name for name in rows.columns if name not in {"item_id", *ITEM_COLUMNS[:-1]}]
        given = F.create_map().cast("map<string,string>")
    pairs = [x for name in extra for x in (F.lit(name), _text(F.col(f"`{name}`")))]
    named = F.create_map(*pairs).cast("map<string,string>") if pairs else F.create_map().cast("map<string,string>")
    attributes = F.map_filter(F.map_concat(given, named), lambda _, value: value.isNotNull())
    image = F.col("image").cast("binary") if "image" in types else F.lit(None).cast("binary")
    shaped = rows.select(
        as_id(F.col("item_id"), types["item_id"]).alias("item_id"),
        *(
            (_text(F.col(name)) if name in types else F.lit(None).cast("string")).alias(name)
            for name in ("title", "category", "description")
        ),
        attributes.alias("attributes"),
        image.alias("image"),
        F.to_json(F.struct(*(F.col(f"`{name}`") for name in rows.columns if name != "image"))).alias("row"),
    )
    entries = F.to_json(F.array_sort(F.map_entries("attributes")))
    content = F.to_json(F.struct("title", "category", "description", entries, F.sha2("image", 256)))
    return shaped.withColumns(
        {
            "content_hash": F.sha2(content, 256),
            "first_seen": F.lit(now),
            "updated_at": F.lit(now),
        }
    )


def fold_items(items: DataFrame) -> DataFrame:
    """One row per item; of several contents, that with the largest hash, so that every run chooses the same."""
    whole = F.max_by(F.struct(*ITEMS.names), "content_hash")
    return items.groupBy("item_id").agg(whole.alias("item")).select("item.*")


def _text(column: Column) -> Column:
    text = F.trim(column.cast("string"))
    return F.when(text != "", text)


def item_complaint() -> Column:
    """Why an item is rejected, or null."""
    no_text = F.coalesce(F.col("title"), F.col("category"), F.col("description")).isNull() & (F.size("attributes") == 0)
    return F.when(F.col("item_id").isNull(), "null_item_id").when(no_text, "no_text")


def rejected(rows: DataFrame, source: str, run_id: str) -> DataFrame:
    """Rows with a reason for rejection, as rows of ``rejected_rows``."""
    return rows.where("complaint IS NOT NULL").select(
        F.lit(source).alias("source"), F.col("complaint").alias("reason"), "row", F.lit(run_id).alias("run_id")
    )


def steps(run: Run) -> None:
    """Reads and checks both inputs completely before the first table is written.

    Executor memory: that of Spark's aggregations. Driver memory: one row per reason for rejection.
    """
    settings = run.settings.ingest
    for option, path in (("--interactions", settings.interactions), ("--items", settings.items)):
        if not path:
            raise UserError(f"{option} PATH is missing; give it, or set ingest.{option[2:]}")
    log = read_input(run.spark, settings.interactions, "--interactions", settings.format)
    catalogue = read_input(run.spark, settings.items, "--items", settings.format)
    unused = [f"{a}={b}" for a, b in settings.rename.items() if a not in {*log.columns, *catalogue.columns}]
    if unused:
        raise UserError(f"--rename {unused[0]}: no input has a column {unused[0].partition('=')[0]}")
    log, catalogue = rename_columns(log, settings.rename), rename_columns(catalogue, settings.rename)
    require_columns(log, ["user_id", "item_id", "event_time"], "--interactions", settings.interactions)
    require_columns(catalogue, ["item_id", "title"], "--items", settings.items)

    items = shape_items(catalogue, run.started_at).withColumn("complaint", item_complaint()).persist()
    with run.step("read items"):
        _refuse_unusable_items(items, settings.items)
    accepted_items = fold_items(items.where("complaint IS NULL"))

    latest = run.started_at + timedelta(days=settings.max_future_days)
    shaped = shape_interactions(log, settings, run.settings.ranking)
    judged = shaped.withColumn("complaint", interaction_complaint(settings.earliest, latest))
    known = _known_item_ids(run, accepted_items).withColumn("known", F.lit(True))
    unknown = F.when(F.col("complaint").isNull() & F.col("known").isNull(), F.lit("unknown_item"))
    interactions = (
        judged.join(known, "item_id", "left").withColumn("complaint", F.coalesce("complaint", unknown)).persist()
    )
    with run.step("read interactions"):
        counts = _refuse_unusable_log(run, interactions, settings.interactions)
    folded = fold_duplicates(interactions.where("complaint IS NULL")).select(*INTERACTIONS.names).persist()

    with run.step("write items"):
        run.merge(ITEMS, accepted_items, compare=["content_hash"], keep=["first_seen"])
    with run.step("write interactions"):
        run.merge(INTERACTIONS, folded.repartition("event_date"), compare=["weight"])
    refused = rejected(items, "items", run.run_id).unionByName(rejected(interactions, "interactions", run.run_id))
    with run.step("write rejected rows"):
        run.append(REJECTED_ROWS, refused.coalesce(1))
    _measure(run, items, counts, folded.count())
    for frame in (items, interactions, folded):
        frame.unpersist()


def _refuse_unusable_items(items: DataFrame, path: str) -> None:
    total, titled, taken = items.agg(
        F.count("*"), F.count("title"), F.count(F.when(F.col("complaint").isNull(), 1))
    ).collect()[0]
    if total == 0:
        raise UserError(f"--items {path}: the input has no rows")
    if titled == 0:
        raise UserError(
            f"--items {path}: column title is empty in all {total} rows; map another column with --rename theirs=title"
        )
    if taken == 0:
        raise UserError(
            f"--items {path}: all {total} rows lack an item_id; map another column with --rename theirs=item_id"
        )


def _known_item_ids(run: Run, new: DataFrame) -> DataFrame:
    ids, before = new.select("item_id"), run.find(ITEMS.name)
    return ids if before is None else ids.union(before.select("item_id")).distinct()


def _refuse_unusable_log(run: Run, interactions: DataFrame, path: str) -> Mapping[str | None, int]:
    counts: dict[str | None, int] = dict(interactions.groupBy("complaint").count().collect())
    if not counts:
        raise UserError(f"--interactions {path}: the input has no rows")
    if None not in counts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=str))
        raise UserError(f"--interactions {path}: all {sum(counts.values())} rows are rejected: {reasons}")
    users = interactions.where("complaint IS NULL").select("user_id")
    if (before := run.find(INTERACTIONS.name)) is not None:
        users = users.union(before.select("user_id"))
    first, last = users.agg(F.min("user_id"), F.max("user_id")).collect()[0]
    if first == last:
        raise UserError(
            f"--interactions {path}: all events are of user {first}; pairs and rankings need at least two users"
        )
    return counts


def _measure(run: Run, items: DataFrame, counts: Mapping[str | None, int], folded: int) -> None:
    refused_items: dict[str | None, int] = dict(
        items.where("complaint IS NOT NULL").groupBy("complaint").count().collect()
    )
    run.measure("ingest.interactions", folded)
    run.measure("ingest.items", items.where("complaint IS NULL").count())
    run.measure("ingest.duplicates_folded", (counts.get(None) or 0) - folded)
    taken = items.where("complaint IS NULL")
    run.measure("ingest.items_folded", taken.count() - taken.select("item_id").distinct().count())
    for source, rejections in (("interactions", counts), ("items", refused_items)):
        for reason, count in rejections.items():
            if reason is not None:
                run.measure(f"ingest.rejected.{reason}", count, source)


def source_files(settings: Settings) -> list[str]:
    """Paths of both inputs, without those that are not set."""
    return [path for path in (settings.ingest.interactions, settings.ingest.items) if path]


JOB = Job(
    name="ingest",
    steps=steps,
    sections=("ingest", "ranking"),
    writes=("interactions", "items", "rejected_rows"),
    source_files=source_files,
    options=(
        Option(
            flags=("--interactions",), help="path of the interaction log", metavar="PATH", setting="ingest.interactions"
        ),
        Option(flags=("--items",), help="path of the item table", metavar="PATH", setting="ingest.items"),
        *input_options("ingest"),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
