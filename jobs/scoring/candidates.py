"""Scores candidates with the ranker, on the executors; what only depends on the user is computed once."""

from __future__ import annotations

import json
import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.events import shape_events
from jobs.examples.popularity import with_popularity_before
from jobs.examples.requests import with_events
from jobs.examples.search_index import ITEM_ROWS
from jobs.training.rankers import AGAIN, trained_with
from lake.artifacts import Artifact
from lake.run import Run
from models.ranker.baseline import RANKER
from models.ranker.examples.search_index import ARRAYS
from models.ranker.examples.targets import ExampleParameters
from schemas.errors import UserError
from schemas.features import COUNTED
from schemas.tables import INTERACTIONS
from udfs.score_candidates import score_candidates


def index_of(run: Run, ranker: Artifact) -> Artifact:
    """The search index that a ranker was trained with, if candidates can be scored by it.

    Raises:
        UserError: the index does not exist any more, an earlier qarm made it, or the settings have other tasks.
    """
    index = trained_with(ranker, run.artifact)
    needed = {ITEM_ROWS, *(f"{name}.npy" for name in ARRAYS)}
    if missing := sorted(needed - set(index.files)):
        raise UserError(f"{index.version} was made by an earlier qarm, without {missing[0]}; {AGAIN}")
    ranking = run.settings.ranking
    tasks = json.loads((run.lake.artifacts.fetch(ranker) / f"{RANKER}.json").read_text(encoding="utf-8"))["tasks"]
    if tasks != ranking.task_names or index.card["ranking"] != ranking.model_dump():
        raise UserError(f"ranking: the ranker was trained with other tasks or actions; {AGAIN}")
    return index


def scored(
    run: Run, known: DataFrame, items: DataFrame, positives: DataFrame, *, made: tuple[Artifact, Artifact]
) -> DataFrame:
    """The scores of all candidates, made on the executors.

    Args:
        run: the run.
        known: user_id, item_id, as_of, item_row and codes of the candidates; persisted.
        items: item_id, item_row and codes of the search index.
        positives: positive events of the log.
        made: the rankers, and the search index that they were trained with.

    Returns:
        user_id, item_id, as_of, and one score per task.
    """
    settings = run.settings.score
    parameters = ExampleParameters(**made[1].card["examples"], negatives=0, attribution_gap=0)
    count = known.count()
    rows = count + run.read(INTERACTIONS.name).count()  # of a whole Delta table, its log tells it
    counted = with_popularity_before(known.withColumnRenamed("as_of", "event_time"), positives, items, rows=rows)
    candidates = counted.select("user_id", "item_id", "item_row", F.unix_micros("event_time").alias("time"), *COUNTED)
    events = shape_events(positives, items, run.settings.ranking)
    rankers_at, index_at = (run.lake.artifacts.ship(artifact) for artifact in made)
    score = score_candidates(rankers_at, RANKER, index_at, parameters)
    scores = [f"score_{task} FLOAT" for task in run.settings.ranking.task_names]
    tasks = max(
        math.ceil(count / settings.candidates_per_task), 2 * run.spark.sparkContext.defaultParallelism
    )  # fmt: skip
    return (
        with_events(candidates, events, settings.max_user_candidates)
        .repartition(tasks, "user_id", "part")
        .sortWithinPartitions("user_id", "part", "time", "item_row", "labels")
        .mapInArrow(score, ", ".join(["user_id STRING", "item_id STRING", "as_of TIMESTAMP", *scores]))
    )
