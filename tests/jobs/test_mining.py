from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.generate_log import LogShape, cluster_of, generate_items, generate_log
from jobs import mine_pairs
from jobs.mine_pairs import pair_counts
from jobs.pairs.histories import capped_histories, item_codes, item_keys, positives_of
from jobs.pairs.item2item import bucket_count, by_bucket, swing_pairs, user_rows
from jobs.pairs.user2item import item_features, user2item_pairs
from lake.frames import frame_of
from lake.lake import Lake
from lake.periods import Periods, split_periods
from lake.run import Run
from schemas.errors import UserError
from schemas.sections import MineSettings
from schemas.settings import load_settings
from schemas.tables import INTERACTIONS, ITEMS
from tests.models.pairs.test_swing import brute_force, swing_parameters

UNTIL = date(1970, 3, 1)
PLAIN = {"min_user_items": 2, "significance": 0, "exclude_same_content": "false"}


@contextmanager
def shuffle_partitions(spark: SparkSession, count: int) -> Iterator[None]:
    name = "spark.sql.shuffle.partitions"
    before = spark.conf.get(name)
    spark.conf.set(name, count)
    try:
        yield
    finally:
        spark.conf.set(name, before)


def mine_settings(**changes: object) -> MineSettings:
    return load_settings((), [f"mine.{k}={v}" for k, v in {**PLAIN, **changes}.items()]).mine


@pytest.fixture(scope="module")
def log(spark: SparkSession) -> DataFrame:
    generator = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i:02d}", int(t) * 86_400) for u in range(30) for t, i in enumerate(generator.choice(25, 10))]
    return frame_of(spark, rows, "user_id STRING, item_id STRING, seconds LONG").cache()


@pytest.fixture(scope="module")
def positives(log: DataFrame) -> DataFrame:
    return log.select(
        F.xxhash64("user_id").alias("user"),
        F.xxhash64("item_id").alias("item_key"),
        (F.col("seconds") * 1_000_000).alias("time"),
    ).cache()


@pytest.fixture(scope="module")
def catalogue(spark: SparkSession) -> DataFrame:
    rows = [(f"i{i:02d}", f"text {i // 2}") for i in range(25)]
    return item_keys(frame_of(spark, rows, "item_id STRING, content_hash STRING")).cache()


def mine(
    positives: DataFrame, catalogue: DataFrame, settings: MineSettings, buckets: int | None = None
) -> dict[tuple[int, int], tuple[float, int]]:
    histories = capped_histories(positives, settings)
    codes = item_codes(histories, catalogue)
    users = user_rows(histories, codes, codes.count(), settings, until=UNTIL)
    fitting, total = bucket_count(users, codes.count(), settings.rows_per_task)
    pairs = swing_pairs(by_bucket(users, buckets or fitting), settings, total, buckets or fitting)
    for side in ("trigger", "target"):
        pairs = pairs.join(codes.select(F.col("item").alias(side), F.col("item_id").alias(f"{side}_id")), side)
    number = {name: F.substring(f"{name}_id", 2, 9).cast("int").alias(name) for name in ("trigger", "target")}
    rows = pairs.select(number["trigger"], number["target"], "score", "support").collect()
    return {(r["trigger"], r["target"]): (r["score"], r["support"]) for r in rows}


def as_baskets(log: DataFrame) -> list[set[int]]:
    frame = log.toPandas()
    return [
        set(frame.loc[frame["user_id"] == user, "item_id"].str[1:].astype(int)) for user in frame["user_id"].unique()
    ]


def test_spark_gives_the_formulas_scores(log: DataFrame, positives: DataFrame, catalogue: DataFrame) -> None:
    expected = brute_force(as_baskets(log), 25, swing_parameters())
    found = mine(positives, catalogue, mine_settings())
    assert found.keys() == expected.keys()
    assert all(found[key][0] == pytest.approx(score, rel=1e-9) for key, score in expected.items())


def test_half_life_follows_the_formula(log: DataFrame, positives: DataFrame, catalogue: DataFrame) -> None:
    frame = log.toPandas()
    users = {user: n for n, user in enumerate(frame["user_id"].unique())}
    days = (UNTIL - date(1970, 1, 1)).days
    last = frame.groupby(["user_id", "item_id"])["seconds"].max()
    decay = {(users[u], int(i[1:])): 0.5 ** ((days - s / 86_400) / (2 * 7)) for (u, i), s in last.items()}
    expected = brute_force(as_baskets(log), 25, swing_parameters(), decay)
    found = mine(positives, catalogue, mine_settings(half_life_days=7))
    assert found.keys() == expected.keys()
    assert all(found[key][0] == pytest.approx(score, rel=1e-9) for key, score in expected.items())


