from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import judge_pairs
from jobs.judge_pairs import contents_to_judge, turns, with_verdicts
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.lake import Lake
from lake.run import Run
from schemas.contract import Contract
from schemas.errors import UserError
from schemas.names import PAIR_SOURCES
from schemas.settings import load_settings
from schemas.tables import ITEM_PAIRS, ITEMS
from tests.chat_server import chat_server

Pairs = list[tuple[str, str, float]]
JUDGE = load_settings().judge


def pairs(spark: SparkSession, rows: Pairs) -> DataFrame:
    """Pairs whose items' contents are called as the items are."""
    return frame_of(
        spark,
        [("item2item", a, b, s, 3, None, None, None, "run", a, b) for a, b, s in rows],
        "source STRING, trigger_item_id STRING, target_item_id STRING, score DOUBLE, support LONG, verdict STRING,"
        " judge_score DOUBLE, judge STRING, run_id STRING, trigger_content STRING, target_content STRING",
    )


def verdicts(spark: SparkSession, rows: Pairs) -> DataFrame:
    return frame_of(spark, rows, "trigger_content STRING, target_content STRING, judge_score DOUBLE")


def chosen(pairs: DataFrame, known: DataFrame, most: int) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in contents_to_judge(pairs, known, most).collect()}


def test_every_triggers_best_pair_is_judged_before_any_second(spark: SparkSession) -> None:
    mined = pairs(spark, [("a", "x", 9.0), ("a", "y", 8.0), ("a", "z", 7.0), ("b", "x", 1.0), ("c", "x", 2.0)])
    assert chosen(mined, verdicts(spark, []), 4) == {("a", "x"), ("c", "x"), ("b", "x"), ("a", "y")}


def test_sources_take_turns(spark: SparkSession) -> None:
    swing = pairs(spark, [(t, "x", 0.1) for t in "abcdef"])
    towers = pairs(spark, [(t, "x", 0.9) for t in "gh"]).withColumn("source", F.lit("user2item"))
    triggers = {trigger for trigger, _ in chosen(swing.unionByName(towers), verdicts(spark, []), 5)}
    assert len(triggers) == 5
    assert {"g", "h"} <= triggers


@pytest.mark.parametrize(
    ("counts", "most", "taken"), [((9, 9), 5, (3, 2)), ((9, 1), 5, (4, 1)), ((1, 9), 5, (1, 4)), ((2, 2), 9, (2, 2))]
)
def test_a_source_that_runs_out_leaves_its_turns(counts: tuple[int, int], most: int, taken: tuple[int, int]) -> None:
    assert turns(counts, most) == list(zip(PAIR_SOURCES, taken, strict=True))


def test_contents_are_judged_once(spark: SparkSession) -> None:
    mined = pairs(spark, [("a", "x", 9.0), ("b", "y", 8.0), ("a2", "x", 7.0)])
    mined = mined.withColumn("trigger_content", F.substring("trigger_content", 1, 1))
    assert chosen(mined, verdicts(spark, [("b", "y", 0.5)]), 5) == {("a", "x")}


def test_each_source_has_its_own_share_and_the_lowest_are_rejected(spark: SparkSession) -> None:
    mined = pairs(spark, [(f"t{i}", "x", 1.0) for i in range(10)])
    mined = mined.unionByName(mined.withColumn("source", F.lit("user2item"))).unionByName(
        pairs(spark, [("z", "x", 1.0)])
    )
    once = F.col("trigger_item_id") == "z"
    mined = mined.withColumn("verdict", F.when(once, "keep")).withColumn("judge", F.when(once, "another"))
    never = pairs(spark, [("y", "x", 1.0)])
    scores = verdicts(spark, [(f"t{i}", "x", float(i)) for i in range(10)])
    rows = with_verdicts(mined.unionByName(never), scores, "judge", JUDGE).collect()
    rejected = {(row["source"], row["trigger_item_id"]) for row in rows if row["verdict"] == "reject"}
    assert rejected == {("item2item", "t0"), *(("user2item", f"t{i}") for i in range(7))}
    unjudged = next(row for row in rows if row["trigger_item_id"] == "z")
    assert unjudged["verdict"] is unjudged["judge"] is unjudged["judge_score"] is None
    assert len(rows) == 21


def test_a_score_may_be_the_limit(spark: SparkSession) -> None:
    by_score = load_settings((), ["judge.reject_by=score", "judge.reject_below.item2item=4.5"]).judge
    mined = pairs(spark, [(f"t{i}", "x", 1.0) for i in range(10)])
    scores = verdicts(spark, [(f"t{i}", "x", float(i)) for i in range(10)])
    rows = with_verdicts(mined, scores, "judge", by_score).collect()
    assert {row["trigger_item_id"] for row in rows if row["verdict"] == "reject"} == {f"t{i}" for i in range(5)}


TITLES = {"a": "red wine", "b": "white wine", "c": "dog food", "d": "cat food"}


@pytest.fixture
def mined(make_lake: Callable[..., Lake]) -> Lake:
    lake = make_lake()
    write_items(lake, TITLES)
    rows = [("a", "b", 3.0), ("c", "d", 2.0), ("a", "c", 1.0)]
    lake.warehouse.overwrite(ITEM_PAIRS, pairs(lake.spark, rows).select(*ITEM_PAIRS.names))
    return lake


