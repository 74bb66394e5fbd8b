"""Sections of the settings with the values they allow; more sections are in the modules named ``*_sections``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.recipe import HOW_IT_RUNS

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def _without_password(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise ValueError("must hold no user and no password, as it is written to tables; keys come from variables")
    return url


OpenUrl = Annotated[str, AfterValidator(_without_password)]
"""A URL that tables and logs may show."""


class Section(BaseModel):
    """A section of the settings. It is immutable and refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SparkSettings(Section):
    """Settings of the Spark session."""

    jars: str
    driver_memory: str
    shuffle_partitions: Annotated[int, Field(ge=0)]
    conf: dict[str, str]


Bfloat16 = bool | Literal["auto"]
"""Whether a training computes in bfloat16; ``auto``: on a GPU that has it."""
Format = Literal["", "parquet", "csv", "json", "delta"]

OneCharacter = Annotated[str, Field(min_length=1, max_length=1)]


class FileSettings(Section):
    """How the files of an input are read; an empty text stands for what the files tell."""

    format: Format
    separator: Annotated[str, Field(max_length=1)]
    quote: OneCharacter
    escape: Annotated[str, Field(max_length=1)]
    encoding: str
    header: bool
    columns: list[str]
    nulls: list[str]

    @model_validator(mode="after")
    def _names_columns_without_header(self) -> FileSettings:
        if not self.header and not self.columns:
            raise ValueError("header = false needs columns, the names of the columns in the files' order")
        if self.header and self.columns:
            raise ValueError("columns are for files without header; set header = false, or rename columns by rename")
        return self


class TimedFileSettings(FileSettings):
    """How the files of an input that holds times are read."""

    time_format: str


class IngestSettings(Section):
    """Where the input files are and how they are read."""

    interactions: str
    items: str
    format: Format
    interactions_files: TimedFileSettings
    items_files: FileSettings
    rename: dict[str, str]
    default_action: Annotated[str, Field(min_length=1)]
    label_above: Annotated[float, Field(allow_inf_nan=False)]
    earliest: datetime
    max_future_days: NotNegative


class SplitSettings(Section):
    """The global time split."""

    valid_share: Annotated[float, Field(gt=0, lt=1)]
    test_share: Annotated[float, Field(gt=0, lt=1)]
    fit_share: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _leaves_a_train_period(self) -> SplitSettings:
        if self.valid_share + self.test_share >= 1:
            raise ValueError("valid_share + test_share must be less than 1, so that a train period is left")
        if self.fit_share + self.valid_share + self.test_share >= 1:
            raise ValueError(
                "fit_share + valid_share + test_share must be less than 1, so that train examples are left"
            )
        return self


class AlsSettings(Section):
    """MLlib's implicit ALS."""

    iterations: Count
    regularization: NotNegative
    confidence: Positive


class User2ItemSettings(Section):
    """User-to-item pairs: the model that finds the trigger of a positive event, and its training."""

    model: Literal["two_tower", "als", "none"]
    history: Count
    top_k: Count
    min_support: Count
    min_similarity: Annotated[float, Field(ge=-1, le=1)]
    dim: Count
    item_rows: Count
    feature_rows: Count
    features: Count
    recent_length: Count
    examples: Count
    batch_size: Annotated[int, Field(ge=2)]
    steps: Count
    learning_rate: Positive
    temperature: Positive
    shuffle_rows: Count
    seed: int
    als: AlsSettings


class MineSettings(Section):
    """Mining of item pairs: Swing, caps on histories, and user-to-item pairs."""

    alpha1: NotNegative
    alpha2: NotNegative
    beta: NotNegative
    top_k: Count
    min_support: Annotated[int, Field(ge=2)]
    significance: NotNegative
    popularity_power: NotNegative
    window_days: Annotated[int, Field(ge=0)]
    half_life_days: NotNegative
    exclude_same_content: bool
    min_user_items: Count
    max_user_items: Count
    max_item_users: Count
    rows_per_task: Count
    user2item: User2ItemSettings

    @model_validator(mode="after")
    def _caps_in_order(self) -> MineSettings:
        if self.max_user_items < self.min_user_items:
            raise ValueError("max_user_items must not be less than min_user_items")
        return self


class RejectShares(Section):
    """Share of the judged pairs that is rejected, by source of the pair."""

    item2item: Share
    user2item: Share


class RejectScores(Section):
    """Score below which a pair is rejected, by source of the pair."""

    item2item: float
    user2item: float


class JudgeSettings(Section):
    """The judge of item pairs."""

    method: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    layer: int
    max_pairs: Annotated[int, Field(ge=0)]
    reject_by: Literal["share", "score"]
    reject_share: RejectShares
    reject_below: RejectScores
    batch_tokens: Count


class NightlySettings(Section):
    """How a nightly shows that it is alive, when another one may take its place, and what is kept of nights."""

    heartbeat_seconds: Positive
    expires_seconds: Positive
    nights_kept: Count
    artifacts_kept: Count
    leftovers_days: Positive

    @model_validator(mode="after")
    def _beats_before_it_expires(self) -> NightlySettings:
        if self.expires_seconds < 3 * self.heartbeat_seconds:
            raise ValueError("expires_seconds must be at least three times heartbeat_seconds")
        return self


class Trigger(Section):
    """When something that stands from night to night is due again: whichever limit is reached first."""

    new_share: Share
    days: Positive


class IncrementsSettings(Section):
    """What a later night takes over from the night before, and when it is made anew."""

    on: bool
    pairs: Trigger
    behaviour: Trigger
    ranker: Trigger
    retriever: Trigger
    replay: NotNegative
    epochs: Count
    learning_rate_share: Share


class GateSettings(Section):
    """How far a night may differ from the published one; beyond a limit it is held back."""

    least_rows: NotNegative
    most_rows: Positive
    most_new_nulls: Share
    most_new_collisions: Share
    most_moved_sids: Share
    most_lost_auc: Share


class TrackingSettings(Section):
    """Where the numbers of jobs are sent beside the table ``metrics``."""

    mlflow_uri: OpenUrl
    experiment: Annotated[str, Field(min_length=1)]


class ReportSettings(Section):
    """What the report shows."""

    nights: Annotated[int, Field(ge=2)]
    map_contents: Annotated[int, Field(ge=0, le=20_000)]


class DemoSettings(Section):
    """The demo on Complete Journey."""

    households: Annotated[int, Field(ge=0)]


class TrainingSettings(Section):
    """How a network learns, the same for every network that :mod:`models.training_loop` trains."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_size: Count
    learning_rate: Positive
    weight_decay: NotNegative
    max_epochs: Count
    patience: Count
    validations_per_epoch: Count
    largest_gradient: NotNegative
    bfloat16: Bfloat16
    checkpoint_steps: Annotated[Count, HOW_IT_RUNS]
    checkpoint_folder: Annotated[str, HOW_IT_RUNS]
    processes: Count
    seed: int
    shuffle_rows: Count

    @model_validator(mode="after")
    def _shares_a_batch(self) -> Self:
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size must be a multiple of processes, {self.processes}")
        return self
