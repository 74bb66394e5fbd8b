"""The sections of the settings: what each may hold."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

MOST_CODES = 2**31 - 1
MOST_NEXT_BEST = 65_536


class Section(BaseModel):
    """A section of the settings: immutable, and refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SparkSettings(Section):
    """How Spark is started."""

    jars: str
    driver_memory: str
    shuffle_partitions: Annotated[int, Field(ge=0)]
    conf: dict[str, str]


class IngestSettings(Section):
    """Where the input is and how it is read."""

    interactions: str
    items: str
    format: Literal["", "parquet", "csv", "json", "delta"]
    rename: dict[str, str]
    default_action: Annotated[str, Field(min_length=1)]
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
            raise ValueError("valid_share + test_share must leave a train period: less than 1")
        if self.fit_share + self.valid_share + self.test_share >= 1:
            raise ValueError("fit_share + valid_share + test_share must leave train examples: less than 1")
        return self


class User2ItemSettings(Section):
    """User-to-item pairs: the model whose space says which earlier item led to a positive, and its training."""

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
    als_iterations: Count
    als_regularization: NotNegative
    als_confidence: Positive
    seed: int


class MineSettings(Section):
    """Swing, its caps, and the user-to-item pairs beside it."""

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
    """What share of the judged pairs is rejected, by their source."""

    item2item: Share
    user2item: Share


class RejectScores(Section):
    """Below which score a pair is rejected, by its source."""

    item2item: float
    user2item: float


class JudgeSettings(Section):
    """The language model as judge of pairs."""

    method: Literal["similarity", "likelihood_ratio", "yes_no"]
    model: Annotated[str, Field(min_length=1)]
    layer: int
    max_pairs: Annotated[int, Field(ge=0)]
    reject_by: Literal["share", "score"]
    reject_share: RejectShares
    reject_below: RejectScores
    batch_tokens: Count


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint, asked in place of a local model."""

    url: str
    model: str
    key_variable: Annotated[str, Field(min_length=1)]
    concurrency: Count
    requests_per_minute: Annotated[int, Field(ge=0)]
    timeout_seconds: Positive
    retries: Annotated[int, Field(ge=0)]
    max_tokens: Count
    price_read: NotNegative
    price_written: NotNegative

    @model_validator(mode="after")
    def _names_a_model(self) -> EndpointSettings:
        if self.url and not self.model:
            raise ValueError("model must be named where url is set")
        return self


class LanguageModelSettings(Section):
    """The language model."""

    model: Annotated[str, Field(min_length=1)]
    dtype: Literal["float32", "bfloat16"]
    max_tokens: Annotated[int, Field(ge=4)]


class QuestionsSettings(Section):
    """Questions about items, which alignment has the embedding answer."""

    writer: Literal["fields", "endpoint"]
    per_item: Count
    max_contents: Count
    max_tokens: Count


class AlignSettings(Section):
    """How the language model is aligned to the pairs."""

    steps: Annotated[int, Field(ge=0)]
    pairs: Literal["accepted", "all"]
    min_support: Count
    batch_contents: Annotated[int, Field(ge=4)]
    partners: Count
    known_partners: Count
    layers: Annotated[int, Field(ge=0)]
    lora_rank: Annotated[int, Field(ge=0)]
    learning_rate: Positive
    warmup_share: Share
    weight_decay: NotNegative
    temperature: Positive
    popularity_correction: Share
    question_weight: NotNegative
    question_share: Share
    question_tokens: Count
    open_share: Share
    closed_share: Share
    chunk_tokens: Count
    graph_tokens: Annotated[int, Field(ge=0)]
    bfloat16: bool
    checkpoint_steps: Count
    checkpoint_folder: str
    processes: Count
    realign: bool
    seed: int

    @model_validator(mode="after")
    def _shares_a_batch(self) -> AlignSettings:
        if self.batch_contents % self.processes:
            raise ValueError(f"batch_contents must be a multiple of processes, {self.processes}")
        if self.open_share > self.closed_share:
            raise ValueError("open_share must not exceed closed_share")
        return self

    @property
    def recipe(self) -> dict[str, Any]:
        """What the weights depend on: not where checkpoints lie, nor how memory is spared."""
        spared = {"checkpoint_steps", "checkpoint_folder", "chunk_tokens", "graph_tokens", "processes", "realign"}
        return self.model_dump(exclude=spared)


class EmbedSettings(Section):
    """How items are embedded."""

    layer: int
    batch_tokens: Count
    search_dim: Count


class CodebookSettings(Section):
    """How embeddings become codes, and when a codebook is replaced."""

    method: Literal["res_kmeans_fsq", "res_kmeans", "vq", "rq_vae", "fsq"]
    kmeans_sizes: list[Count]
    kmeans_iterations: Count
    kmeans_balanced: bool
    fsq_levels: list[Annotated[int, Field(ge=2)]]
    fsq_projection: Literal["learned", "pca"]
    fsq_decoder: Literal["prefix", "mirrored"]
    fsq_prefix_minimum: Annotated[int, Field(ge=0)]
    fsq_hidden: Count
    fsq_steps: Count
    fsq_batch_size: Count
    fsq_learning_rate: Positive
    rq_vae_hidden: Count
    rq_vae_latent: Count
    rq_vae_steps: Count
    rq_vae_batch_size: Count
    rq_vae_learning_rate: Positive
    sample_size: Count
    collisions: Literal["keep", "suffix", "next_best"]
    contents_per_sid: Count
    refit: Literal["on_request", "when_due", "now"]
    refit_error_factor: Annotated[float, Field(ge=1)]
    refit_collision_factor: Annotated[float, Field(ge=1)]
    refit_after: Count
    neighbours: Count
    neighbours_exact: Annotated[int, Field(ge=0)]
    neighbours_index: Literal["ivf", "hnsw"]
    neighbours_limit: Annotated[int, Field(ge=0)]
    quality_sample: Count
    seed: int

    @property
    def fitting(self) -> dict[str, Any]:
        """The settings that a fitted codebook depends on."""
        used = {"res_kmeans_fsq": ("kmeans_", "fsq_"), "rq_vae": ("kmeans_sizes", "rq_vae_"), "fsq": ("fsq_",)}
        prefixes = used.get(self.method, ("kmeans_",))
        names = [name for name in type(self).model_fields if name.startswith(prefixes)]
        return {name: getattr(self, name) for name in ("method", *names, "sample_size", "seed")}

    @model_validator(mode="after")
    def _method_and_sizes_fit(self) -> CodebookSettings:
        if math.prod(self.fsq_levels) > MOST_CODES:
            raise ValueError("the product of fsq_levels must fit an INT column")
        if self.method == "vq" and len(self.kmeans_sizes) > 1:
            raise ValueError("method = vq has one level: kmeans_sizes must hold one size, or none for the default")
        if self.collisions == "next_best":
            if self.method in ("vq", "fsq") or (self.method != "res_kmeans_fsq" and len(self.kmeans_sizes) == 1):
                raise ValueError("collisions = next_best moves the last of several codes; this method has only one")
            if math.prod(self.fsq_levels) > MOST_NEXT_BEST:
                raise ValueError(f"collisions = next_best compares at most {MOST_NEXT_BEST} codes of the last level")
        return self


class DemoSettings(Section):
    """The bundled demo."""

    households: Annotated[int, Field(ge=0)]
