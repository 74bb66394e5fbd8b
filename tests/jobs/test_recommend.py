from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs import ingest, recommend, retrieve
from jobs.lists.filters import without_filtered
from jobs.lists.ranking import best_of_users, combined
from jobs.nightly import nightly_jobs
from jobs.retrieval.measuring import distinct
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.lake import Lake
from lake.staleness import UP_TO_DATE, state_of
from models.retriever.sources import SOURCES
from schemas.errors import UserError
from schemas.settings import load_settings
from schemas.tables import SEMANTIC_IDS

SMALL = [
    'ranking.tasks={ take = ["take"] }',
    "recommend.ranker_weight=0.0",
    "retrieve.fusion.moments=2",
    "retrieve.fusion.trees=10",
    "retrieve.fusion.min_leaf=5",
    "retrieve.nearest_users=5",
    "retrieve.candidates={ own = 10, tifu_knn = 10, transitions = 5, popular = 5 }",
    "retrieve.fused=15",
    "retrieve.written=6",
    "recommend.top=5",
]


def write_log(folder: Path) -> tuple[str, str]:
    """Twenty users who take some of six items of their own most days; all take the new item 29 on the last day."""
    draw = np.random.default_rng(3)
    rows = []
    for user in range(20):
        for day in range(60):
            if draw.random() < 0.4:
                mine = {int(item) for item in draw.integers(0, 6, 2) + 4 * (user % 5)} | {int(draw.integers(0, 29))}
                when = pd.Timestamp("2025-03-01") + pd.Timedelta(days=day, hours=9)
                rows += [{"user_id": f"u{user}", "item_id": f"i{item}", "event_time": when} for item in mine]
    last = pd.Timestamp("2025-04-29 12:00")
    rows += [{"user_id": f"u{user}", "item_id": "i29", "event_time": last} for user in range(20)]
    folder.mkdir()
    pd.DataFrame(rows).assign(action="take").to_parquet(folder / "log.parquet", coerce_timestamps="us")
    items = [
        {"item_id": f"i{i}", "title": f"thing {i // 2}", "category": f"c{i % 3}", "stock": "no" if i == 4 else "yes"}
        for i in range(32)
    ]
    pd.DataFrame(items).to_csv(folder / "items.csv", index=False)
    return str(folder / "log.parquet"), str(folder / "items.csv")


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """A warehouse with lists: its place, ``retrieved_items`` and ``recommendations``."""
    folder = tmp_path_factory.mktemp("lists")
    log, items = write_log(folder / "input")
    lake = lake_of(spark, str(folder / "warehouse"), f'ingest.interactions="{log}"', f'ingest.items="{items}"')
    for job in (ingest, retrieve, recommend):
        record = run_job(lake, job.JOB, new_run_id())
        assert record.status == "done"
    retrieved, listed = (lake.warehouse.read(name).toPandas() for name in ("retrieved_items", "recommendations"))
    return lake.location, retrieved, listed


def lake_of(spark: SparkSession, location: str, *assignments: str) -> Lake:
    return Lake(spark, load_settings((), [*SMALL, *assignments]), location)


def test_every_user_has_candidates_of_every_source(made: tuple[str, pd.DataFrame, pd.DataFrame]) -> None:
    _, retrieved, _ = made
    per_user = retrieved.groupby(["source", "user_id"])["rank"]
    assert set(retrieved["source"]) == {"own", "tifu_knn", "transitions", "popular", "fused"}
    assert retrieved.groupby("source")["user_id"].nunique().eq(20).all()
    assert (per_user.max() == per_user.size()).all()
    assert per_user.max().drop("fused").max() == 6
    assert per_user.max()["fused"].max() == 15
    in_order = retrieved.sort_values(["source", "user_id", "rank"]).groupby(["source", "user_id"])["score"]
    assert in_order.apply(lambda own: own.is_monotonic_decreasing).all()


def test_lists_are_the_best_of_the_fused_candidates_with_reasons(
    made: tuple[str, pd.DataFrame, pd.DataFrame],
) -> None:
    _, retrieved, listed = made
    fused = retrieved[(retrieved["source"] == "fused") & (retrieved["rank"] <= 5)]
    keys = ["user_id", "rank", "item_id"]
    assert listed[keys].sort_values(keys).to_numpy().tolist() == fused[keys].sort_values(keys).to_numpy().tolist()
    assert listed["score_take"].isna().all()
    own = listed["reason"].str.extract(r"you took it on (\d+) days, the last time (?:today|\d+ days? ago)")[0]
    assert own.notna().mean() > 0.5
    said = {source.reason for source in SOURCES.values()}
    assert listed[own.isna()]["reason"].map(lambda text: text in said or text.startswith("you took it ")).all()


def test_nothing_new_leaves_both_jobs_up_to_date(
    made: tuple[str, pd.DataFrame, pd.DataFrame], spark: SparkSession
) -> None:
    """Also with inputs that these settings leave unread: codes without a retriever, a ranker of no weight."""
    lake = lake_of(spark, made[0])
    for job in (retrieve.JOB, recommend.JOB):
        assert state_of(lake, job, lake.ledger.last_done()[job.name]).why == UP_TO_DATE
    coded = frame_of(spark, [], SEMANTIC_IDS.schema)
    lake.warehouse.overwrite(SEMANTIC_IDS, coded)
    assert state_of(lake, retrieve.JOB, lake.ledger.last_done()["retrieve"]).why == "semantic_ids changed"
    record = run_job(lake, retrieve.JOB, new_run_id())
    assert record.metrics["retrieve.reused_fusion"] == 1, "the fusion stands"
    assert state_of(lake, retrieve.JOB, lake.ledger.last_done()["retrieve"]).why == UP_TO_DATE


