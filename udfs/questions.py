"""Writes questions with answers about contents, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from models.llm.endpoint import EndpointParameters, ask
from models.llm.questions import field_questions, writing_prompt, written_questions
from udfs.batches import Batches
from udfs.embed import texts_of

QUESTION_SCHEMA = "content_hash STRING, question STRING, answer STRING"

Questions = list[list[tuple[str, str]]]


def questions_from_fields(most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that writes questions from the fields and ``partners`` of contents.

    Args:
        most: most questions per content.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            names = ("title", "category", "attributes", "description", "partners")
            fields = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
            made = [
                field_questions(
                    title=title,
                    category=category,
                    attributes=dict(attributes or ()),
                    description=description,
                    partners=partners or (),
                )[:most]
                for title, category, attributes, description, partners in fields
            ]
            yield _rows(batch, made)

    return run


def questions_by_endpoint(parameters: EndpointParameters, most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that lets the model of an endpoint write questions.

    A content about which the model writes no question gives no row.

    Args:
        parameters: parameters of the requests; the limits are those of one task.
        most: most questions per content.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            replies = ask(
                parameters, [writing_prompt(text[: parameters.item_characters], most) for text in texts_of(batch)]
            )
            yield _rows(batch, [written_questions(reply.text or "", most) for reply in replies])

    return run


def _rows(batch: pa.RecordBatch, made: Questions) -> pa.RecordBatch:
    hashes = batch.column("content_hash").to_pylist()
    rows = [(content, *pair) for content, pairs in zip(hashes, made, strict=True) for pair in pairs]
    columns = [pa.array(column, pa.string()) for column in (zip(*rows, strict=True) if rows else ([], [], []))]
    return pa.RecordBatch.from_arrays(columns, ["content_hash", "question", "answer"])
