"""Makes the list of each user: the fused candidates, scored by the ranker too, filtered, with the reason of each."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.search_index import ITEM_ROWS
from jobs.lists.filters import without_filtered
from jobs.lists.ranking import best_of_users, combined
from jobs.lists.reasons import best_sources, own_takings, reason, triggers_of
from jobs.scoring.candidates import index_of, scored
from jobs.training.rankers import use_rankers
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from models.retriever.sources import SOURCES
from schemas.names import SID_COLUMNS
from schemas.tables import INTERACTIONS, ITEM_PAIRS, ITEMS, RETRIEVED_ITEMS, recommendations
from schemas.tables.lists import FUSED


def with_ranker_scores(run: Run, candidates: DataFrame, positives: DataFrame) -> DataFrame:
    """Adds the ranker's probabilities, null for items that are not in the search index that it was trained with.

    Args:
        run: the run.
        candidates: user_id, item_id, as_of and further columns; persisted.
        positives: positive events of the log.
    """
    tasks = run.settings.ranking.task_names
    if not run.settings.recommend.ranker_weight:
        return candidates.withColumns({f"score_{task}": F.lit(None).cast("float") for task in tasks})
    rankers = use_rankers(run)
    index = index_of(run, rankers)
    items = run.spark.read.parquet(f"{index.url}/{ITEM_ROWS}")
    codes = {code: F.coalesce(code, F.lit(-1)) + 1 for code in SID_COLUMNS}  # 0 = none, as in the examples
    known = (
        candidates.select("user_id", "item_id", "as_of").join(items, "item_id", "inner").withColumns(codes).persist()
    )
    scores = scored(run, known, items, positives, made=(rankers, index)).drop("as_of")
    return candidates.join(scores, ["user_id", "item_id"], "left")


def steps(run: Run) -> None:
    """Filters the fused candidates, scores and ranks them, finds reasons, and writes the table.

    Executor memory: as the job ``score``. Driver memory: independent of the number of rows.
    """
    settings, tasks = run.settings.recommend, run.settings.ranking.task_names
    retrieved, items = run.read(RETRIEVED_ITEMS.name), run.read(ITEMS.name)
    interactions = run.read(INTERACTIONS.name)
    positives = interactions.where(F.col("action").isin(run.settings.ranking.positive_actions))
    fused = retrieved.where(F.col("source") == FUSED).select("user_id", "item_id", "as_of", "score")
    shown = without_filtered(fused, positives, items, settings).persist()
    run.measure("recommend.candidates", shown.count())
    with run.step("score"):
        ranked = combined(with_ranker_scores(run, shown, positives), f"score_{tasks[0]}", settings.ranker_weight)
        listed = best_of_users(ranked, settings.top).persist()
        run.measure("recommend.users", listed.select("user_id").distinct().count())
    with run.step("write recommendations"):
        key = ["user_id", "item_id"]
        found = listed.join(own_takings(positives, listed.select(*key, "as_of")), key, "left").join(
            best_sources(retrieved, listed), key, "left"
        )
        pairs = run.find(ITEM_PAIRS.name)
        if pairs is not None:
            found = found.join(triggers_of(positives, pairs, items, listed.select(*key, "as_of")), key, "left")
        said = {"reason": reason(SOURCES, with_triggers=pairs is not None), "run_id": F.lit(run.run_id)}
        run.overwrite(recommendations(tasks), found.withColumns(said).select(recommendations(tasks).names))
    rows = run.read_back("recommendations")
    run.measure("recommend.items", rows.select("item_id").distinct().count())
    for frame in (shown, listed):
        frame.unpersist()


JOB = Job(
    name="recommend",
    steps=steps,
    sections=("recommend", "ranking"),
    reads=("interactions", "items", "retrieved_items", "item_pairs"),
    writes=("recommendations",),
    uses=("ranker", "search_index"),
    wanted=lambda settings: settings.recommend.on,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
