"""SQL functions for analysts: queries and expressions with parameters, planned like a view. No Python runs in them.

``{name}`` in a query is the place of the full name of a table or a view, or of a text of a night. A parameter is named
with its function, ``sid_siblings.item_id``, because a column of the same name would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.contract import Column, sql_literal
from schemas.explaining import EXPLAINED, STORY
from schemas.formulas import cosine, prefix, shared_levels


@dataclass(frozen=True, kw_only=True)
class SqlFunction:
    """One SQL function.

    Attributes:
        parameters: the parameters in SQL, with their defaults.
        comment: what one row of the result is, or what its value is.
        returns: the columns of the result; for a function that returns a value, its type.
        query: the query, or the expression of the value.
    """

    parameters: str
    comment: str
    returns: tuple[Column, ...] | str
    query: str

    def definition(self, query: str) -> str:
        """What follows the function's name in CREATE FUNCTION.

        Args:
            query: the query with the names of the tables in place.
        """
        if isinstance(self.returns, str):
            result = self.returns
        else:
            columns = (f"{c.name} {c.type} COMMENT {sql_literal(c.comment)}" for c in self.returns)
            result = f"TABLE ({', '.join(columns)})"
        return f"({self.parameters}) RETURNS {result} COMMENT {sql_literal(self.comment)} RETURN {query}"


ITEM_ID = Column("item_id", "STRING", "The item")
TITLE = Column("title", "STRING", "Title of the item")
CATEGORY = Column("category", "STRING", "Category of the item")
SID = Column("sid", "STRING", "Semantic ID of the item")


def _code(place: int) -> str:
    """SQL for one code of the prefix that items_with_prefix is given; null if it has no number there."""
    return f"try_cast(get(split(items_with_prefix.prefix, '-'), {place}) AS INT)"


FUNCTIONS: dict[str, SqlFunction] = {
    "cosine": SqlFunction(
        parameters="a ARRAY<FLOAT>, b ARRAY<FLOAT>",
        comment="The cosine of two embeddings, which have norm 1",
        returns="DOUBLE",
        query=cosine("cosine.a", "cosine.b"),
    ),
    "sid_siblings": SqlFunction(
        parameters="item_id STRING, levels INT DEFAULT 2",
        comment="The other items whose first codes are those of an item",
        returns=(
            ITEM_ID,
            TITLE,
            CATEGORY,
            SID,
            Column("shared_levels", "INT", "Number of leading codes that both items have in common"),
            Column("same_content", "BOOLEAN", "Whether the texts of both items are the same"),
        ),
        query=f"""
        SELECT o.item_id, i.title, i.category, o.sid, {shared_levels("o.sid", "m.sid")} AS shared_levels,
               o.content_hash = m.content_hash AS same_content
        FROM {{semantic_ids}} m
        JOIN {{semantic_ids}} o ON o.sid_1 = m.sid_1 AND {prefix("o.sid", "sid_siblings.levels")}
                                                   = {prefix("m.sid", "sid_siblings.levels")}
        JOIN {{items}} i ON i.item_id = o.item_id
        WHERE m.item_id = sid_siblings.item_id AND o.item_id <> sid_siblings.item_id
    """,
    ),
    "sid_neighbours": SqlFunction(
        parameters="item_id STRING, k INT DEFAULT 10",
        comment="The nearest items of other content by embedding, as assign_semantic_ids found them",
        returns=(
            Column("place", "INT", "1 for the nearest item"),
            ITEM_ID,
            TITLE,
            CATEGORY,
            SID,
            Column("similarity", "DOUBLE", "Cosine of the embeddings of both items"),
            Column("shared_levels", "INT", "Number of leading codes that both items have in common"),
        ),
        query=f"""
        SELECT m.place + 1 AS place, o.item_id, i.title, i.category, o.sid, {cosine("e.embedding", "f.embedding")},
               {shared_levels("o.sid", "m.sid")}
        FROM (SELECT item_id, sid, posexplode(neighbours) AS (place, near) FROM {{semantic_ids}}) m
        JOIN {{semantic_ids}} o ON o.item_id = m.near
        JOIN {{items}} i ON i.item_id = m.near
        JOIN {{item_embeddings}} e ON e.item_id = m.item_id
        JOIN {{item_embeddings}} f ON f.item_id = m.near
        WHERE m.item_id = sid_neighbours.item_id AND m.place < sid_neighbours.k
    """,
    ),
    "items_with_prefix": SqlFunction(
        parameters="prefix STRING",
        comment="The items whose semantic ID begins with a prefix such as 12-7; only the files of semantic_ids that can"
        " hold such codes are read. No items for a text that is no prefix",
        returns=(ITEM_ID, TITLE, CATEGORY, SID),
        query=f"""
        SELECT s.item_id, i.title, i.category, s.sid
        FROM {{semantic_ids}} s JOIN {{items}} i ON i.item_id = s.item_id
        WHERE s.sid_1 = {_code(0)}
          AND ({_code(1)} IS NULL OR s.sid_2 = {_code(1)})
          AND ({_code(2)} IS NULL OR s.sid_3 = {_code(2)})
          AND startswith(concat(s.sid, '-'), concat(items_with_prefix.prefix, '-'))
    """,
    ),
    "bucket_occupancy": SqlFunction(
        parameters="level INT DEFAULT 1",
        comment="What each prefix of so many codes holds: how many items, and how purely they are of one category."
        " Items with fewer codes are left out",
        returns=(
            Column("prefix", "STRING", "The first codes of the items"),
            Column("items", "BIGINT", "Number of items with these codes"),
            Column("contents", "BIGINT", "Number of different texts of these items"),
            Column("categories", "BIGINT", "Number of categories of these items; an unknown category is none"),
            Column("top_category", "STRING", "The category of most of these items; null if all are unknown"),
            Column("purity", "DOUBLE", "Share of all these items that are of the top category; null if there is none"),
            Column("example_title", "STRING", "Title of the first of these items by item_id"),
        ),
        query=f"""
        SELECT prefix, sum(items), count(DISTINCT content_hash), count(DISTINCT category),
               min_by(category, (-of_category, category)) FILTER (WHERE category IS NOT NULL),
               max(of_category) FILTER (WHERE category IS NOT NULL) / sum(items), min_by(title, first_item)
        FROM (
            SELECT *, sum(items) OVER (PARTITION BY prefix, category) AS of_category
            FROM (
                SELECT {prefix("s.sid", "bucket_occupancy.level")} AS prefix, s.content_hash,
                       i.category, count(*) AS items, min(s.item_id) AS first_item, min_by(i.title, s.item_id) AS title
                FROM {{semantic_ids}} s JOIN {{items}} i ON i.item_id = s.item_id
                WHERE size(split(s.sid, '-')) >= bucket_occupancy.level
                GROUP BY 1, 2, 3
            )
        )
        GROUP BY prefix
    """,
    ),
    "sid_changes": SqlFunction(
        parameters="since TIMESTAMP, until TIMESTAMP DEFAULT TIMESTAMP'9999-12-31'",
        comment="Items whose semantic ID was given or changed from a time on and before another, with the reason",
        returns=(
            ITEM_ID,
            TITLE,
            Column("reason", "STRING", "new item, changed text or new codebook"),
            Column("old_sid", "STRING", "Semantic ID before the change; null for a new item"),
            Column("new_sid", "STRING", "Semantic ID after the change"),
            Column("kept_levels", "INT", "Number of leading codes that stayed the same; null for a new item"),
            Column("changed_at", "TIMESTAMP", "When the new semantic ID was written"),
        ),
        query=f"""
        SELECT c.item_id, i.title, c.reason, c.old_sid, c.new_sid,
               {shared_levels("c.old_sid", "c.new_sid")}, c.changed_at
        FROM {{sid_changes}} c LEFT JOIN {{items}} i ON i.item_id = c.item_id
        WHERE c.changed_at >= sid_changes.since AND c.changed_at < sid_changes.until
    """,
    ),
    "user_story": SqlFunction(
        parameters="user_id STRING, events INT DEFAULT 5, found INT DEFAULT 10",
        comment="What the search finds in the user's history for each of the user's last events, best first",
        returns=(
            Column("event_time", "TIMESTAMP", "When the user took the item that is searched for"),
            Column("item_id", "STRING", "The item that is searched for"),
            Column("title", "STRING", "Title of the item that is searched for"),
            Column("place", "INT", "1 for the best of the earlier events"),
            Column("found_time", "TIMESTAMP", "When the earlier event was"),
            Column("found_item_id", "STRING", "Item of the earlier event"),
            Column("found_title", "STRING", "Title of the item of the earlier event"),
            Column("score", "DOUBLE", "Cosine of both items' search embeddings, as in found_score"),
        ),
        query=STORY,
    ),
    "score_explained": SqlFunction(
        parameters="user_id STRING, item_id STRING, found INT DEFAULT 10",
        comment="What the ranker read for the newest scored example of a user and an item: its numbers, each with the"
        " mean score of all test examples with about that number, and the earlier events that the search finds",
        returns=(
            Column("event_time", "TIMESTAMP", "Time of the example"),
            Column("label", "FLOAT", "Whether the user took the item: the label of the first task"),
            Column("score", "FLOAT", "The ranker's score for the first task"),
            Column("part", "STRING", "number, or found event"),
            Column("name", "STRING", "Name of the number, or title of the event's item"),
            Column("value", "DOUBLE", "The number, or the cosine of both items' search embeddings"),
            Column("usual_score", "DOUBLE", "Mean score of test examples with about that number; null for an event"),
            Column("lift", "DOUBLE", "usual_score less the mean score of all test examples; null for an event"),
            Column("found_time", "TIMESTAMP", "When the found event was; null for a number"),
        ),
        query=EXPLAINED,
    ),
}
"""The functions by name. They read tables and views."""

MODEL_FUNCTIONS = (
    "embed_text",
    "item_text",
    "semantic_id",
    "semantic_id_of_text",
    "semantic_id_prefix",
    "sid_distance",
)
"""Names of the functions that :mod:`udfs.text_model` makes. They stand here too, so that a shell knows them before it
loads torch."""
