"""Sections of the settings about retrieval and recommendation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.ranking_sections import Moment
from schemas.recipe import HOW_IT_RUNS, NOT_IN_RECIPE
from schemas.sections import Count, NotNegative, Positive, Section, Share


class FusionSettings(Section):
    """What makes one score of a candidate's numbers: a linear score and boosted trees."""

    moments: Annotated[int, Field(ge=0)]
    days_between: Count
    refit_days: Annotated[Positive, NOT_IN_RECIPE]
    measured: Annotated[bool, NOT_IN_RECIPE]
    negatives: Count
    trees: Count
    leaves: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
    learning_rate: Positive
    min_leaf: Count
    l2: NotNegative
    linear_l2: NotNegative
    seed: int


class RetrieveSettings(Section):
    """Sources of candidates, and how many of each are taken."""

    on: Annotated[bool, NOT_IN_RECIPE]
    as_of: Annotated[Moment, NOT_IN_RECIPE]
    candidates: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(min_length=1)]
    written: Annotated[Count, NOT_IN_RECIPE]
    fused: Annotated[Count, NOT_IN_RECIPE]
    reference_users: Count
    max_user_events: Count
    own_half_life_days: Positive
    group: Count
    within_group: Share
    between_groups: Share
    own_share: Share
    nearest_users: Count
    cosine_half_life_days: Positive
    recent_half_life_days: Positive
    transitions_per_item: Count
    min_transitions: Count
    ease_weight: Positive
    ease_items: Count
    ease_per_item: Count
    popular_days: Positive
    popular_items: Count
    trending_half_life_days: Positive
    beam: Count
    users_per_task: Annotated[Count, HOW_IT_RUNS]
    fusion: FusionSettings


class RecommendSettings(Section):
    """The list of each user."""

    on: Annotated[bool, NOT_IN_RECIPE]
    top: Count
    ranker_weight: NotNegative
    not_taken_days: NotNegative
    sold_days: NotNegative
    unavailable: dict[str, list[str]]
