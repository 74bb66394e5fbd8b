"""SQL views for analysts. ``{name}`` in a query is the place of a table's full name."""

from __future__ import annotations

VIEWS: dict[str, str] = {
    "item_codes": """
        SELECT i.item_id, i.title, i.category, s.sid, s.sid_1, s.sid_2, s.sid_3,
               count(*) OVER (PARTITION BY s.sid) AS items_with_this_sid,
               s.reconstruction_error, s.codebook_version, s.assigned_at
        FROM {items} i LEFT JOIN {semantic_ids} s ON i.item_id = s.item_id
    """,
    "sid_occupancy": """
        SELECT codebook_version, level, prefix, count(*) AS items, count(DISTINCT content_hash) AS contents,
               min_by(title, item_id) AS example_title
        FROM (
            SELECT s.item_id, s.codebook_version, s.content_hash, i.title, level,
                   array_join(slice(split(s.sid, '-'), 1, level), '-') AS prefix
            FROM {semantic_ids} s JOIN {items} i ON s.item_id = i.item_id
            LATERAL VIEW explode(sequence(1, size(split(s.sid, '-')))) l AS level
        )
        GROUP BY codebook_version, level, prefix
    """,
    "moved_sids": """
        SELECT c.item_id, i.title, c.reason, c.old_sid, c.new_sid, c.old_codebook_version, c.codebook_version,
               c.table_version, c.changed_at
        FROM {sid_changes} c LEFT JOIN {items} i ON c.item_id = i.item_id
    """,
    "judged_pairs": """
        SELECT p.source, p.trigger_item_id, a.title AS trigger_title, p.target_item_id, b.title AS target_title,
               p.score, p.support, p.verdict, p.judge_score, p.judge
        FROM {item_pairs} p
        JOIN {items} a ON p.trigger_item_id = a.item_id
        JOIN {items} b ON p.target_item_id = b.item_id
    """,
}
"""Queries of the views by name.

``item_codes``: items with titles and codes; ``sid_occupancy``: number of items and contents per code prefix;
``moved_sids``: assigned and changed semantic IDs with the reason; ``judged_pairs``: pairs with titles and verdicts.
"""
