"""Tables of the ranker's scores; their columns follow the tasks of the settings."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.contract import Column, Contract
from schemas.examples import label_columns


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
