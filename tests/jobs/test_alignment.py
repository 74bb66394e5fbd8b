"""From pairs to questions, an aligned model and its embeddings."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import align_encoder, embed_items, write_questions
from lake.declaration import Job
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from models.llm.item_encoder import ItemEncoder
from models.training_state import Checkpoints
from schemas.errors import UserError
from schemas.settings import load_settings
from schemas.tables import INTERACTIONS, ITEM_PAIRS, ITEMS
from tests.chat_server import chat_server
from tests.jobs.test_verdicts import pairs, write_items
from tests.warehouses import copy_of

TITLES = {f"{kind[0]}{i}": f"{kind} number {i}" for kind in ("apple", "bolt", "candle") for i in range(6)}
SMALL = [
    "align.steps=6", "align.batch_contents=24", "align.layers=1", "align.checkpoint_steps=2", "align.question_tokens=8",
    "align.known_partners=32",
    "align.min_support=1", "align.learning_rate=1e-3", "align.bfloat16=false", "embed.search_dim=4",
    "language_model.max_tokens=16",
]  # fmt: skip


@pytest.fixture(scope="module")
def paired(spark: SparkSession, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Items, their pairs and a log; its tests write to copies."""
    settings = load_settings((), [*SMALL, f'language_model.model="{tiny}"'])
    made = Lake(spark, settings, str(tmp_path_factory.mktemp("paired") / "warehouse"))
    write_items(made, TITLES)
    rows = [(a, b, 1.0 + int(b[1])) for a in TITLES for b in TITLES if a[0] == b[0] and a != b]
    days = made.spark.range(1, 11).select(
        F.lit("u").alias("user_id"), F.lit("a0").alias("item_id"),
        F.timestamp_seconds(F.lit(1704067200) + 86400 * (F.col("id") - 1)).alias("event_time"),
        F.lit("click").alias("action"), F.lit(1.0).alias("weight"),
    )  # fmt: skip
    made.warehouse.overwrite(INTERACTIONS, days.withColumn("event_date", F.to_date("event_time")))
    made.warehouse.overwrite(ITEM_PAIRS, pairs(made.spark, rows).select(*ITEM_PAIRS.names))
    return made


