"""Turns contents and their questions into token ids, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.llm.language_model import load_tokenizer
from models.llm.prompts import embedding_prompt
from udfs.arrays import list_column
from udfs.batches import Batches
from udfs.embed import texts_of
from udfs.workers import shipped

TOKEN_SCHEMA = "content_hash STRING, tokens ARRAY<INT>"
QUESTION_TOKEN_SCHEMA = "content_hash STRING, question ARRAY<INT>, answer ARRAY<INT>"

_tokenizer = cache(load_tokenizer)


def tokens_of_contents(model: str, most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that gives the token ids, plus 1, of the prompts that embed contents.

    Args:
        model: the shipped language model.
        most: tokens per content; longer prompts are cut, shorter ones padded by 0.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = [embedding_prompt(text) for text in texts_of(batch)]
            columns = [batch.column("content_hash"), _tokens(shipped(model), texts, most, special=True)]
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "tokens"])

    return run


def tokens_of_questions(model: str, most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that gives the token ids, plus 1, of questions and answers.

    Args:
        model: the shipped language model.
        most: tokens per question and per answer; longer texts are cut, shorter ones padded by 0.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            questions = [f"\nQuestion: {text}\nAnswer:" for text in batch.column("question").to_pylist()]
            answers = [f" {text}" for text in batch.column("answer").to_pylist()]
            columns = [_tokens(shipped(model), texts, most, special=False) for texts in (questions, answers)]
            yield pa.RecordBatch.from_arrays(
                [batch.column("content_hash"), *columns], ["content_hash", "question", "answer"]
            )

    return run


def _tokens(folder: Path, texts: Sequence[str], most: int, special: bool) -> pa.Array:
    tokenizer: Any = _tokenizer(folder)
    rows = np.zeros((len(texts), most), np.int32)
    if texts:
        found = tokenizer(list(texts), truncation=True, max_length=most, add_special_tokens=special)["input_ids"]
        for row, ids in zip(rows, found, strict=True):
            row[: len(ids)] = np.array(ids, np.int32) + 1
    return list_column(rows)