def write_items(lake: Lake, titles: dict[str, str]) -> None:
    rows = frame_of(lake.spark, list(titles.items()), "item_id STRING, title STRING").withColumns(
        {
            "category": F.lit(None).cast("string"),
            "attributes": F.lit(None).cast("map<string,string>"),
            "description": F.lit(None).cast("string"),
            "image": F.lit(None).cast("binary"),
            "content_hash": F.sha2("title", 256),
            "first_seen": F.current_timestamp(),
            "updated_at": F.current_timestamp(),
        }
    )
    lake.warehouse.overwrite(ITEMS, rows.select(*ITEMS.names))


def judged(lake: Lake, *assignments: str) -> dict[str, float]:
    settings = load_settings((), list(assignments))
    return dict(run_job(Lake(lake.spark, settings, lake.location), judge_pairs.JOB, new_run_id()).metrics)


def by_endpoint(url: str) -> list[str]:
    return [
        "judge.method=yes_no", "judge.reject_by=score", f'endpoint.url="{url}"', 'endpoint.model="big"',
        "endpoint.price_read=2.0", "endpoint.retries=0",
    ]  # fmt: skip


def verdicts_of(lake: Lake) -> dict[tuple[str, str], str | None]:
    rows = lake.warehouse.read("item_pairs").collect()
    return {(row["trigger_item_id"], row["target_item_id"]): row["verdict"] for row in rows}


def test_an_endpoint_judges_each_pair_of_contents_once(mined: Lake) -> None:
    def reply(question: str) -> str:
        return "different <answer>No</answer>" if "wine" in question and "food" in question else "<answer>Yes</answer>"

    with chat_server(reply) as chat:
        metrics = judged(mined, *by_endpoint(chat.url))
        assert verdicts_of(mined) == {("a", "b"): "keep", ("c", "d"): "keep", ("a", "c"): "reject"}
        assert len(chat.requests) == 3 + 1, "each once, after one to see whether it answers"
        assert metrics["judge.tokens_read"] > 100
        assert metrics["judge.cost"] == pytest.approx(2e-6 * metrics["judge.tokens_read"])
        kept = mined.warehouse.read("pair_verdicts").collect()
        assert {row["reason"] for row in kept} == {"different", None}
        assert judged(mined, *by_endpoint(chat.url))["pairs.judged"] == 0
        write_items(mined, {**TITLES, "d": "an other cat food"})
        assert judged(mined, *by_endpoint(chat.url))["pairs.judged"] == 1, "another text is judged anew"
        assert len(chat.requests) == 4 + 2
        assert "an other cat food" in chat.requests[-1]["messages"][-1]["content"]


def test_a_night_that_is_killed_again_and_again_pays_once(mined: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(run: Run, contract: Contract, *given: Any, **named: Any) -> None:
        if contract.name == ITEM_PAIRS.name:
            raise KeyboardInterrupt
        whole(run, contract, *given, **named)

    whole = Run.merge
    with chat_server(lambda _: "<answer>Yes</answer>") as chat:
        settings = [*by_endpoint(chat.url), "judge.max_pairs=1"]
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(Run, "merge", killed)
                with pytest.raises(KeyboardInterrupt):
                    judged(mined, *settings)
        assert judged(mined, *settings)["pairs.judged"] == 0
        assert mined.warehouse.read("pair_verdicts").count() == 1
        assert len(chat.requests) == 1 + 1, "one pair, after one question to see whether it answers"


def test_no_answer_is_no_verdict(mined: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with chat_server(lambda question: "I cannot say" if "dog" in question else "<answer>Yes</answer>") as chat:
        metrics = judged(mined, *by_endpoint(chat.url))
        assert metrics["judge.unanswered"] == 2
        assert verdicts_of(mined) == {("a", "b"): "keep", ("c", "d"): None, ("a", "c"): None}
        assert judged(mined, *by_endpoint(chat.url))["pairs.judged"] == 0, "a reply is a reply"
    write_items(mined, {**TITLES, "a": "other wine"})
    with pytest.raises(UserError, match=r"endpoint\.url.*gave no answer"):
        judged(mined, *by_endpoint(chat.url))
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key")
    with chat_server(lambda _: "", failures=(401,)) as chat:
        with pytest.raises(UserError, match=r"refuses: 401 .*for Bearer \.\.\.") as refused:
            judged(mined, *by_endpoint(chat.url))
        assert "planted-key" in chat.requests[0]["key"], "the server repeats it"
    assert "planted-key" not in str(refused.value)
    with pytest.raises(UserError, match=r"judge\.reject_by must be score"):
        judged(mined, *by_endpoint(chat.url), "judge.reject_by=share")


def test_another_reading_of_the_same_model_is_another_judge(mined: Lake) -> None:
    judged(mined)
    scores = {
        row["trigger_item_id"] + row["target_item_id"]: row["judge_score"]
        for row in mined.warehouse.read("item_pairs").collect()
    }
    assert scores["ac"] < min(scores["ab"], scores["cd"]), "the default judge finds wine closer to wine"
    assert set(verdicts_of(mined).values()) == {"keep"}, "a tenth of three is none"
    assert judged(mined)["pairs.judged"] == 0
    assert judged(mined, "judge.layer=-2")["pairs.judged"] == 3
    names = {row["judge"] for row in mined.warehouse.read("item_pairs").collect()}
    assert len(names) == 1, "scores of two judges are never ranked together"


def test_a_judge_needs_a_head_for_likelihoods(mined: Lake) -> None:
    with pytest.raises(UserError, match=r"judge\.model.*no language-model head"):
        judged(mined, "judge.method=likelihood_ratio")
