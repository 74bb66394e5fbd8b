"""Writes anchors of contents, on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from models.llm.anchors import anchor_prompt, field_anchors, written_anchors
from models.llm.endpoint import EndpointParameters, ask
from udfs.batches import Batches
from udfs.embed import texts_of

ANCHOR_SCHEMA = "content_hash STRING, field STRING, text STRING"


def anchors_from_fields(most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that writes anchors from the fields and ``partners`` of contents.

    Args:
        most: most characters of an anchor.
    """

    def made(batch: pa.RecordBatch) -> list[dict[str, str]]:
        names = ("title", "category", "attributes", "description", "partners")
        fields = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
        return [
            field_anchors(
                title=title,
                category=category,
                attributes=dict(attributes or ()),
                description=description,
                partners=partners or (),
                most=most,
            )
            for title, category, attributes, description, partners in fields
        ]

    return _batches(made)


def anchors_by_endpoint(parameters: EndpointParameters, most: int) -> Batches:
    """Makes the function for ``mapInArrow`` that lets the model of an endpoint write anchors.

    A content about which the model writes none gives no row.

    Args:
        parameters: parameters of the requests; the limits are those of one task.
        most: most characters of an anchor.
    """

    def made(batch: pa.RecordBatch) -> list[dict[str, str]]:
        texts = [text[: parameters.item_characters] for text in texts_of(batch)]
        return [written_anchors(reply.text or "", most) for reply in ask(parameters, [*map(anchor_prompt, texts)])]

    return _batches(made)


def _batches(made: Callable[[pa.RecordBatch], Sequence[Mapping[str, str]]]) -> Batches:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            hashes = batch.column("content_hash").to_pylist()
            rows = [
                (content, field, text)
                for content, of_content in zip(hashes, made(batch), strict=True)
                for field, text in of_content.items()
            ]
            columns = zip(*rows, strict=True) if rows else ([], [], [])
            arrays = [pa.array(list(column), pa.string()) for column in columns]
            yield pa.RecordBatch.from_arrays(arrays, ["content_hash", "field", "text"])

    return run
