"""Tables of embeddings and semantic IDs."""

from __future__ import annotations

from schemas.contract import Column, Contract

ITEM_EMBEDDINGS = Contract(
    name="item_embeddings",
    comment="The language model's embedding of every item",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("embedding", "ARRAY<FLOAT>", "Embedding of the item, L2 norm 1", nullable=False),
        Column(
            "search_embedding",
            "ARRAY<FLOAT>",
            "Embedding reduced by PCA, for the search of histories (GSU), L2 norm 1",
            nullable=False,
        ),
        Column(
            "text_embedding",
            "ARRAY<FLOAT>",
            "PCA-reduced embedding by the unaligned language model, L2 norm 1; equal to search_embedding if"
            " align.steps = 0",
            nullable=False,
        ),
        Column("content_hash", "STRING", "items.content_hash of the content that was embedded", nullable=False),
        Column("encoder_version", "STRING", "Version of the encoder artifact that made the embedding", nullable=False),
    ),
    key=("item_id",),
    checks={"unit_norm": "abs(aggregate(embedding, 0D, (s, x) -> s + x * x) - 1) < 1e-3"},
)

SEMANTIC_IDS = Contract(
    name="semantic_ids",
    comment="The semantic ID of every item",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("sid_1", "INT", "Code of level 1 (k-means by default)", nullable=False),
        Column(
            "sid_2", "INT", "Code of level 2 (k-means on the residual by default); null if the method has one level"
        ),
        Column("sid_3", "INT", "Code of level 3 (FSQ of the residual by default); null if the method has fewer levels"),
        Column(
            "sid", "STRING", "Semantic ID: sid_1, sid_2, sid_3 and the codes of sid_more, joined by -", nullable=False
        ),
        Column("neighbours", "ARRAY<STRING>", "Nearest items with other content, nearest first (QARM V1's VQ code)"),
        Column(
            "reconstruction_error",
            "FLOAT",
            "Squared distance of the embedding and its reconstruction, divided by its squared norm",
            nullable=False,
        ),
        Column("encoder_version", "STRING", "Version of the encoder artifact that made the embedding", nullable=False),
        Column(
            "codebook_version", "STRING", "Version of the codebook artifact that assigned the codes", nullable=False
        ),
        Column("assigned_at", "TIMESTAMP", "When the codes were assigned", nullable=False),
        Column(
            "sid_more",
            "ARRAY<INT>",
            "Codes of levels 4 and higher, then the suffix that makes contents with equal codes distinct",
        ),
        Column("content_hash", "STRING", "items.content_hash of the content that got the codes", nullable=False),
    ),
    key=("item_id",),
    checks={
        "codes_not_negative": "sid_1 >= 0 AND coalesce(sid_2, 0) >= 0 AND coalesce(sid_3, 0) >= 0",
        "sid_is_its_codes": "sid = concat_ws('-', sid_1, sid_2, sid_3, CAST(sid_more AS ARRAY<STRING>))",
        "error_not_negative": "reconstruction_error >= 0",
    },
    cluster_by=("sid_1", "sid_2", "sid_3"),
    # Codes are compared over months, so every version stays readable; VACUUM also keeps the files of ten years.
    properties={
        "delta.enableChangeDataFeed": "true",
        "delta.logRetentionDuration": "interval 3650 days",
        "delta.deletedFileRetentionDuration": "interval 3650 days",
    },
)

SID_CHANGES = Contract(
    name="sid_changes",
    comment="Every assignment and change of an item's semantic ID, with the reason",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column(
            "reason",
            "STRING",
            "Why the semantic ID was assigned or changed: new item, changed text or new codebook",
            nullable=False,
        ),
        Column("old_sid", "STRING", "Semantic ID of the item before the change; null for a new item"),
        Column("new_sid", "STRING", "Semantic ID of the item after the change", nullable=False),
        Column("old_codebook_version", "STRING", "Version of the codebook of old_sid; null for a new item"),
        Column("codebook_version", "STRING", "Version of the codebook of new_sid", nullable=False),
        Column("table_version", "LONG", "First version of table semantic_ids that holds new_sid", nullable=False),
        Column("changed_at", "TIMESTAMP", "When new_sid was written to table semantic_ids", nullable=False),
    ),
    key=("item_id", "table_version"),
    checks={"known_reason": "reason IN ('new item', 'changed text', 'new codebook')"},
)
