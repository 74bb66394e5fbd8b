"""From items to anchors, tokens and a ranker that reads them; nights with new items, changed texts and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyspark.sql import SparkSession
from safetensors.torch import load_file

from jobs import tokenize_anchors, train_ranker, write_anchors
from jobs.examples.search_index import ITEM_IDS, ITEM_ROWS
from jobs.nightly import nightly_jobs
from lake.declaration import Job
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from models.llm.item_tokens import CONTENTS, TOKENS, Vocabulary
from models.ranker.network.saved import load_ranker
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.settings import load_settings
from schemas.tables import ITEM_PAIRS
from tests.chat_server import chat_server
from tests.jobs.test_training import FRAME, SMALL, write_examples
from tests.jobs.test_verdicts import pairs, write_items
from tests.warehouses import copy_of

TITLES = {
    f"i{n:02d}": f"{('green', 'red', 'dried')[n % 3]} {('apples', 'pears')[n % 2]} from {n // 6}" for n in range(19)
}
ON = ["ranker.use.text=true", "ranker.text.dim=8", "anchors.tokens=8", "anchors.min_frequency=3", "increments.on=true"]
HOSTILE = {
    "long": "apple " * 20_000,
    "control": "\x00\x1b[2J\u202egreen\x07",
    "script": "青いリンゴ ١٢٣ \U0001f34f",
    "none": "   ",
}


def publish_index(lake: Lake, folder: Path, ids: list[str]) -> None:
    """An index in which the last item is unknown to the ranker's item table."""
    folder.mkdir()
    rows = {"item_id": ids, "item_row": range(len(ids)), **dict.fromkeys(SID_COLUMNS, [1] * len(ids))}
    pq.write_table(pa.table(rows), folder / ITEM_ROWS)
    pq.write_table(pa.table({"item_id": ids[:18]}), folder / ITEM_IDS)
    np.save(folder / "item_index.npy", np.array([*range(2, 20), *[1] * (len(ids) - 18)], np.int32))
    card = {"items": 20, "codes": [5, 5, 5], "item_ids": "vocabulary", "codebook": "c", "frame": FRAME.as_card()}
    recipe = {"items": str(lake.warehouse.version("items"))}
    lake.artifacts.publish("search_index", folder, {"recipe": recipe, **card})


