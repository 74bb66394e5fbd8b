"""Tables of what came in: the log, the catalogue, refused rows, and files that were taken in."""

from __future__ import annotations

from schemas.contract import Column, Contract

INTERACTIONS = Contract(
    name="interactions",
    comment="The interaction log: which user did what on which item, and when",
    columns=(
        Column("user_id", "STRING", "The user who acted", nullable=False),
        Column("item_id", "STRING", "The item acted on; always an item of table items", nullable=False),
        Column("event_time", "TIMESTAMP", "Time of the event, UTC", nullable=False),
        Column(
            "action",
            "STRING",
            "Kind of the event, free text; setting ranking.tasks lists the positive actions",
            nullable=False,
        ),
        Column("weight", "DOUBLE", "Strength of the event; 1 if the log gives none", nullable=False),
        Column("event_date", "DATE", "UTC day of event_time", nullable=False),
    ),
    key=("user_id", "item_id", "event_time", "action"),
    checks={"weight_is_a_number": "weight >= 0 AND NOT isnan(weight)", "date_of_time": "event_date = DATE(event_time)"},
    partition_by=("event_date",),
    cluster_by=("user_id",),
    properties={"delta.enableChangeDataFeed": "true"},  # later nights read the new events alone
)

ITEMS = Contract(
    name="items",
    comment="The item catalogue",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("title", "STRING", "Title of the item"),
        Column("category", "STRING", "Category of the item"),
        Column("attributes", "MAP<STRING,STRING>", "Further columns of the input, by column name"),
        Column("description", "STRING", "Longer text about the item"),
        Column("image", "BINARY", "Encoded image of the item; null if the input has none"),
        Column(
            "content_hash",
            "STRING",
            "SHA-256 of the item's title, category, attributes, description and image",
            nullable=False,
        ),
        Column("first_seen", "TIMESTAMP", "When the item was first ingested", nullable=False),
        Column("updated_at", "TIMESTAMP", "When the item's content last changed", nullable=False),
    ),
    key=("item_id",),
    checks={
        "has_content": "title IS NOT NULL OR category IS NOT NULL OR description IS NOT NULL OR size(attributes) > 0"
    },
)

REJECTED_ROWS = Contract(
    name="rejected_rows",
    comment="Input rows that ingest rejected, with the reason",
    columns=(
        Column("source", "STRING", "Input that held the row: interactions or items", nullable=False),
        Column("reason", "STRING", "Why the row was rejected, e.g. unknown_item", nullable=False),
        Column("row", "STRING", "The input row as JSON; of a malformed row, its file, number and text", nullable=False),
        Column("run_id", "STRING", "The run that rejected the row", nullable=False),
    ),
)

INGESTED_FILES = Contract(
    name="ingested_files",
    comment="Files of the log that ingest took in; a later run reads only files that are new or changed",
    columns=(
        Column("source", "STRING", "Input that the file belongs to: interactions", nullable=False),
        Column("path", "STRING", "Full path of the file, with its scheme", nullable=False),
        Column("size", "LONG", "Size of the file in bytes when it was read", nullable=False),
        Column("modified", "LONG", "Time of its last change, in milliseconds since 1970", nullable=False),
        Column("run_id", "STRING", "The run that read the file last", nullable=False),
        Column("read_at", "TIMESTAMP", "When the file was read, UTC", nullable=False),
    ),
    key=("source", "path"),
)