def test_the_moment_cuts_histories_off(made: tuple[str, pd.DataFrame, pd.DataFrame], spark: SparkSession) -> None:
    """With as_of before the last day nothing knows of the item that came in it, the fitted fusion neither."""
    location, retrieved, _ = made
    assert "i29" in set(retrieved["item_id"])
    lake = lake_of(spark, location, 'retrieve.as_of="2025-04-29T00:00:00Z"')
    record = run_job(lake, retrieve.JOB, new_run_id())
    assert record.metrics["retrieve.reused_fusion"] == 0
    rows = lake.warehouse.read("retrieved_items").toPandas()
    assert "i29" not in set(rows["item_id"])
    assert rows["as_of"].eq(pd.Timestamp("2025-04-29")).all()


def test_filters_leave_out_what_must_not_be_shown(spark: SparkSession) -> None:
    day = "2025-05-{:02d} 10:00:00".format
    rows = [("u", f"i{n}", "2025-05-20 00:00:00") for n in range(4)]
    candidates = frame_of(spark, rows, "user_id STRING, item_id STRING, as_of STRING").selectExpr(
        "user_id", "item_id", "timestamp(as_of) AS as_of"
    )
    log = [("u", "i0", day(18)), ("u", "i1", day(2)), ("v", "i2", day(19)), ("v", "i3", day(20)), ("v", "i3", day(1))]
    positives = frame_of(spark, log, "user_id STRING, item_id STRING, at STRING").selectExpr(
        "user_id", "item_id", "timestamp(at) AS event_time"
    )
    items = frame_of(
        spark, [("i0", {"stock": "yes"}), ("i1", {}), ("i2", {"stock": "no"}), ("i3", None)],
        "item_id STRING, attributes MAP<STRING, STRING>",
    )  # fmt: skip

    def left(*assignments: str) -> set[str]:
        settings = load_settings((), [f"recommend.{own}" for own in assignments]).recommend
        found = without_filtered(candidates, positives, items, settings)
        return {row["item_id"] for row in found.collect()}

    assert left() == {"i0", "i1", "i2", "i3"}
    assert left('unavailable={ stock = ["no"] }') == {"i0", "i1", "i3"}
    assert left("not_taken_days=7.0") == {"i1", "i2", "i3"}
    assert left("sold_days=7.0") == {"i0", "i2"}  # i3's sale on the 20th comes after the moment


def test_the_ranker_moves_what_it_knows(spark: SparkSession) -> None:
    rows = [("u", "a", 0.0, 0.1), ("u", "b", 0.0, 0.9), ("u", "c", 0.0, None), ("v", "d", 1.0, None)]
    frame = frame_of(spark, rows, "user_id STRING, item_id STRING, score DOUBLE, score_take DOUBLE")
    listed = best_of_users(combined(frame, "score_take", 1.0), 2).orderBy("user_id", "rank").collect()
    assert [(row["user_id"], row["item_id"], row["rank"]) for row in listed] == [
        ("u", "b", 1),
        ("u", "c", 2),
        ("v", "d", 1),
    ]
    plain = best_of_users(combined(frame, "score_take", 0.0), 3).where("user_id = 'u'").orderBy("rank").collect()
    assert [row["item_id"] for row in plain] == ["a", "b", "c"]


def test_the_nightly_runs_them_only_when_switched_on() -> None:
    on = load_settings((), ["retrieve.on=true", "recommend.on=true"])
    names = [job.name for job in nightly_jobs(on)]
    assert set(names) - {job.name for job in nightly_jobs(load_settings())} == {"retrieve", "recommend"}
    assert names.index("retrieve") < names.index("recommend") < names.index("publish_views")
    wrong = load_settings((), ["retrieve.candidates={ telepathy = 3 }"])
    with pytest.raises(UserError, match=r"retrieve\.candidates\.telepathy is not a source; the sources are cosine"):
        retrieve.JOB.check(wrong)


def test_every_source_is_measured_on_what_users_took_next(
    made: tuple[str, pd.DataFrame, pd.DataFrame], spark: SparkSession
) -> None:
    rows = lake_of(spark, made[0]).warehouse.read("metrics").where("name LIKE 'retrieve.%'").toPandas()
    value = rows.drop_duplicates(["name", "slice"]).set_index(["name", "slice"])["value"]
    for source in ("own", "tifu_knn", "transitions", "popular", "fused"):
        recalls = [value[f"retrieve.recall@{k}", source] for k in (10, 50, 100)]
        assert 0 <= recalls[0] <= recalls[1] <= recalls[2] <= 1
        assert {("retrieve.ndcg@10", f"{source}/{part}") for part in ("repeat", "new", "contents")} <= {*value.index}
    assert value["retrieve.recall@10", "fused"] > value["retrieve.recall@10", "popular"]
    assert value["retrieve.measured_users", "all"] > 10


def test_a_list_of_contents_names_each_once() -> None:
    draw = np.random.default_rng(0)
    lists = draw.integers(-1, 6, (50, 9)).astype(np.int32)
    for given, found in zip(lists, distinct(lists), strict=True):
        expected = list(dict.fromkeys(given[given >= 0].tolist()))
        assert found.tolist() == expected + [-1] * (len(given) - len(expected))