def test_items_of_one_content_do_not_pair(positives: DataFrame, catalogue: DataFrame) -> None:
    whole = mine(positives, catalogue, mine_settings())
    some = mine(positives, catalogue, mine_settings(exclude_same_content="true"))
    assert some == {(i, j): value for (i, j), value in whole.items() if i // 2 != j // 2}
    assert len(some) < len(whole)


def test_pairs_are_bit_identical_whatever_the_buckets_and_partitions(
    spark: SparkSession, positives: DataFrame, catalogue: DataFrame
) -> None:
    settings = mine_settings(top_k=4, max_item_users=6, max_user_items=5)
    one = mine(positives, catalogue, settings, buckets=1)
    with shuffle_partitions(spark, 3):
        assert one == mine(positives.repartition(7), catalogue, settings, buckets=11)
    assert max(sum(a == t for a, _ in one) for t in {a for a, _ in one}) == 4


def test_a_small_limit_of_rows_makes_more_buckets_and_the_same_pairs(
    positives: DataFrame, catalogue: DataFrame
) -> None:
    settings = mine_settings()
    histories = capped_histories(positives, settings)
    codes = item_codes(histories, catalogue)
    users = user_rows(histories, codes, codes.count(), settings, until=UNTIL).cache()
    held = users.agg(F.sum(F.size("items"))).collect()[0][0]
    few, _ = bucket_count(users, 25, held)
    many, _ = bucket_count(users, 25, held // 2)
    assert few < many
    rows = by_bucket(users, many).groupBy("bucket").agg(F.sum(F.size("items")).alias("n")).collect()
    assert len(rows) > few
    loads = [row["n"] for row in rows]
    assert sum(loads) / many <= held // 2
    assert max(loads) <= 2 * (held // 2)
    with pytest.raises(UserError, match=r"mine\.rows_per_task"):
        bucket_count(users, 25, 1)
    small = mine_settings(rows_per_task=held // 2)
    assert mine(positives, catalogue, small) == mine(positives, catalogue, settings)


def test_every_bucket_is_a_partition_of_its_own(positives: DataFrame, catalogue: DataFrame) -> None:
    settings = mine_settings()
    histories = capped_histories(positives, settings)
    codes = item_codes(histories, catalogue)
    users = user_rows(histories, codes, codes.count(), settings, until=UNTIL)
    rows = by_bucket(users, 7).select("bucket", F.spark_partition_id().alias("part")).distinct().collect()
    assert len(rows) == len({row["part"] for row in rows}) == len({row["bucket"] for row in rows}) == 7


def test_caps_keep_the_latest_items_and_a_sample_of_users(
    log: DataFrame, positives: DataFrame, catalogue: DataFrame
) -> None:
    settings = mine_settings(max_user_items=3, max_item_users=2)
    histories = capped_histories(positives, settings).cache()
    names = {row["item_key"]: row["item_id"] for row in catalogue.collect()}
    users = {
        row["user"]: row["user_id"] for row in log.select("user_id", F.xxhash64("user_id").alias("user")).collect()
    }
    last = log.toPandas().groupby(["user_id", "item_id"])["seconds"].max()
    for row in histories.collect():
        assert {names[key] for key in row["items"]} == set(last[users[row["user"]]].sort_values().index[-3:])
    codes = item_codes(histories, catalogue)
    rows = user_rows(histories, codes, codes.count(), settings, until=UNTIL)
    scored = rows.select(F.explode("items").alias("item")).where("item >= 0").groupBy("item").count().collect()
    popular = {row["item"]: row["popularity"] for row in codes.collect()}
    assert {row["item"]: row["count"] for row in scored} == {item: min(n, 2) for item, n in popular.items()}
    # An occurrence that the sample leaves out still counts in the overlap of its user.
    assert rows.agg(F.sum(F.size("items"))).collect()[0][0] == sum(popular.values())


def test_items_are_numbered_by_popularity(positives: DataFrame, catalogue: DataFrame) -> None:
    codes = item_codes(capped_histories(positives, mine_settings()), catalogue).orderBy("item").collect()
    assert [row["item"] for row in codes] == list(range(len(codes)))
    assert [row["popularity"] for row in codes] == sorted((row["popularity"] for row in codes), reverse=True)


def test_light_users_and_old_events_are_left_out(spark: SparkSession, positives: DataFrame) -> None:
    assert capped_histories(positives, mine_settings(min_user_items=11)).isEmpty()
    days = spark.range(20).select(
        F.lit("u").alias("user_id"), F.lit("i").alias("item_id"), F.lit("click").alias("action"),
        F.timestamp_seconds(F.col("id") * 86_400).alias("event_time"),
    ).withColumn("event_date", F.to_date("event_time"))  # fmt: skip
    periods = Periods(date(1970, 1, 1), date(1970, 1, 11), date(1970, 1, 13), date(1970, 1, 15))
    ranking = load_settings().ranking
    kept = [
        {row["time"] // 86_400_000_000 for row in positives_of(days, periods, mine_settings(**wish), ranking).collect()}
        for wish in ({}, {"window_days": 3})
    ]
    assert kept == [set(range(10)), {7, 8, 9}]


def test_features_name_category_attributes_and_title_words(spark: SparkSession, catalogue: DataFrame) -> None:
    rows = [
        ("a", "Red Wine, 2019", "drinks", {"b": "2", "a": "1"}),
        ("b", None, None, None),
        ("c", "wine", "drinks", None),
    ]
    items = item_keys(
        frame_of(spark, rows, "item_id STRING, title STRING, category STRING, attributes MAP<STRING,STRING>")
    )
    codes = items.select(
        "item_key", F.ascii("item_id").alias("item"), F.lit(0).alias("content"), F.lit(1).alias("popularity")
    )
    settings = load_settings((), ["mine.user2item.features=5"]).mine.user2item
    features = {chr(r["item"]): r["features"] for r in item_features(codes, items, settings).collect()}
    assert [len(v) for v in features.values()] == [5, 5, 5]
    assert features["b"] == [0] * 5
    assert features["c"][2:] == [0] * 3
    assert features["c"][0] == features["a"][0]  # the category
    assert features["c"][1] in features["a"]  # the word wine
    assert min(features["a"]) >= 1


def test_user2item_pairs_count_their_events_and_keep_the_nearest(spark: SparkSession) -> None:
    rows = [(1, 2, 0.9), (1, 2, 0.9), (1, 3, 0.8), (1, 4, 0.7), (2, 1, 0.1)]
    triggers = frame_of(spark, rows, "trigger INT, target INT, similarity FLOAT")
    settings = load_settings((), ["mine.user2item.top_k=2"]).mine.user2item
    pairs = {(r["trigger"], r["target"]): r["support"] for r in user2item_pairs(triggers, settings).collect()}
    assert pairs == {(1, 2): 2, (1, 3): 1}


def test_pairs_are_counted_by_the_popularity_of_their_targets(spark: SparkSession) -> None:
    pairs = frame_of(spark, [(3, 0), (4, 0), (3, 5), (3, 19)], "trigger INT, target INT")
    counts = pair_counts(pairs, 20).collect()[0].asDict()
    assert {name: count for name, count in counts.items() if count} == {
        "triggers": 2, "decile_10": 2, "decile_8": 1, "decile_1": 1,
    }  # fmt: skip
    assert set(pair_counts(pairs.limit(0), 20).collect()[0]) == {0}


SHAPE = LogShape(events=15_000, users=300, items=300, clusters=10, days=20)
FEW_STEPS = ("mine.user2item.steps=20", "mine.user2item.min_similarity=-1")
NO_MODEL = ("mine.user2item.model=none", "mine.top_k=5")


@pytest.fixture(scope="module")
def planted(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    lake = Lake(spark, load_settings(), str(tmp_path_factory.mktemp("planted")))
    log = generate_log(spark, SHAPE).dropDuplicates()
    lake.warehouse.overwrite(
        INTERACTIONS, log.withColumns({"weight": F.lit(1.0), "event_date": F.to_date("event_time")})
    )
    items = generate_items(spark, SHAPE).withColumns(
        {
            "attributes": F.create_map(F.lit("brand"), "brand"),
            "description": F.lit(None).cast("string"),
            "image": F.lit(None).cast("binary"),
            "content_hash": F.sha2("title", 256),
            "first_seen": F.current_timestamp(),
            "updated_at": F.current_timestamp(),
        }
    )
    lake.warehouse.overwrite(ITEMS, items)
    return lake.location


def run_job(spark: SparkSession, location: str, *assignments: str) -> tuple[Run, DataFrame]:
    run = Run(Lake(spark, load_settings((), assignments), location), mine_pairs.JOB, "run-1")
    mine_pairs.steps(run)
    spark.catalog.clearCache()  # or a second run would find the first one's results
    return run, run.lake.warehouse.read("item_pairs", int(run.outputs["item_pairs"]))


def in_clusters(pairs: DataFrame) -> dict[str, float]:
    same = cluster_of(F.col("trigger_item_id"), SHAPE) == cluster_of(F.col("target_item_id"), SHAPE)
    return dict(pairs.groupBy("source").agg(F.avg(same.cast("int"))).collect())


def sorted_rows(pairs: DataFrame) -> list[tuple]:
    return sorted(map(tuple, pairs.collect()), key=str)


@pytest.fixture(scope="module")
def of_few_steps(spark: SparkSession, planted: str) -> list[tuple]:
    """The pairs of a model that has learned little: whatever changes its fit changes them."""
    return sorted_rows(run_job(spark, planted, *FEW_STEPS)[1])


@pytest.fixture(scope="module")
def of_no_model(spark: SparkSession, planted: str) -> tuple[Run, DataFrame]:
    return run_job(spark, planted, *NO_MODEL)


def test_pairs_lie_within_planted_clusters(spark: SparkSession, planted: str) -> None:
    run, pairs = run_job(spark, planted, "mine.user2item.steps=250")
    shares = in_clusters(pairs)
    assert shares["item2item"] > 0.95
    assert shares["user2item"] > 0.85
    deciles = {m.slice: m.value for m in run.measurements if m.name == "pairs.share_by_popularity"}
    assert sum(deciles[f"item2item/decile_{d}"] for d in range(1, 11)) == pytest.approx(1)
    assert not run.lake.files.exists(f"{run.lake.warehouse.root}/_staging") or not run.lake.files.list(
        f"{run.lake.warehouse.root}/_staging"
    )


def test_partitions_change_no_pair(spark: SparkSession, planted: str, of_few_steps: list[tuple]) -> None:
    with shuffle_partitions(spark, 7):
        assert sorted_rows(run_job(spark, planted, *FEW_STEPS)[1]) == of_few_steps


def test_events_after_the_train_period_change_no_pair(
    spark: SparkSession, planted: str, of_few_steps: list[tuple]
) -> None:
    lake = Lake(spark, load_settings(), planted)
    log = lake.warehouse.read("interactions")
    day = log.agg(F.max("event_time")).collect()[0][0]
    # On the log's last day, users take items of clusters they never touched, again and again.
    future = spark.range(200).select(
        F.format_string("u%08d", F.col("id") % 20).alias("user_id"),
        F.format_string("i%08d", F.col("id") * 3 % SHAPE.items).alias("item_id"),
        F.lit(day).alias("event_time"),
        F.lit("click").alias("action"),
        F.lit(1.0).alias("weight"),
        F.to_date(F.lit(day)).alias("event_date"),
    )
    before = split_periods(log, lake.settings.split)
    version = lake.warehouse.version("interactions")
    lake.warehouse.append(INTERACTIONS, future.join(log, ["user_id", "item_id", "event_time", "action"], "left_anti"))
    try:
        assert split_periods(lake.warehouse.read("interactions"), lake.settings.split) == before
        assert sorted_rows(run_job(spark, planted, *FEW_STEPS)[1]) == of_few_steps
    finally:
        lake.warehouse.overwrite(INTERACTIONS, lake.warehouse.read("interactions", version))


def test_als_in_place_of_the_towers(spark: SparkSession, planted: str) -> None:
    _, pairs = run_job(spark, planted, "mine.user2item.model=als")
    assert in_clusters(pairs)["user2item"] > 0.85


def test_no_user_to_item_pairs_where_none_are_wanted(of_no_model: tuple[Run, DataFrame]) -> None:
    assert {row["source"] for row in of_no_model[1].select("source").distinct().collect()} == {"item2item"}


def test_popularity_power_moves_pairs_off_the_hot_items(
    spark: SparkSession, planted: str, of_no_model: tuple[Run, DataFrame]
) -> None:
    run, _ = run_job(spark, planted, *NO_MODEL, "mine.popularity_power=1.0")
    hot = "pairs.share_by_popularity/item2item/decile_10"
    assert run.headline[hot] < of_no_model[0].headline[hot]


def test_a_log_without_enough_history_is_the_users_mistake(spark: SparkSession, planted: str) -> None:
    with pytest.raises(UserError, match=r"mine\.min_user_items"):
        run_job(spark, planted, "mine.min_user_items=500")


def test_actions_that_the_log_lacks_are_told(spark: SparkSession, planted: str) -> None:
    with pytest.raises(UserError, match=r"ranking\.tasks: no event has .*purchase; the log's actions are click"):
        run_job(spark, planted, 'ranking.tasks={ order = ["purchase"] }')
