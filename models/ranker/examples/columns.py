"""Computes the features of targets, which the ranker reads in addition to the events of their histories."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature_functions
from schemas.features import FEATURES


def target_columns(of: Context) -> dict[str, NDArray[Any]]:
    """Features by name, one row per target, except those that Spark counts over all users."""
    functions = feature_functions()
    names = [feature.name for feature in FEATURES if feature.count is None]
    return {name: np.ascontiguousarray(functions[name](of)) for name in names}
