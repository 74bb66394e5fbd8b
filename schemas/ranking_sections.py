"""Sections of the settings about ranking: tasks, examples, the ranker, and the scoring of candidates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.features import SWITCHES
from schemas.names import SID_COLUMNS
from schemas.recipe import HOW_IT_RUNS, NOT_IN_RECIPE
from schemas.sections import Count, NotNegative, Positive, Section, Share, TimedFileSettings, TrainingSettings

TaskName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class RankingSettings(Section):
    """Which actions of the log are impressions and which are positive, by task."""

    impression: str
    tasks: Annotated[dict[TaskName, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    follows: dict[TaskName, TaskName]

    @model_validator(mode="after")
    def _chains_of_tasks_end(self) -> RankingSettings:
        for task, before in self.follows.items():
            if unknown := {task, before} - set(self.tasks):
                raise ValueError(f"follows names {min(unknown)!r}, which is no task; ranking.tasks lists the tasks")
            seen = {task}
            while before in self.follows and before not in seen:
                seen.add(before)
                before = self.follows[before]
            if before in seen:
                raise ValueError(f"follows goes round in a circle from {task!r}")
        return self

    @property
    def task_names(self) -> list[str]:
        """Task names in the order of the settings."""
        return list(self.tasks)

    @property
    def positive_actions(self) -> list[str]:
        """Actions that are positive for any task."""
        return sorted({action for actions in self.tasks.values() for action in actions})


class BehaviourSettings(Section):
    """Item vectors by collaborative filtering, fitted at several times so that no example reads its own future."""

    model: Literal["als", "none"]
    fits: Annotated[int, Field(ge=2)]
    coarse_dim: Count
    fine_dim: Count
    iterations: Count
    regularization: Positive
    confidence: Positive
    shrinkage: NotNegative
    seed: int


class ExamplesSettings(Section):
    """Ranking examples and the search of histories (GSU)."""

    recent_length: Count
    found_length: Count
    neighbours: Count
    pairs: Count
    search: Literal["embedding", "category", "sid", "recent"]
    negatives: Count
    negatives_from: Annotated[list[str], Field(min_length=1)]
    negative_power: NotNegative
    item_ids: Literal["vocabulary", "hashed"]
    item_rows: Count
    min_item_events: Count
    attribution_minutes: NotNegative
    train_share: Share
    valid_share: Share
    test_share: Share
    events_per_task: Annotated[Count, HOW_IT_RUNS]
    max_user_events: Count
    max_items: Count
    behaviour: BehaviourSettings


class UseSettings(Section):
    """Which parts of the ranker are on; one setting for each of :data:`schemas.features.SWITCHES`."""

    __annotations__ = {switch.name: bool for switch in SWITCHES}

    @property
    def on(self) -> tuple[str, ...]:
        """Names of the switches that are on, in the order they are declared."""
        return tuple(switch.name for switch in SWITCHES if getattr(self, switch.name))


class TextSettings(Section):
    """How the ranker reads item texts, if ``ranker.use.text`` is on."""

    encoder: Literal["mean", "transformer"]
    dim: Count
    layers: Count
    heads: Count
    gate: bool
    reading: bool
    user: bool
    events: bool
    matches: bool
    auxiliary: NotNegative
    dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> TextSettings:
        if self.dim % (2 * self.heads):
            raise ValueError(f"2 * heads must divide dim: {self.dim} is no multiple of {2 * self.heads}")
        return self


class RankerSettings(TrainingSettings):
    """The ranker and its training."""

    use: UseSettings
    text: TextSettings
    search: Literal["done", "soft", "twin", "eta"]
    search_k: Count
    id_events: Annotated[int, Field(ge=0)]
    item_dim: Count
    sid_dim: Count
    code_tables: Literal["levels", "prefixes"]
    prefix_rows: Annotated[int, Field(ge=2)]
    hidden: Annotated[list[Count], Field(min_length=1)]
    heads: Count
    mixture: Literal["shared", "mmoe", "ple"]
    experts: Count
    log_q: bool
    compile: bool
    warm_start: bool
    item_sums: Annotated[bool, NOT_IN_RECIPE]

    @model_validator(mode="after")
    def _heads_divide_the_widths(self) -> RankerSettings:
        levels = len(SID_COLUMNS)
        with_codes = self.item_dim + levels * self.sid_dim
        for width, words in ((self.item_dim, "item_dim"), (with_codes, f"item_dim + {levels} * sid_dim")):
            if width % self.heads:
                raise ValueError(f"heads must divide {words}: {width} is no multiple of {self.heads}")
        return self


def _as_moment(given: object) -> str:
    """A time as text in UTC; it may be given as text or as a TOML time."""
    if given == "":
        return ""
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise ValueError("must be a time, e.g. 2025-03-31T06:00:00Z") from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()


Moment = Annotated[str, BeforeValidator(_as_moment)]
"""A time, or an empty text for none."""


class ScoreSettings(Section):
    """Where the candidates are and how they are scored."""

    candidates: str
    files: TimedFileSettings
    rename: dict[str, str]
    as_of: Moment
    max_user_candidates: Count
    candidates_per_task: Count
