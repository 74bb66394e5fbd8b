"""Tables of what is learned from: item pairs with verdicts, questions about items, and anchors of contents."""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.names import PAIR_SOURCES

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

ITEM_ANCHORS = Contract(
    name="item_anchors",
    comment="Anchors: short texts about a content, one per field, whose words the ranker learns (ranker.use.text)",
    columns=(
        Column("content_hash", "STRING", "items.content_hash of the content that the text is about", nullable=False),
        Column(
            "field",
            "STRING",
            "What the text tells: title, category, an attribute's name, description or bought with, from the item's"
            " fields and pairs; theme, audience, use, form or occasion, by a model",
            nullable=False,
        ),
        Column("text", "STRING", "The text, in lower case", nullable=False),
        Column("writer", "STRING", "Model or rules that wrote the text", nullable=False),
    ),
    key=("content_hash", "field"),
    checks={"text_is_there": "length(text) > 0"},
)