@pytest.fixture(scope="module")
def once_asked(paired: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = copy_of(paired, tmp_path_factory.mktemp("asked") / "warehouse")
    run(lake, write_questions.JOB)
    return lake


@pytest.fixture(scope="module")
def once_aligned(once_asked: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = copy_of(once_asked, tmp_path_factory.mktemp("aligned") / "warehouse")
    run(lake, align_encoder.JOB)
    return lake


@pytest.fixture
def lake(paired: Lake, tmp_path: Path) -> Lake:
    """Without questions."""
    return copy_of(paired, tmp_path / "copy")


@pytest.fixture
def asked(once_asked: Lake, tmp_path: Path) -> Lake:
    """With questions."""
    return copy_of(once_asked, tmp_path / "copy")


@pytest.fixture
def aligned(once_aligned: Lake, tmp_path: Path) -> Lake:
    """With questions and an aligned model."""
    return copy_of(once_aligned, tmp_path / "copy")


def run(lake: Lake, job: Job, *assignments: str) -> dict[str, float]:
    model = lake.settings.language_model.model
    settings = load_settings((), [*SMALL, f'language_model.model="{model}"', *assignments])
    return dict(run_job(Lake(lake.spark, settings, lake.location), job, new_run_id()).metrics)


def questions(lake: Lake) -> dict[str, dict[str, str]]:
    rows = lake.warehouse.read("item_questions").collect()
    return {item: {r["question"]: r["answer"] for r in rows if r["item_id"] == item} for item in TITLES}


def test_questions_come_from_the_items_own_fields_once(lake: Lake) -> None:
    metrics = run(lake, write_questions.JOB)
    made = questions(lake)
    assert metrics["questions.contents"] == len(TITLES)
    assert all(TITLES[item] in asked.values() for item, asked in made.items())
    assert "apple number 5; apple number 4; apple number 3" in made["a0"].values(), "what it is bought with"
    assert len({tuple(asked) for asked in made.values()}) > 3, "in varied words"
    version = lake.warehouse.version("item_questions")
    assert run(lake, write_questions.JOB)["questions.written"] == 0
    assert lake.warehouse.version("item_questions") == version, "nothing new, nothing written"
    write_items(lake, {**TITLES, "a0": "avocado"})
    assert run(lake, write_questions.JOB)["questions.contents"] == 1
    assert "avocado" in questions(lake)["a0"].values()
    assert TITLES["a0"] not in questions(lake)["a0"].values()


def test_an_endpoint_writes_questions(lake: Lake) -> None:
    def reply(prompt: str) -> str:
        if "bolt" in prompt:
            return "I do not know."
        return "Here: " + json.dumps([{"question": "Who buys it?", "answer": "cooks"}, {"question": "?"}, "what"])

    with chat_server(reply) as chat:
        endpoint = [
            f'endpoint.url="{chat.url}"',
            'endpoint.model="big"',
            "questions.writer=endpoint",
            "endpoint.retries=0",
        ]
        assert run(lake, write_questions.JOB, *endpoint)["questions.contents"] == 12
        assert questions(lake)["a1"] == {"Who buys it?": "cooks"}
        assert questions(lake)["b1"] == {}
    with pytest.raises(UserError, match=r"questions\.writer is endpoint"):
        run(lake, write_questions.JOB, "questions.writer=endpoint")


def test_an_aligned_model_embeds_until_it_is_asked_for_again(aligned: Lake) -> None:
    metrics = aligned.ledger.last_done()["align_encoder"].metrics
    assert metrics["align.steps"] == 6
    assert np.isfinite(metrics["align.answers_loss"])
    first = aligned.artifacts.require("aligned_model", "align_encoder")
    losses = first.card["losses"]["contrastive"]
    assert losses[-1] < losses[0]
    run(aligned, embed_items.JOB)
    rows = aligned.warehouse.read("item_embeddings").toPandas().set_index("item_id")
    encoder = ItemEncoder(aligned.artifacts.fetch(first), "float32")
    ids = encoder.tokenizer([f"Product: {TITLES['a1']}"])["input_ids"]
    vector = encoder.vectors(ids).detach().numpy()[0]
    np.testing.assert_allclose(rows.loc["a1", "embedding"], vector / np.linalg.norm(vector), atol=1e-5)
    assert rows["search_embedding"].map(len).unique().tolist() == [4]
    plain = np.stack(rows["text_embedding"])
    assert plain.shape == (len(rows), 4)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    assert not np.allclose(plain, np.stack(rows["search_embedding"]), atol=0.01), "that of the model before alignment"
    aligned.warehouse.overwrite(ITEM_PAIRS, aligned.warehouse.read(ITEM_PAIRS.name))
    assert "align.steps" not in run(aligned, align_encoder.JOB), "it stands, though pairs were mined anew"
    assert aligned.artifacts.require("aligned_model", "align_encoder").version == first.version
    again = run(aligned, align_encoder.JOB, "align.realign=true")
    second = aligned.artifacts.require("aligned_model", "align_encoder")
    assert again["align.steps"] == 6
    assert second.version != first.version
    assert second.digest == first.digest, "the same pairs and settings give the same weights to the bit"
    # A cold item: text alone, no event and no pair. It is embedded the night it comes.
    write_items(aligned, {**TITLES, "cold": "apple number 9"})
    assert run(aligned, embed_items.JOB)["embed.contents"] == 1
    cold = aligned.warehouse.read("item_embeddings").where("item_id = 'cold'").collect()[0]
    assert np.linalg.norm(cold["embedding"]) == pytest.approx(1, abs=1e-3)


def test_pairs_of_the_future_are_unlearned(aligned: Lake) -> None:
    first = aligned.artifacts.require("aligned_model", "align_encoder")
    assert first.card["fitted_until"] == "2024-01-09"
    assert "align.steps" not in run(aligned, align_encoder.JOB), "a later end of the train period asks for nothing"
    earlier = ["split.valid_share=0.3", "split.test_share=0.3"]
    assert run(aligned, align_encoder.JOB, *earlier)["align.steps"] == 6
    second = aligned.artifacts.require("aligned_model", "align_encoder")
    assert second.card["fitted_until"] < first.card["fitted_until"]


def test_a_loss_that_is_no_number_is_told_in_one_line(asked: Lake) -> None:
    with pytest.raises(UserError, match=r"lower align\.learning_rate"):
        run(asked, align_encoder.JOB, "align.learning_rate=1e30", "align.warmup_share=0.0")
    assert asked.artifacts.latest("aligned_model") is None


def test_a_killed_alignment_goes_on(aligned: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = aligned.artifacts.require("aligned_model", "align_encoder")
    real = Checkpoints.save

    def killed(self: Checkpoints, state: dict[str, Any]) -> None:
        real(self, state)
        if state["step"] == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(aligned, align_encoder.JOB, "align.realign=true")
    assert run(aligned, align_encoder.JOB, "align.realign=true")["align.resumed_at"] == 4
    assert aligned.artifacts.require("aligned_model", "align_encoder").digest == whole.digest
    assert not list(Path(aligned.location, "_training").glob("*"))


@pytest.mark.cluster
def test_two_processes_under_sparks_distributor_are_one(aligned: Lake) -> None:
    one = aligned.artifacts.require("aligned_model", "align_encoder").card["losses"]
    run(aligned, align_encoder.JOB, "align.processes=2", "align.realign=true")
    two = aligned.artifacts.require("aligned_model", "align_encoder").card["losses"]
    np.testing.assert_allclose(two["contrastive"], one["contrastive"], rtol=1e-4)
    np.testing.assert_allclose(two["answers"], one["answers"], rtol=1e-4)


def test_rejected_pairs_teach_nothing(asked: Lake) -> None:
    standing = asked.warehouse.read("item_pairs").toPandas()
    rows = standing.assign(
        verdict=np.where(standing["trigger_item_id"].str[0] == "a", "reject", "keep"), judge="j", judge_score=0.0
    )
    asked.warehouse.overwrite(ITEM_PAIRS, asked.spark.createDataFrame(rows[ITEM_PAIRS.names], ITEM_PAIRS.schema))
    drawn = align_encoder.by_content(
        align_encoder.accepted(asked.warehouse.read("item_pairs")), asked.warehouse.read("items")
    )
    assert drawn.count() == 60
    asked.warehouse.overwrite(
        ITEM_PAIRS, asked.spark.createDataFrame(rows.assign(verdict="reject")[ITEM_PAIRS.names], ITEM_PAIRS.schema)
    )
    with pytest.raises(UserError, match=r"align\.pairs"):
        run(asked, align_encoder.JOB)
    assert run(asked, align_encoder.JOB, 'align.pairs="all"')["align.steps"] == 6


def test_images_are_embedded_beside_the_text(make_lake: Callable[..., Lake], tiny_vision: Path) -> None:
    lake = make_lake()
    write_items(lake, {"plain": "red wine", "shown": "red wine, shown", "broken": "red wine, broken"})
    file = io.BytesIO()
    Image.new("RGB", (30, 30), "red").save(file, "PNG")
    shown = F.when(F.col("item_id") == "shown", F.lit(file.getvalue()))
    broken = F.when(F.col("item_id") == "broken", F.lit(b"no image"))
    pictured = lake.warehouse.read("items").withColumn("image", F.coalesce(shown, broken))
    lake.warehouse.overwrite(ITEMS, pictured)
    lake.settings = load_settings((), [f'language_model.model="{tiny_vision}"'])
    metrics = run(lake, embed_items.JOB, "align.steps=0", "embed.layer=-1")
    assert metrics["embed.images"] == 2
    assert metrics["embed.images_broken"] == 1
    rows = lake.warehouse.read("item_embeddings")
    assert rows.count() == rows.where("text_embedding = search_embedding").count() == 3
