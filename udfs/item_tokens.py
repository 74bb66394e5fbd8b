"""Tokenises the anchors of contents, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.llm.domain_tokens import DomainTokens
from models.llm.item_tokens import tokens_of
from models.llm.language_model import load_tokenizer
from udfs.arrays import list_column
from udfs.batches import Batches
from udfs.workers import shipped

ITEM_TOKEN_SCHEMA = "content_hash STRING, anchors_hash LONG, tokens ARRAY<LONG>"


@cache
def _tokenizer_of(folder: Path) -> Any:
    return load_tokenizer(folder)


def tokens_of_anchors(model: str, domain: DomainTokens, fields: Sequence[str], most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that tokenises contents, see :func:`models.llm.item_tokens.tokens_of`.

    The input has ``content_hash``, ``anchors_hash`` and ``anchors``, a list of structs of ``field`` and ``text``.

    Args:
        model: the shipped language model.
        domain: the domain tokens.
        fields: names of the fields that have rows.
        most: tokens of a content.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = _tokenizer_of(shipped(model))
        for batch in batches:
            anchors = [
                [(anchor["field"], anchor["text"]) for anchor in of_content]
                for of_content in batch.column("anchors").to_pylist()
            ]
            tokens = tokens_of(tokenizer, domain, fields, anchors, most=most)
            columns = [batch.column("content_hash"), batch.column("anchors_hash")]
            columns.append(list_column(tokens.reshape(len(anchors), 3 * most)))
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "anchors_hash", "tokens"])

    return run
