"""Semantic IDs as other programs read them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from jobs import export_semantic_ids
from jobs.codes.exported import as_tokens, item_to_sid, level_sizes, sid_to_items, token_names, with_codes
from lake.lake import Lake
from schemas.errors import UserError
from tests.jobs.nights import Night

COLUMNS = (
    "item_id string, sid_1 int, sid_2 int, sid_3 int, sid_more array<int>, sid string, codebook_version string,"
    " assigned_at timestamp"
)
SIZES = [13, 8]


def codes(spark: SparkSession):  # type: ignore[no-untyped-def]
    rows = [("a", 12, 7, None, None), ("b", 1, 0, None, [2]), ("c", 12, 7, None, None)]
    return with_codes(spark.createDataFrame([(*row, "-", "codebook-1", None) for row in rows], COLUMNS))


def test_tokens_are_one_each_for_a_real_tokenizer(spark: SparkSession) -> None:
    coded = codes(spark)
    sizes = level_sizes(coded, SIZES)
    assert sizes == [13, 8, 3]
    tokens = {row["item_id"]: row["tokens"] for row in as_tokens(coded, len(sizes)).collect()}
    assert tokens == {"a": "<a_12><b_7>", "b": "<a_1><b_0><c_2>", "c": "<a_12><b_7>"}
    bare = Tokenizer(WordLevel({"[UNK]": 0, "then": 1}, unk_token="[UNK]"))
    bare.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="[UNK]")
    assert tokenizer.add_tokens(token_names(sizes)) == 13 + 8 + 3
    assert tokenizer.tokenize(f"{tokens['b']} then {tokens['a']}") == [
        "<a_1>",
        "<b_0>",
        "<c_2>",
        "then",
        "<a_12>",
        "<b_7>",
    ]
    assert tokenizer.unk_token_id not in tokenizer(tokens["a"])["input_ids"]


def test_a_bundle_has_one_vocabulary_and_buckets_in_order(spark: SparkSession) -> None:
    items = item_to_sid(codes(spark), SIZES)
    rows = {row["item_id"]: row for row in items.collect()}
    assert {item: row["codebook"] for item, row in rows.items()} == {"a": [12, 7], "b": [1, 0], "c": [12, 7]}
    assert {item: row["offset_codebook"] for item, row in rows.items()} == {"a": [12, 20], "b": [1, 13], "c": [12, 20]}
    assert {item: row["index"] for item, row in rows.items()} == {"a": 0, "b": 0, "c": 1}
    buckets = [(row["codebook"], row["itemids"]) for row in sid_to_items(items, len(SIZES)).collect()]
    assert buckets == [([1, 0], ["b"]), ([12, 7], ["a", "c"])]


@pytest.mark.extras
def test_one_command_writes_each_form(first_night: Night, tmp_path: Path) -> None:
    lake, there = first_night.lake, first_night.sids()
    for form in export_semantic_ids.FORMATS:
        closing = export_semantic_ids.COMMAND.run(lake, argparse.Namespace(out=str(tmp_path / form), format=form))
        assert closing is not None
        assert closing["metrics"] == {"export.items": len(there)}
        assert "run_id" not in closing, "no table has a run of it"
    plain = pd.read_parquet(tmp_path / "parquet").set_index("item_id").sort_index()
    assert list(plain["sid"]) == list(there["sid"])
    lines = [json.loads(line) for part in (tmp_path / "tokens" / "items").glob("*.json") for line in part.open()]
    known = json.loads((tmp_path / "tokens" / "tokens.json").read_text())
    row = there.iloc[0]
    wanted = f"<a_{row['sid_1']}><b_{row['sid_2']}><c_{row['sid_3']}>"
    assert next(line["tokens"] for line in lines if line["item_id"] == there.index[0]) == wanted
    assert {part + ">" for line in lines for part in line["tokens"].split(">")[:-1]} <= set(known)
    manifest = json.loads((tmp_path / "torcheasyrec" / "manifest.json").read_text())
    assert manifest["codebook"] == first_night.codebook.card["sizes"]
    assert manifest["artifacts"]["item_to_sid"]["rows"] == len(there)
    bundle = pd.read_parquet(tmp_path / "torcheasyrec" / "item_to_sid")
    assert len(bundle) == len(there)
    assert manifest["capacity"] == bundle["index"].max() + 1
    with pytest.raises(UserError, match="is there already"):
        export_semantic_ids.COMMAND.run(lake, argparse.Namespace(out=str(tmp_path / "tokens"), format="tokens"))


def test_mistakes_are_one_line(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    for out, message in ((None, "--out FOLDER is missing"), (str(tmp_path / "new"), "there is no table semantic_ids")):
        with pytest.raises(UserError, match=message):
            export_semantic_ids.COMMAND.run(make_lake(), argparse.Namespace(out=out, format="parquet"))
