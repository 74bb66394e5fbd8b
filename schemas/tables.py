"""The contracts of every table. Names and columns are public: users' SQL depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract
from schemas.examples import label_columns, ranker_examples
from schemas.names import PAIR_SOURCES

INTERACTIONS = Contract(
    name="interactions",
    comment="The interaction log: who did what to which item, when",
    columns=(
        Column("user_id", "STRING", "Who acted", nullable=False),
        Column("item_id", "STRING", "What they acted on; always an item of items", nullable=False),
        Column("event_time", "TIMESTAMP", "When, UTC", nullable=False),
        Column("action", "STRING", "What they did, free text; settings say which actions are positive", nullable=False),
        Column("weight", "DOUBLE", "Strength of the event, 1 where the log has none", nullable=False),
        Column("event_date", "DATE", "UTC day of event_time", nullable=False),
    ),
    key=("user_id", "item_id", "event_time", "action"),
    checks={"weight_is_a_number": "weight >= 0 AND NOT isnan(weight)", "date_of_time": "event_date = DATE(event_time)"},
    partition_by=("event_date",),
)

ITEMS = Contract(
    name="items",
    comment="The item catalogue",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("title", "STRING", "Its title"),
        Column("category", "STRING", "Its category"),
        Column("attributes", "MAP<STRING,STRING>", "Every further column of the input, by name"),
        Column("description", "STRING", "Longer text"),
        Column("image", "BINARY", "Encoded image, where the input has one"),
        Column("content_hash", "STRING", "SHA-256 of all of the item's content", nullable=False),
        Column("first_seen", "TIMESTAMP", "When the item was first ingested", nullable=False),
        Column("updated_at", "TIMESTAMP", "When its content last changed", nullable=False),
    ),
    key=("item_id",),
    checks={
        "has_content": "title IS NOT NULL OR category IS NOT NULL OR description IS NOT NULL OR size(attributes) > 0"
    },
)

REJECTED_ROWS = Contract(
    name="rejected_rows",
    comment="Every input row that was not taken, with the reason",
    columns=(
        Column("source", "STRING", "interactions or items", nullable=False),
        Column("reason", "STRING", "Why the row was not taken", nullable=False),
        Column("row", "STRING", "The row as JSON", nullable=False),
        Column("run_id", "STRING", "The run that rejected it", nullable=False),
    ),
)

ITEM_PAIRS = Contract(
    name="item_pairs",
    comment="Item pairs mined from the log's train period, and what a language model says of them",
    columns=(
        Column("source", "STRING", "item2item (Swing) or user2item (two-tower)", nullable=False),
        Column("trigger_item_id", "STRING", "The item one comes from", nullable=False),
        Column("target_item_id", "STRING", "The item one goes to", nullable=False),
        Column("score", "DOUBLE", "The miner's score, higher is closer", nullable=False),
        Column("support", "LONG", "How many users (item2item) or events (user2item) stand behind it", nullable=False),
        Column("verdict", "STRING", "keep, reject, or null where not judged"),
        Column("judge_score", "DOUBLE", "The judge's score, higher is more related"),
        Column("judge", "STRING", "Which judge and model gave the verdict"),
        Column("run_id", "STRING", "The run that mined the pair", nullable=False),
    ),
    key=("source", "trigger_item_id", "target_item_id"),
    checks={
        "known_source": f"source IN {PAIR_SOURCES!r}",
        "known_verdict": "verdict IS NULL OR verdict IN ('keep', 'reject')",
        "two_items": "trigger_item_id <> target_item_id",
        "score_is_a_number": "NOT isnan(score)",
    },
    # Every file holds items of all names; statistics but of the source would skip none, and cost a third of the write.
    properties={"delta.dataSkippingNumIndexedCols": "1"},
)

PAIR_VERDICTS = Contract(
    name="pair_verdicts",
    comment="What a judge said of two contents; asked once, whatever pairs and nights they come in",
    columns=(
        Column("judge", "STRING", "Which judge, wording and model", nullable=False),
        Column("trigger_content", "STRING", "items.content_hash of the trigger", nullable=False),
        Column("target_content", "STRING", "items.content_hash of the target", nullable=False),
        Column("judge_score", "DOUBLE", "The judge's score, higher is more related; null: a reply without an answer"),
        Column("reason", "STRING", "In the judge's words, where it gives one"),
        Column("judged_at", "TIMESTAMP", "When", nullable=False),
    ),
    key=("judge", "trigger_content", "target_content"),
    checks={"score_is_a_number": "judge_score IS NULL OR NOT isnan(judge_score)"},
)

ITEM_QUESTIONS = Contract(
    name="item_questions",
    comment="Questions about items with their answers, for alignment",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("question", "STRING", "A question about it", nullable=False),
        Column("answer", "STRING", "The answer", nullable=False),
        Column("writer", "STRING", "The model or template that wrote it", nullable=False),
        Column("content_hash", "STRING", "items.content_hash it was written from", nullable=False),
    ),
    key=("item_id", "question"),
)

ITEM_EMBEDDINGS = Contract(
    name="item_embeddings",
    comment="The language model's embedding of every item",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("embedding", "ARRAY<FLOAT>", "Embedding, L2 norm 1", nullable=False),
        Column("search_embedding", "ARRAY<FLOAT>", "PCA-reduced embedding for the GSU, L2 norm 1", nullable=False),
        Column(
            "text_embedding",
            "ARRAY<FLOAT>",
            "The same of the model before alignment; search_embedding itself where the model is not aligned",
            nullable=False,
        ),
        Column("content_hash", "STRING", "items.content_hash the embedding was made from", nullable=False),
        Column("encoder_version", "STRING", "The encoder artifact that made it", nullable=False),
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
        Column("sid_2", "INT", "Code of level 2 (k-means on the residual); null where the method has one level"),
        Column("sid_3", "INT", "Code of level 3 (FSQ of the residual); null where the method has fewer levels"),
        Column("sid", "STRING", "All codes, a-b-c; a-b-c-d where sid_more holds one", nullable=False),
        Column("neighbours", "ARRAY<STRING>", "QARM V1's VQ code: the nearest items of other content, nearest first"),
        Column(
            "reconstruction_error", "FLOAT", "Squared distance to the reconstruction / squared norm", nullable=False
        ),
        Column("encoder_version", "STRING", "The encoder artifact behind the embedding", nullable=False),
        Column("codebook_version", "STRING", "The codebook artifact that assigned the codes", nullable=False),
        Column("assigned_at", "TIMESTAMP", "When the codes were assigned", nullable=False),
        Column(
            "sid_more", "ARRAY<INT>", "Codes of levels 4 and on, then the suffix that tells contents of one SID apart"
        ),
        Column("content_hash", "STRING", "items.content_hash the codes were made from", nullable=False),
    ),
    key=("item_id",),
    checks={
        "codes_not_negative": "sid_1 >= 0 AND coalesce(sid_2, 0) >= 0 AND coalesce(sid_3, 0) >= 0",
        "sid_is_its_codes": "sid = concat_ws('-', sid_1, sid_2, sid_3, CAST(sid_more AS ARRAY<STRING>))",
        "error_not_negative": "reconstruction_error >= 0",
    },
    # Every version stays readable: codes are compared over months. VACUUM keeps the files of ten years, too.
    properties={
        "delta.enableChangeDataFeed": "true",
        "delta.logRetentionDuration": "interval 3650 days",
        "delta.deletedFileRetentionDuration": "interval 3650 days",
    },
)

SID_CHANGES = Contract(
    name="sid_changes",
    comment="Every semantic ID that was given or moved, and why",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("reason", "STRING", "new item, changed text or new codebook", nullable=False),
        Column("old_sid", "STRING", "Its SID before; null for a new item"),
        Column("new_sid", "STRING", "Its SID now", nullable=False),
        Column("old_codebook_version", "STRING", "The codebook of old_sid"),
        Column("codebook_version", "STRING", "The codebook of new_sid", nullable=False),
        Column("table_version", "LONG", "The version of semantic_ids that holds new_sid first", nullable=False),
        Column("changed_at", "TIMESTAMP", "When that version was written", nullable=False),
    ),
    key=("item_id", "table_version"),
    checks={"known_reason": "reason IN ('new item', 'changed text', 'new codebook')"},
)

METRICS = Contract(
    name="metrics",
    comment="Every number a run measured",
    columns=(
        Column("run_id", "STRING", "The run", nullable=False),
        Column("name", "STRING", "Metric, e.g. click.auc or codes.collision_rate", nullable=False),
        Column("slice", "STRING", "Split or group, e.g. test or distinct_contents", nullable=False),
        Column("value", "DOUBLE", "Its value; null where it is not defined on this slice"),
        Column("created_at", "TIMESTAMP", "When it was measured", nullable=False),
    ),
    key=("run_id", "name", "slice"),
)

RUNS = Contract(
    name="runs",
    comment="The record of runs: one row a job and run",
    columns=(
        Column("run_id", "STRING", "The run; a nightly gives all of its jobs the same", nullable=False),
        Column("job", "STRING", "The job", nullable=False),
        Column("status", "STRING", "done, skipped or failed", nullable=False),
        Column("started_at", "TIMESTAMP", "Start", nullable=False),
        Column("ended_at", "TIMESTAMP", "End", nullable=False),
        Column(
            "input_versions",
            "MAP<STRING,STRING>",
            "Tables, files and artifacts read, with their versions",
            nullable=False,
        ),
        Column(
            "output_versions", "MAP<STRING,STRING>", "Tables and artifacts written, with their versions", nullable=False
        ),
        Column("settings_hash", "STRING", "Hash of the settings the job depends on", nullable=False),
        Column("code_version", "STRING", "Package version", nullable=False),
        Column("metrics", "MAP<STRING,DOUBLE>", "The job's headline numbers", nullable=False),
        Column("error", "STRING", "The error of a failed run"),
    ),
    key=("run_id", "job"),
    checks={"known_status": "status IN ('done', 'skipped', 'failed')"},
)


def predictions(tasks: Sequence[str]) -> Contract:
    """The contract of ``predictions`` for the settings' tasks."""
    return Contract(
        name="predictions",
        comment="The ranker's score of every valid and test example",
        columns=(
            Column("example_id", "STRING", "ranker_examples.example_id", nullable=False),
            Column("user_id", "STRING", "The user", nullable=False),
            Column("item_id", "STRING", "The target item", nullable=False),
            Column("split", "STRING", "valid or test", nullable=False),
            *label_columns(tasks),
            *(Column(f"score_{task}", "FLOAT", f"Probability of the {task}", nullable=False) for task in tasks),
        ),
        key=("example_id",),
        checks={f"score_{task}_is_a_probability": f"score_{task} BETWEEN 0 AND 1" for task in tasks},
    )