@pytest.fixture(scope="module")
def untokenized(spark: SparkSession, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Items, pairs and examples; its tests write to copies."""
    folder = tmp_path_factory.mktemp("untokenized")
    settings = load_settings((), [*SMALL, *ON, f'language_model.model="{tiny}"'])
    made = Lake(spark, settings, str(folder / "warehouse"))
    write_items(made, TITLES)
    mined = [(a, b, 1.0) for a, b in (("i00", "i01"), ("i00", "i02"), ("i03", "i00"))]
    made.warehouse.overwrite(ITEM_PAIRS, pairs(spark, mined).select(*ITEM_PAIRS.names))
    write_examples(made)
    publish_index(made, folder / "index", list(TITLES))
    return made


@pytest.fixture(scope="module")
def once_tokenized(untokenized: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = copy_of(untokenized, tmp_path_factory.mktemp("tokenized") / "warehouse")
    run(lake, write_anchors.JOB)
    run(lake, tokenize_anchors.JOB)
    return lake


@pytest.fixture
def tokenized(once_tokenized: Lake, tmp_path: Path) -> Lake:
    return copy_of(once_tokenized, tmp_path / "copy")


def run(lake: Lake, job: Job, *assignments: str) -> dict[str, float]:
    model = lake.settings.language_model.model
    settings = load_settings((), [*SMALL, *ON, f'language_model.model="{model}"', *assignments])
    return dict(run_job(Lake(lake.spark, settings, lake.location), job, new_run_id()).metrics)


def anchors(lake: Lake) -> dict[str, dict[str, str]]:
    """Anchors by title of the content."""
    rows = lake.warehouse.read("item_anchors").join(lake.warehouse.read("items"), "content_hash").collect()
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["item_id"], {})[row["field"]] = row["text"]
    return found


def tokens(lake: Lake) -> tuple[list[str], np.ndarray, Vocabulary]:
    folder = lake.artifacts.fetch(lake.artifacts.require("item_tokens", "tokenize_anchors"))
    hashes = pq.read_table(folder / CONTENTS)["content_hash"].to_pylist()
    return hashes, np.load(folder / TOKENS), Vocabulary.load(folder)


def test_only_new_contents_are_written_and_tokenized(tokenized: Lake) -> None:
    assert anchors(tokenized)["i00"] == {"title": TITLES["i00"], "bought with": f"{TITLES['i01']}; {TITLES['i02']}"}
    assert anchors(tokenized)["i05"] == {"title": TITLES["i05"]}
    hashes, before, vocabulary = tokens(tokenized)
    version = tokenized.warehouse.version("item_anchors")
    assert run(tokenized, write_anchors.JOB)["anchors.written"] == 0
    assert tokenized.warehouse.version("item_anchors") == version, "nothing new, nothing written"
    write_items(tokenized, {**TITLES, "i00": "sour plums from 9", "new": "ripe plums from 8", **HOSTILE})
    metrics = run(tokenized, write_anchors.JOB)
    assert (metrics["anchors.contents"], metrics["anchors.contents_without"]) == (5, 1), "one has no text"
    found = anchors(tokenized)
    assert found["i00"]["title"] == "sour plums from 9"
    assert found["control"]["title"] == "[2j green"
    assert len(found["long"]["title"]) <= 200
    assert "none" not in found
    metrics = run(tokenized, tokenize_anchors.JOB)
    assert metrics["tokens.new_contents"] == 5
    later, after, grown = tokens(tokenized)
    assert later[: len(hashes)] == hashes, "rows stay"
    np.testing.assert_array_equal(after[: len(before)], before)
    assert grown.ids[: len(vocabulary.ids)].tolist() == vocabulary.ids.tolist()
    assert len(grown.ids) > len(vocabulary.ids)
    assert list(grown.domain.terms[: len(vocabulary.domain.terms)]) == list(vocabulary.domain.terms)
    np.testing.assert_array_equal(grown.vectors[: len(vocabulary.vectors)], vocabulary.vectors)
    assert after[:, 0].max() <= len(grown.ids)
    assert after[:, 1].max() <= len(grown.domain.terms)
    run(tokenized, tokenize_anchors.JOB, "anchors.tokens=4")
    assert tokens(tokenized)[1].shape == (len(after), 3, 4), "another length begins anew"


def test_a_known_content_keeps_its_row() -> None:
    schema = pa.schema([("content_hash", pa.string()), ("anchors_hash", pa.int64())])
    none, length = schema.empty_table(), 2
    first = pa.table({"content_hash": ["b", "d"], "anchors_hash": [2, 4]}, schema)
    tokens = np.arange(1, 13, dtype=np.int32).reshape(2, 3, length)
    table, rows = tokenize_anchors.placed(none, np.zeros((1, 3, length), np.int32), first, tokens)
    assert table.cast(schema).equals(first)
    np.testing.assert_array_equal(rows, np.concatenate([np.zeros((1, 3, length), np.int32), tokens]))
    later = pa.table({"content_hash": ["a", "d", "e"], "anchors_hash": [1, 9, 5]}, schema)
    made = -np.arange(1, 19, dtype=np.int32).reshape(3, 3, length)
    table, after = tokenize_anchors.placed(table, rows, later, made)
    assert table.to_pydict() == {"content_hash": ["b", "d", "a", "e"], "anchors_hash": [2, 9, 1, 5]}
    np.testing.assert_array_equal(after, np.stack([rows[0], tokens[0], made[1], made[0], made[2]]))
    table, same = tokenize_anchors.placed(table, after, none, np.zeros((0, 3, length), np.int32))
    np.testing.assert_array_equal(same, after)


def test_an_endpoint_adds_what_it_infers(tokenized: Lake) -> None:
    def reply(prompt: str) -> str:
        return "No idea." if "pears" in prompt else json.dumps({"theme": "Fruit", "audience": "Families", "x": 1})

    with chat_server(reply) as chat:
        endpoint = [
            f'endpoint.url="{chat.url}"',
            'endpoint.model="big"',
            "anchors.writer=endpoint",
            "endpoint.retries=0",
        ]
        metrics = run(tokenized, write_anchors.JOB, *endpoint)
        assert metrics["anchors.contents"] == len(TITLES)
        assert anchors(tokenized)["i02"] == {"title": TITLES["i02"], "theme": "fruit", "audience": "families"}
        assert anchors(tokenized)["i01"].keys() == {"title"}
        asked = len(chat.requests)
        run(tokenized, write_anchors.JOB, *endpoint)
        assert len(chat.requests) - asked <= 1 + len(TITLES) // 2, "who was described is not asked about again"
    assert run(tokenized, tokenize_anchors.JOB)["tokens.new_contents"] == 10, "contents with other anchors"
    with pytest.raises(UserError, match=r"anchors\.writer is endpoint, but endpoint\.url is empty"):
        run(tokenized, write_anchors.JOB, "anchors.writer=endpoint")


def test_a_night_leaves_out_what_is_not_asked_for(untokenized: Lake) -> None:
    own = {"write_anchors", "tokenize_anchors"}
    assert not own & {job.name for job in nightly_jobs(load_settings())}
    assert own <= {job.name for job in nightly_jobs(untokenized.settings)}
    with pytest.raises(UserError, match="run tokenize_anchors"):
        run(untokenized, train_ranker.JOB)


def test_new_contents_get_vectors_without_a_training(tokenized: Lake, tmp_path: Path) -> None:
    increments = ("increments.on=true", "increments.ranker.new_share=0.9")
    run(tokenized, train_ranker.JOB, *increments)
    first = tokenized.artifacts.require("ranker", "train_ranker")
    folder = tokenized.artifacts.fetch(first)
    ranker = load_ranker(folder, "qarm")
    assert ranker.text is not None
    assert ranker.shape.texts[0] == len(tokens(tokenized)[0]) + 1
    assert not load_ranker(folder, "recent_din").shape.texts, "a baseline reads no texts"
    texts = {"i00": "sour plums from 9", **{name: TITLES[name] for name in list(TITLES)[1:]}}
    write_items(tokenized, {**texts, "new": TITLES["i05"], **HOSTILE})
    run(tokenized, write_anchors.JOB)
    run(tokenized, tokenize_anchors.JOB)
    publish_index(tokenized, tmp_path / "later", [*texts, "new", *HOSTILE])
    assert run(tokenized, train_ranker.JOB, *increments)["ranker.new_examples"] == 0
    later = tokenized.artifacts.require("ranker", "train_ranker")
    again = load_ranker(tokenized.artifacts.fetch(later), "qarm")
    assert again.text is not None
    before, after = (load_file(tokenized.artifacts.fetch(one) / "qarm.safetensors") for one in (first, later))
    for name, weight in before.items():
        torch.testing.assert_close(after[name][: len(weight)], weight, rtol=0, atol=0)
    old, new = ranker.text.of_rows(torch.arange(20)), again.text.of_rows(torch.arange(25))
    torch.testing.assert_close(new[2:20], old[2:20], rtol=0, atol=1e-6)
    assert (new[1] - old[1]).abs().max() > 1e-4, "the changed text"
    torch.testing.assert_close(new[20], new[6], rtol=0, atol=1e-6, msg="the same content, the same vector")
    assert new[21:24].abs().amax(1).min() > 0
    assert torch.isfinite(new).all()
    assert not new[24].any(), "no text"
    assert first.card["trained_in"]["qarm"] != later.card["trained_in"]["qarm"], "scores of changed texts do not stand"
    assert first.card["texts"] == later.card["texts"]
