"""Sections of the settings about language models: the model, its endpoint, questions, alignment and embedding."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.recipe import HOW_IT_RUNS, NOT_IN_RECIPE
from schemas.sections import Count, NotNegative, OpenUrl, Positive, Section, Share


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint that is used instead of a local model."""

    url: OpenUrl
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
            raise ValueError("model must be set if url is set")
        return self


class LanguageModelSettings(Section):
    """The language model that embeds items."""

    model: Annotated[str, Field(min_length=1)]
    dtype: Literal["float32", "bfloat16"]
    max_tokens: Annotated[int, Field(ge=4)]


class QuestionsSettings(Section):
    """Questions about items that alignment trains the embedding to answer."""

    writer: Literal["fields", "endpoint"]
    per_item: Count
    max_contents: Count
    max_tokens: Count


class AnchorsSettings(Section):
    """Anchors, short texts about contents, and the tokens that they are made of."""

    writer: Literal["fields", "endpoint"]
    partners: Annotated[int, Field(ge=0)]
    max_contents: Count
    max_characters: Count
    max_tokens: Count
    tokens: Count
    min_frequency: Count
    domain_tokens: Count
    domain_contents: Count


class AlignSettings(Section):
    """How the language model is aligned to the item pairs."""

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
    chunk_tokens: Annotated[Count, NOT_IN_RECIPE]
    graph_tokens: Annotated[int, Field(ge=0), NOT_IN_RECIPE]
    bfloat16: bool
    checkpoint_steps: Annotated[Count, HOW_IT_RUNS]
    checkpoint_folder: Annotated[str, HOW_IT_RUNS]
    processes: Annotated[Count, NOT_IN_RECIPE]
    realign: Annotated[bool, NOT_IN_RECIPE]
    seed: int

    @model_validator(mode="after")
    def _shares_a_batch(self) -> AlignSettings:
        if self.batch_contents % self.processes:
            raise ValueError(f"batch_contents must be a multiple of processes, {self.processes}")
        if self.open_share > self.closed_share:
            raise ValueError("open_share must not exceed closed_share")
        return self


class EmbedSettings(Section):
    """How items are embedded."""

    layer: int
    batch_tokens: Count
    search_dim: Count
