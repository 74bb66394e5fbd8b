"""The contract of every table. Names of tables and columns are public: users' SQL depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract
from schemas.examples import label_columns, ranker_examples
from schemas.names import PAIR_SOURCES

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

ITEM_PAIRS = Contract(
    name="item_pairs",
    comment="Item pairs mined from the train period of the log (or its first part, setting split.fit_share), with"
    " verdicts",
    columns=(
        Column(
            "source",
            "STRING",
            "Miner of the pair: item2item (Swing) or user2item (two-tower model or ALS)",
            nullable=False,
        ),
        Column(
            "trigger_item_id", "STRING", "Trigger: the item from which the pair leads to its target", nullable=False
        ),
        Column("target_item_id", "STRING", "Target: the item to which the pair leads from its trigger", nullable=False),
        Column(
            "score",
            "DOUBLE",
            "Score of the miner (item2item: Swing, user2item: cosine); higher is more related",
            nullable=False,
        ),
        Column(
            "support",
            "LONG",
            "Number of users (item2item) or positive events (user2item) that show the pair",
            nullable=False,
        ),
        Column("verdict", "STRING", "Verdict of the judge: keep or reject; null if the pair was not judged"),
        Column("judge_score", "DOUBLE", "Score of the judge, higher is more related; null if the pair was not judged"),
        Column("judge", "STRING", "Method and model of the judge; null if the pair was not judged"),
        Column("run_id", "STRING", "The run that mined the pair", nullable=False),
    ),
    key=("source", "trigger_item_id", "target_item_id"),
    checks={
        "known_source": f"source IN {PAIR_SOURCES!r}",
        "known_verdict": "verdict IS NULL OR verdict IN ('keep', 'reject')",
        "two_items": "trigger_item_id <> target_item_id",
        "score_is_a_number": "NOT isnan(score)",
    },
    # Only the column source gets statistics. Every file holds items of all names, so statistics of other columns would
    # skip no file, and they would take a third of the time of a write.
    properties={"delta.dataSkippingNumIndexedCols": "1"},
)

PAIR_VERDICTS = Contract(
    name="pair_verdicts",
    comment="Scores of judges for pairs of contents; each pair of contents is judged once and its score is used again",
    columns=(
        Column("judge", "STRING", "Method, wording and model of the judge", nullable=False),
        Column("trigger_content", "STRING", "items.content_hash of the trigger item", nullable=False),
        Column("target_content", "STRING", "items.content_hash of the target item", nullable=False),
        Column("judge_score", "DOUBLE", "Score of the judge, higher is more related; null if the reply held no answer"),
        Column("reason", "STRING", "Reason in the judge's words; null if it gave none"),
        Column("judged_at", "TIMESTAMP", "When the pair of contents was judged", nullable=False),
    ),
    key=("judge", "trigger_content", "target_content"),
    checks={"score_is_a_number": "judge_score IS NULL OR NOT isnan(judge_score)"},
)

ITEM_QUESTIONS = Contract(
    name="item_questions",
    comment="Questions about items with answers, used to align the language model",
    columns=(
        Column("item_id", "STRING", "The item", nullable=False),
        Column("question", "STRING", "Question about the item", nullable=False),
        Column("answer", "STRING", "Answer to the question", nullable=False),
        Column("writer", "STRING", "Model or template that wrote the question and the answer", nullable=False),
        Column(
            "content_hash", "STRING", "items.content_hash of the content that the question is about", nullable=False
        ),
    ),
    key=("item_id", "question"),
)

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

METRICS = Contract(
    name="metrics",
    comment="Numbers that the runs measured",
    columns=(
        Column("run_id", "STRING", "The run that measured the value", nullable=False),
        Column("name", "STRING", "Name of the metric, e.g. click.auc or codes.collision_rate", nullable=False),
        Column(
            "slice",
            "STRING",
            "Split or group that was measured, e.g. test or distinct_contents; all for everything",
            nullable=False,
        ),
        Column("value", "DOUBLE", "Value of the metric; null if it is undefined on the slice"),
        Column("created_at", "TIMESTAMP", "When the job that measured the value ended", nullable=False),
    ),
    key=("run_id", "name", "slice"),
)

RUNS = Contract(
    name="runs",
    comment="The record of runs, one row per job and run",
    columns=(
        Column("run_id", "STRING", "The run; all jobs of a nightly have the same run_id", nullable=False),
        Column("job", "STRING", "Name of the job", nullable=False),
        Column("status", "STRING", "How the job ended: done, skipped or failed", nullable=False),
        Column("started_at", "TIMESTAMP", "When the job started", nullable=False),
        Column("ended_at", "TIMESTAMP", "When the job ended", nullable=False),
        Column(
            "input_versions",
            "MAP<STRING,STRING>",
            "Tables, files and artifacts that the job read, with their versions",
            nullable=False,
        ),
        Column(
            "output_versions",
            "MAP<STRING,STRING>",
            "Tables and artifacts that the job wrote, with their versions",
            nullable=False,
        ),
        Column("settings_hash", "STRING", "Hash of the settings that the job depends on", nullable=False),
        Column("code_version", "STRING", "Version of qarm that ran the job", nullable=False),
        Column("metrics", "MAP<STRING,DOUBLE>", "Numbers that the job measured, by name or name/slice", nullable=False),
        Column("error", "STRING", "Error message of a failed run; null otherwise"),
    ),
    key=("run_id", "job"),
    checks={"known_status": "status IN ('done', 'skipped', 'failed')"},
)

LOCKS = Contract(
    name="locks",
    comment="Who holds what only one run may do at a time; a row is removed when its run ends",
    columns=(
        Column("name", "STRING", "What is held: nightly", nullable=False),
        Column("run_id", "STRING", "The run that holds it", nullable=False),
        Column("host", "STRING", "Host of the run's driver", nullable=False),
        Column("since", "TIMESTAMP", "When the run took it", nullable=False),
    ),
    key=("name",),
    properties={"delta.isolationLevel": "Serializable"},
)

PUBLISHED = Contract(
    name="published",
    comment="The nights that were judged; readers see the one whose published_at is the newest",
    columns=(
        Column("run_id", "STRING", "The night: the run_id of its jobs", nullable=False),
        Column(
            "published_at",
            "TIMESTAMP",
            "Since when readers see the night; null for a night that was held back or withdrawn",
        ),
        Column(
            "versions",
            "MAP<STRING,STRING>",
            "Tables and kinds of artifact, with the versions that the night ended with",
            nullable=False,
        ),
        Column(
            "verdict",
            "STRING",
            "What the gate said: passed, or held back with the reasons; or by hand, or withdrawn",
            nullable=False,
        ),
    ),
    key=("run_id",),
)


def predictions(tasks: Sequence[str]) -> Contract:
    """The contract of ``predictions`` for the settings' tasks."""
    return Contract(
        name="predictions",
        comment="The ranker's scores of the valid and test examples",
        columns=(
            Column("example_id", "STRING", "The example, see ranker_examples.example_id", nullable=False),
            Column("user_id", "STRING", "The user", nullable=False),
            Column("item_id", "STRING", "The target item", nullable=False),
            Column("split", "STRING", "Split of the example: valid or test", nullable=False),
            *label_columns(tasks),
            *(
                Column(
                    f"score_{task}",
                    "FLOAT",
                    f"Predicted probability that the label of task {task} is 1",
                    nullable=False,
                )
                for task in tasks
            ),
            Column(
                "baseline_scores",
                "MAP<STRING, FLOAT>",
                "Scores of the baselines that are trained beside the ranker, by <baseline>_<task>",
                nullable=False,
            ),
        ),
        key=("example_id",),
        checks={f"score_{task}_is_a_probability": f"score_{task} BETWEEN 0 AND 1" for task in tasks},
    )


