"""SQL views for analysts. ``{name}`` in a query is the place of a table's full name, or of a text of a night."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.formulas import prefix, shared_levels


@dataclass(frozen=True, kw_only=True)
class View:
    """One SQL view.

    Attributes:
        comment: what one row of the view is.
        query: its query; it reads tables, and no other views.
    """

    comment: str
    query: str


VIEWS: dict[str, View] = {
    "item_codes": View(
        comment="Every item with its codes, and how many items have the same semantic ID",
        query="""
        SELECT i.item_id, i.title, i.category, s.sid, s.sid_1, s.sid_2, s.sid_3,
               nullif(concat_ws('-', s.sid_1, s.sid_2), '') AS sid_prefix,
               count(*) OVER (PARTITION BY s.sid) AS items_with_this_sid,
               s.reconstruction_error, s.codebook_version, s.assigned_at
        FROM {items} i LEFT JOIN {semantic_ids} s ON i.item_id = s.item_id
    """,
    ),
    "items_coded": View(
        comment="Every item that has codes, with all of its columns but the image; conditions on sid_1, sid_2 and"
        " sid_3 read only the files of semantic_ids that can hold such codes",
        query="""
        SELECT s.item_id, i.title, i.category, i.attributes, i.description, i.first_seen, i.updated_at,
               s.sid, s.sid_1, s.sid_2, s.sid_3, concat_ws('-', s.sid_1, s.sid_2) AS sid_prefix, s.neighbours,
               s.reconstruction_error, s.content_hash, s.codebook_version, s.assigned_at
        FROM {semantic_ids} s JOIN {items} i ON s.item_id = i.item_id
    """,
    ),
    "sid_occupancy": View(
        comment="Number of items and contents of every prefix of codes, at every level",
        query=f"""
        SELECT codebook_version, level, prefix, count(*) AS items, count(DISTINCT content_hash) AS contents,
               min_by(title, item_id) AS example_title
        FROM (
            SELECT s.item_id, s.codebook_version, s.content_hash, i.title, level,
                   {prefix("s.sid", "level")} AS prefix
            FROM {{semantic_ids}} s JOIN {{items}} i ON s.item_id = i.item_id
            LATERAL VIEW explode(sequence(1, size(split(s.sid, '-')))) l AS level
        )
        GROUP BY codebook_version, level, prefix
    """,
    ),
    "moved_sids": View(
        comment="Every assignment and change of an item's semantic ID, with its title and the reason",
        query="""
        SELECT c.item_id, i.title, c.reason, c.old_sid, c.new_sid, c.old_codebook_version, c.codebook_version,
               c.table_version, c.changed_at
        FROM {sid_changes} c LEFT JOIN {items} i ON c.item_id = i.item_id
    """,
    ),
    "judged_pairs": View(
        comment="Every pair of items with both titles and the verdict of the judge",
        query="""
        SELECT p.source, p.trigger_item_id, a.title AS trigger_title, p.target_item_id, b.title AS target_title,
               p.score, p.support, p.verdict, p.judge_score, p.judge
        FROM {item_pairs} p
        JOIN {items} a ON p.trigger_item_id = a.item_id
        JOIN {items} b ON p.target_item_id = b.item_id
    """,
    ),
    "pairs_explained": View(
        comment="Every pair of items with titles, categories, codes, how many codes they share, the verdict of the"
        " judge, and its reason where it gave one",
        query=f"""
        SELECT p.source, p.trigger_item_id, a.title AS trigger_title, a.category AS trigger_category,
               p.target_item_id, b.title AS target_title, b.category AS target_category,
               a.content_hash = b.content_hash AS same_content, a.category <=> b.category AS same_category,
               x.sid AS trigger_sid, y.sid AS target_sid, {shared_levels("x.sid", "y.sid")} AS shared_levels,
               p.score, p.support, p.verdict, p.judge_score, v.reason, p.judge
        FROM {{item_pairs}} p
        JOIN {{items}} a ON p.trigger_item_id = a.item_id
        JOIN {{items}} b ON p.target_item_id = b.item_id
        LEFT JOIN {{semantic_ids}} x ON p.trigger_item_id = x.item_id
        LEFT JOIN {{semantic_ids}} y ON p.target_item_id = y.item_id
        LEFT JOIN {{pair_verdicts}} v
          ON v.judge = p.judge AND v.trigger_content = a.content_hash AND v.target_content = b.content_hash
    """,
    ),
    "positive_events": View(
        comment="Every moment at which a user took an item: the events whose action is positive for a task",
        query="""
        SELECT DISTINCT user_id, item_id, event_time, event_date FROM {interactions}
        WHERE action IN ({positive_actions})
    """,
    ),
    "quality_over_time": View(
        comment="Every number that a run measured, beside that of the run before it, and what became of the night",
        query="""
        SELECT m.run_id, m.created_at AS measured_at, m.name, m.slice, m.value,
               lag(m.value) OVER (PARTITION BY m.name, m.slice ORDER BY m.created_at, m.run_id) AS value_before,
               m.value - lag(m.value) OVER (PARTITION BY m.name, m.slice ORDER BY m.created_at, m.run_id) AS change,
               p.published_at, p.verdict
        FROM {metrics} m LEFT JOIN {published} p ON m.run_id = p.run_id
    """,
    ),
}
"""The views by name."""
