"""The map of items on the page: a sample of the contents by embedding, each with its codes and title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.page.figure import Figure
from models.projection import FEWEST, plane_of

TITLE_LENGTH = 90


def sample_of(contents: DataFrame, embeddings: DataFrame, most: int) -> DataFrame:
    """The contents on the map, the same from night to night: those whose hashes are the smallest.

    Args:
        contents: one row per content: item_id, content_hash, sid, sid_1, sid_2, title, category, items.
        embeddings: item_id, search_embedding.
        most: most contents.

    Returns:
        The columns of both, at most ``most`` rows.
    """
    chosen = contents.orderBy(F.xxhash64(F.lit("map"), "content_hash"), "content_hash").limit(most)
    return chosen.join(embeddings.select("item_id", "search_embedding"), "item_id").orderBy("content_hash")


def places_of(sample: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """Places of contents on the map, shape (n, 2); None with too few contents. It takes seconds of one core.

    Args:
        sample: rows of :func:`sample_of`, each as a mapping.
    """
    if len(sample) < FEWEST:
        return None
    vectors = np.array([row["search_embedding"] for row in sample])
    return plane_of(vectors).astype(np.float64).round(3)  # float32 would have 17 digits on the page


def map_figure(
    rows: Sequence[Mapping[str, Any]], plane: NDArray[np.float64] | None, words: dict[int, dict[str, Any]]
) -> Figure | None:
    """The map; None with too few contents. Driver memory: the titles of the sample, beside the rows themselves.

    Args:
        rows: rows of :func:`sample_of`, each as a mapping.
        plane: result of :func:`places_of`.
        words: what the first codes hold, by code, see :func:`jobs.page.words.first_codes`.
    """
    if plane is None:
        return None
    titles = [(row["title"] or row["category"] or "")[:TITLE_LENGTH] for row in rows]
    categories = sorted({row["category"] or "" for row in rows})
    place = {category: i for i, category in enumerate(categories)}
    codes = {row["sid_1"] for row in rows}
    data = {
        "x": plane[:, 0].tolist(),
        "y": plane[:, 1].tolist(),
        "code": [row["sid_1"] for row in rows],
        "second": [row["sid_2"] for row in rows],
        "sid": [row["sid"] for row in rows],
        "title": titles,
        "category": [place[row["category"] or ""] for row in rows],
        "categories": categories,
        "items": [row["items"] for row in rows],
        "words": {str(code): words[code]["words"] for code in codes & words.keys()},
    }
    title = f"{len(rows):,} distinct contents, similar ones near each other, coloured by their {len(codes)} first codes"
    return Figure(
        name="map",
        title=title,
        alt=f"{title}. The table of first codes below says the same in words",
        kind="map",
        data=data,
    )
