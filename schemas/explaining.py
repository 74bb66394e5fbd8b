"""Queries of the SQL functions that tell what the search found for a user, and what the ranker read."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.feature import Reads
from schemas.features import FEATURES
from schemas.formulas import cosine

SIMILARITY = cosine("a.search_embedding", "b.search_embedding")

FOUND = """
    FROM {targets} t
    JOIN {positive_events} h ON h.user_id = t.user_id AND h.event_time < t.event_time
    JOIN {item_embeddings} a ON a.item_id = t.item_id
    JOIN {item_embeddings} b ON b.item_id = h.item_id
    JOIN {items} i ON i.item_id = t.item_id
    JOIN {items} j ON j.item_id = h.item_id
    JOIN {semantic_ids} c ON c.item_id = t.item_id
    JOIN {semantic_ids} d ON d.item_id = h.item_id
    WHERE {search_condition}
"""
"""The earlier events that a search looks at for each of the targets ``t``."""

SEARCHES: dict[str, tuple[str, str]] = {
    "embedding": ("true", f"{SIMILARITY} DESC, h.event_time DESC, h.item_id DESC"),
    "category": ("i.category = j.category", "h.event_time DESC, h.item_id DESC"),
    "sid": ("c.sid_1 = d.sid_1", "(c.sid_2 <=> d.sid_2) DESC, h.event_time DESC, h.item_id DESC"),
    "recent": ("true", "h.event_time DESC, h.item_id DESC"),
}
"""For each value of ``examples.search``, which earlier events it finds, and in what order, in SQL."""

LAST_EVENTS = """(
        SELECT * FROM (
            SELECT *, row_number() OVER (ORDER BY event_time DESC, item_id DESC) AS nth FROM {positive_events}
            WHERE user_id = user_story.user_id
        ) WHERE nth <= user_story.events
    )"""

STORY = f"""
    SELECT event_time, item_id, title, CAST(place AS INT), found_time, found_item_id, found_title, score
    FROM (
        SELECT t.event_time, t.item_id, i.title, h.event_time AS found_time, h.item_id AS found_item_id,
               j.title AS found_title, {SIMILARITY} AS score,
               row_number() OVER (PARTITION BY t.event_time, t.item_id ORDER BY {{search_order}}) AS place
        {FOUND.replace("{targets}", LAST_EVENTS)}
    )
    WHERE place <= user_story.found
"""


def _numbers() -> Iterator[tuple[str, str]]:
    """Names of the numbers that the ranker's head reads, with SQL for the bucket that a number falls into."""
    for feature in FEATURES:
        if not feature.numbers or feature.width is not None:
            continue
        bucket = "log2(1 + greatest({x}, 0))" if feature.reads is Reads.LOG1P else "10 * {x}"
        for name in [f"{feature.name}.{part}" for part in feature.part_names] or [feature.name]:
            yield name, f"CAST(floor({bucket.format(x=f'CAST(e.{name} AS DOUBLE)')}) AS INT)"


NAMES, BUCKETS = zip(*_numbers(), strict=True)

SCORED = f"""
    SELECT p.example_id, p.user_id, p.item_id, p.split, e.event_time, p.label_{{task}} AS label,
           p.score_{{task}} AS score, array({", ".join(f"CAST(e.{name} AS DOUBLE)" for name in NAMES)}) AS numbers,
           array({", ".join(BUCKETS)}) AS buckets
    FROM {{predictions}} p JOIN {{ranker_examples}} e ON e.example_id = p.example_id
"""
"""The scored examples with the numbers that the ranker read. Each number falls into a bucket: powers of 2 for counts,
tenths for cosines."""

NEWEST = f"""(
        SELECT * FROM (
            SELECT *, row_number() OVER (ORDER BY event_time DESC, example_id) AS nth FROM ({SCORED})
            WHERE user_id = score_explained.user_id AND item_id = score_explained.item_id
        ) WHERE nth = 1
    )"""

USUAL = ", ".join(f"avg(CASE WHEN s.buckets[{n}] = t.buckets[{n}] THEN s.score END)" for n in range(len(NAMES)))

EXPLAINED = f"""
    SELECT event_time, label, score, 'number', array({", ".join(f"'{name}'" for name in NAMES)})[k],
           numbers[k], usual[k], usual[k] - mean, CAST(NULL AS TIMESTAMP)
    FROM (
        SELECT *, explode(sequence(0, {len(NAMES) - 1})) AS k
        FROM (
            SELECT t.event_time, t.label, t.score, t.numbers, avg(s.score) AS mean, array({USUAL}) AS usual
            FROM {NEWEST} t JOIN ({SCORED}) s ON s.split = 'test'
            GROUP BY t.event_time, t.label, t.score, t.numbers, t.buckets
        )
    )
    UNION ALL
    SELECT event_time, label, score, 'found event', found_title, similarity, NULL, NULL, found_time
    FROM (
        SELECT t.event_time, t.label, t.score, h.event_time AS found_time, j.title AS found_title,
               {SIMILARITY} AS similarity, row_number() OVER (ORDER BY {{search_order}}) AS place
        {FOUND.replace("{targets}", NEWEST)}
    )
    WHERE place <= score_explained.found
"""
