"""Sections of the settings about the codebook, which turns embeddings into codes."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.recipe import NOT_IN_RECIPE
from schemas.sections import Count, Positive, Section

MOST_CODES = 2**31 - 1


class KMeansSettings(Section):
    """The k-means levels."""

    sizes: list[Count]
    iterations: Count
    balanced: bool


class FsqSettings(Section):
    """The FSQ level: its sizes, its networks and their training."""

    levels: list[Annotated[int, Field(ge=2)]]
    projection: Literal["learned", "pca"]
    decoder: Literal["prefix", "mirrored"]
    prefix_minimum: Annotated[int, Field(ge=0)]
    hidden: Count
    steps: Count
    batch_size: Count
    learning_rate: Positive

    @model_validator(mode="after")
    def _codes_fit_a_column(self) -> FsqSettings:
        if math.prod(self.levels) > MOST_CODES:
            raise ValueError("the product of levels must fit an INT column, at most 2^31 - 1")
        return self


class RqVaeSettings(Section):
    """RQ-VAE: its networks and their training."""

    hidden: Count
    latent: Count
    steps: Count
    batch_size: Count
    learning_rate: Positive


class CodebookSettings(Section):
    """How embeddings become codes, and when a codebook is replaced.

    Each method of :mod:`models.quantize.methods` says which of ``kmeans``, ``fsq`` and ``rq_vae`` it reads, and which
    values it refuses.
    """

    method: Annotated[str, Field(min_length=1)]
    sample_size: Count
    collisions: Annotated[Literal["keep", "suffix", "next_best"], NOT_IN_RECIPE]
    contents_per_sid: Annotated[Count, NOT_IN_RECIPE]
    refit: Annotated[Literal["on_request", "when_due", "now"], NOT_IN_RECIPE]
    refit_error_factor: Annotated[float, Field(ge=1), NOT_IN_RECIPE]
    refit_collision_factor: Annotated[float, Field(ge=1), NOT_IN_RECIPE]
    refit_after: Annotated[Count, NOT_IN_RECIPE]
    neighbours: Annotated[Count, NOT_IN_RECIPE]
    neighbours_exact: Annotated[int, Field(ge=0), NOT_IN_RECIPE]
    neighbours_index: Annotated[Literal["ivf", "hnsw"], NOT_IN_RECIPE]
    neighbours_limit: Annotated[int, Field(ge=0), NOT_IN_RECIPE]
    quality_sample: Annotated[Count, NOT_IN_RECIPE]
    seed: int
    kmeans: KMeansSettings
    fsq: FsqSettings
    rq_vae: RqVaeSettings
