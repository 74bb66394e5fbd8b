"""Sections of the settings about generative retrieval."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.recipe import NOT_IN_RECIPE
from schemas.sections import Count, NotNegative, Positive, Section, Share, TrainingSettings


class ItemRuleSettings(Section):
    """The rule that picks the items of a code."""

    prior: Positive
    half_life_days: Positive
    items_per_code: Count


class ReinforceSettings(Section):
    """Reinforcement of the retriever by the ranker's reward."""

    method: Literal["grpo", "dpo"]
    tasks: dict[str, NotNegative]
    rounds: Count
    prompts: Count
    valid_prompts: Count
    group: Annotated[int, Field(ge=2)]
    share: Share
    weight: NotNegative
    clip: Positive
    bound: NotNegative
    kl_weight: NotNegative
    beta: Positive
    learning_rate: Positive
    most_lost_hit_rate: Share


class RetrieverSettings(TrainingSettings):
    """The retriever: what it reads, its network and its training."""

    on: Annotated[bool, NOT_IN_RECIPE]
    recent_length: Count
    older_length: Count
    taken_length: Count
    half_lives: Annotated[list[Positive], Field(min_length=1)]
    visit_minutes: Positive
    targets: Count
    moments: Count
    valid_moments: Count
    history_events: Count
    user_moments: Count
    popularity_days: Positive
    max_items: Count
    dim: Count
    heads: Count
    queries: Annotated[int, Field(ge=0)]
    layers: Count
    experts: Count
    active_experts: Count
    expert_width: Count
    balance_rate: NotNegative
    prefix_rows: Count
    copies: bool
    tokens: Literal["codebook", "random"]
    contrastive_weight: NotNegative
    items: Annotated[ItemRuleSettings, NOT_IN_RECIPE]
    reinforce: Annotated[ReinforceSettings, NOT_IN_RECIPE]

    @model_validator(mode="after")
    def _sizes_fit(self) -> RetrieverSettings:
        if self.dim % self.heads:
            raise ValueError(f"heads must divide dim: {self.dim} is no multiple of {self.heads}")
        if self.experts > 1 and self.active_experts > self.experts:
            raise ValueError(f"active_experts must be at most experts, {self.experts}")
        return self