def candidate_scores(tasks: Sequence[str]) -> Contract:
    """The contract of ``candidate_scores`` for the settings' tasks."""
    return Contract(
        name="candidate_scores",
        comment="The ranker's score of the candidates that score was last given",
        columns=(
            Column("user_id", "STRING", "The user", nullable=False),
            Column("item_id", "STRING", "The candidate item", nullable=False),
            Column("as_of", "TIMESTAMP", "When it is ranked; the history ends strictly before it", nullable=False),
            *(Column(f"score_{task}", "FLOAT", f"Probability of the {task}", nullable=False) for task in tasks),
            Column(
                "rank",
                "INT",
                "Place among the user's candidates of the moment by the first task, from 1; ties by item_id",
                nullable=False,
            ),
            Column("ranker_version", "STRING", "The ranker artifact that scored", nullable=False),
            Column("run_id", "STRING", "The run that scored", nullable=False),
        ),
        key=("user_id", "item_id", "as_of"),
        checks={
            **{f"score_{task}_is_a_probability": f"score_{task} BETWEEN 0 AND 1" for task in tasks},
            "rank_from_1": "rank >= 1",
        },
    )


def all_contracts(tasks: Sequence[str]) -> list[Contract]:
    """Every table, in the order the jobs write them."""
    return [
        INTERACTIONS, ITEMS, REJECTED_ROWS, ITEM_PAIRS, PAIR_VERDICTS, ITEM_QUESTIONS, ITEM_EMBEDDINGS, SEMANTIC_IDS,
        SID_CHANGES, ranker_examples(tasks), predictions(tasks), candidate_scores(tasks), METRICS, RUNS,
    ]  # fmt: skip