def candidate_scores(tasks: Sequence[str]) -> Contract:
    """The contract of ``candidate_scores`` for the settings' tasks."""
    return Contract(
        name="candidate_scores",
        comment="The ranker's scores and ranks of the candidates of the last run of the job score",
        columns=(
            Column("user_id", "STRING", "The user", nullable=False),
            Column("item_id", "STRING", "The candidate item", nullable=False),
            Column(
                "as_of",
                "TIMESTAMP",
                "Time at which the candidates are ranked, UTC; the user's history ends strictly before it",
                nullable=False,
            ),
            *(
                Column(
                    f"score_{task}",
                    "FLOAT",
                    f"Predicted probability that the label of task {task} is 1",
                    nullable=False,
                )
                for task in tasks
            ),
            Column(
                "rank",
                "INT",
                "Rank, from 1, among the user's candidates with the same as_of by the score of the first task;"
                " item_id breaks ties",
                nullable=False,
            ),
            Column("ranker_version", "STRING", "Version of the ranker artifact that made the scores", nullable=False),
            Column("run_id", "STRING", "The run that wrote the scores", nullable=False),
        ),
        key=("user_id", "item_id", "as_of"),
        checks={
            **{f"score_{task}_is_a_probability": f"score_{task} BETWEEN 0 AND 1" for task in tasks},
            "rank_from_1": "rank >= 1",
        },
    )


def all_contracts(tasks: Sequence[str]) -> list[Contract]:
    """The contracts of all tables, in the order in which the jobs write them."""
    return [
        INTERACTIONS, ITEMS, REJECTED_ROWS, INGESTED_FILES, ITEM_PAIRS, PAIR_VERDICTS, ITEM_QUESTIONS, ITEM_EMBEDDINGS,
        SEMANTIC_IDS, SID_CHANGES, ranker_examples(tasks), predictions(tasks), candidate_scores(tasks), METRICS, RUNS,
        PUBLISHED, LOCKS,
    ]  # fmt: skip
