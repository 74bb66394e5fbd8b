"""Tables of the nights themselves: what ran, what it measured, what is published, who holds the warehouse."""

from __future__ import annotations

from schemas.contract import Column, Contract

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
