"""Retrieves candidates for every user from several sources side by side, and fuses them into one list."""

from __future__ import annotations

import math

from pyspark.sql import functions as F

from jobs.retrieval.events import numbered_events, numbered_items
from jobs.retrieval.making import make_retrieval, unknown_sources
from jobs.scoring.moment import moment_of
from lake.command import main
from lake.declaration import Job, Option
from lake.run import Run
from lake.scratch import scratch_folder
from models.retriever.sources import SOURCES
from schemas.errors import UserError
from schemas.settings import Settings
from schemas.tables import INTERACTIONS, ITEMS, RETRIEVED_ITEMS
from schemas.tables.lists import FUSED
from udfs.retrieve import SCHEMA, retrieve

KEPT = 2
"""Versions of the artifact that are kept."""


def steps(run: Run) -> None:
    """Numbers items and events, fits the fusion, retrieves on the executors, and writes the table.

    Driver memory: the reference users' latest events, the mined pairs, and what fusion learns from, see
    :mod:`jobs.retrieval.making`; it does not grow with the number of users. Executor memory: the same histories and a
    batch of users, see :func:`udfs.retrieve.retrieve`.
    """
    settings = run.settings.retrieve
    interactions = run.read(INTERACTIONS.name)
    moment = moment_of(settings.as_of, interactions)
    items = numbered_items(run.read(ITEMS.name))
    # Events have whole seconds here: none of the second of as_of counts, and all of the second of the last event.
    whole = F.floor if settings.as_of else F.ceil
    before = run.spark.range(1).select(whole(F.unix_micros(moment) / 1_000_000)).collect()[0][0]
    events = numbered_events(
        interactions, items, run.settings.ranking, before=before, most=settings.max_user_events
    ).persist()
    users = events.select("user_id").distinct().count()
    if not users:
        raise UserError("ranking.tasks: no user has a positive event before as_of; check ranking.tasks")
    with scratch_folder() as folder:
        artifact = make_retrieval(run, items, events, users=users, moment=before, folder=folder)
    run.prune("retrieval", KEPT)
    with run.step("retrieve"):
        tasks = max(math.ceil(users / settings.users_per_task), run.spark.sparkContext.defaultParallelism)
        function = retrieve(
            run.lake.artifacts.ship(artifact), before, fused_name=FUSED, written=settings.written, fused=settings.fused
        )
        found = (
            events.repartition(tasks, "user_id")
            .sortWithinPartitions("user_id", "time", "item", "action")
            .mapInArrow(function, SCHEMA)
            .join(items.select("item", "item_id"), "item", "inner")
            .withColumns({"as_of": moment, "run_id": F.lit(run.run_id)})
        )
        run.overwrite(RETRIEVED_ITEMS, found.select(RETRIEVED_ITEMS.names))
    run.measure("retrieve.users", users)
    for row in run.read_back(RETRIEVED_ITEMS.name).groupBy("source").count().collect():
        run.measure("retrieve.candidates", row["count"], row["source"])
    for frame in (items, events):
        frame.unpersist()


def check(settings: Settings) -> None:
    """Checks the names of the sources.

    Raises:
        UserError: a source does not exist.
    """
    if unknown := unknown_sources(settings.retrieve.candidates):
        raise UserError(f"retrieve.candidates.{unknown[0]} is not a source; the sources are {', '.join(SOURCES)}")


JOB = Job(
    name="retrieve",
    steps=steps,
    sections=("retrieve", "ranking", "split", "mine", "retriever"),
    reads=("interactions", "items", "item_pairs", "semantic_ids"),
    writes=("retrieved_items",),
    uses=("retriever", "two_tower"),
    makes=("retrieval",),
    check=check,
    wanted=lambda settings: settings.retrieve.on,
    examples=("", "--as-of 2025-03-31T06:00:00Z"),
    options=(
        Option(
            flags=("--as-of",),
            help="time, UTC, for which candidates are sought",
            metavar="TIME",
            setting="retrieve.as_of",
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
