"""The models' scores of the valid and test examples; those that the same weights gave before are not made again."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.artifacts import Artifact
from lake.history import rows_changed
from lake.run import Run
from lake.staleness import last_alike, unless_told
from models.ranker.baseline import RANKER
from models.ranker.baselines import COLUMNS
from schemas.errors import QarmError
from schemas.tables import predictions
from udfs.scoring import score


def score_columns(models: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Names of the columns of scores, ``<model>_<task>``."""
    return [f"{model}_{task}" for model in models for task in tasks]


def with_scores(run: Run, examples: DataFrame, rankers: Artifact) -> DataFrame:
    """The examples' ids, labels and scores.

    Executor memory: the rankers and one batch of examples. Only examples without a standing score are read with all of
    their columns.

    Args:
        run: the run.
        examples: valid and test examples, with ``split``.
        rankers: the models that score.

    Returns:
        example_id, user_id, item_id, split, labels, event_time, history_length, the columns that a baseline takes as
        its score, and ``<model>_<task>``.
    """
    tasks, models = run.settings.ranking.task_names, rankers.card["models"]
    read_as_scores = {baseline.column for baseline in COLUMNS.values()} & {*examples.columns}
    of_slices = {"event_time", "history_length"}
    kept = ["example_id", "user_id", "item_id", "split", *(f"label_{task}" for task in tasks)]
    kept += sorted(read_as_scores | of_slices)
    types = [f"{name} {examples.schema[name].dataType.simpleString()}" for name in kept]
    scores = score_columns(models, tasks)
    schema = ", ".join([*types, *(f"{name} FLOAT" for name in scores)])
    run.spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", run.settings.ranker.batch_size * 4)
    make = score(run.lake.artifacts.ship(rankers), models, kept)
    standing = standing_scores(run, rankers)
    if standing is None:
        return examples.mapInArrow(make, schema)
    known = standing.select("example_id", *(score_of(model, task) for model in models for task in tasks))
    # Ids alone are shuffled. They are counted first, so that Spark knows how few they are and joins by a broadcast.
    ids = examples.select("example_id", "days_from").join(known, "example_id", "left_anti").persist()
    by_block = {row[0]: row[1] for row in ids.groupBy("days_from").count().collect()}
    run.measure("evaluate.new_examples", sum(by_block.values()))
    new = examples.where(F.col("days_from").isin([*by_block])).join(ids.select("example_id"), "example_id", "left_semi")
    return new.mapInArrow(make, schema).unionByName(examples.select(kept).join(known, "example_id", "inner"))


def score_of(model: str, task: str) -> Column:
    """A model's score in a row of ``predictions``, named as in :func:`score_columns`."""
    kept = F.col(f"score_{task}") if model == RANKER else F.col("baseline_scores")[f"{model}_{task}"]
    return kept.alias(f"{model}_{task}")


def standing_scores(run: Run, rankers: Artifact) -> DataFrame | None:
    """The predictions of the night before, if tonight's weights are the same; else None, and the log says why."""
    return unless_told(_standing_scores(run, rankers), "evaluate: scores all examples")


def _standing_scores(run: Run, rankers: Artifact) -> DataFrame | str:
    last = last_alike(run)
    if isinstance(last, str):
        return last
    try:
        before = run.lake.artifacts.get("ranker", last.input_versions["ranker"])
    except QarmError:
        return "the rankers of the last night are gone"
    weights = rankers.card.get("trained_in")
    if weights is None or before.card.get("trained_in") != weights:
        return "the rankers were trained"
    contract = predictions(run.settings.ranking.task_names)
    written = last.output_versions[contract.name]
    predicted = run.find_with_columns(contract)
    if predicted is None or rows_changed(run.lake.warehouse, contract.name, int(written)):
        return "table predictions is gone or was changed"
    return predicted


def as_predictions(scored: DataFrame, models: Sequence[str], tasks: Sequence[str]) -> DataFrame:
    """Scored examples as rows of ``predictions``."""
    others = score_columns([model for model in models if model != RANKER], tasks)
    entries = [part for name in others for part in (F.lit(name), F.col(name))]
    return scored.withColumnsRenamed({f"{RANKER}_{task}": f"score_{task}" for task in tasks}).withColumn(
        "baseline_scores", F.create_map(*entries).cast("map<string, float>")
    )
