"""Computes the features of targets, which the ranker reads in addition to the events of their histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature_functions
from schemas.features import FEATURES

COMPUTED = tuple(feature.name for feature in FEATURES if feature.count is None)
"""All features but those that Spark counts over all users."""


def target_columns(of: Context, names: Sequence[str] = COMPUTED) -> dict[str, NDArray[Any]]:
    """Features by name, one row per target.

    Args:
        of: the targets and the user's past.
        names: names of the features.
    """
    functions = feature_functions()
    return {name: np.ascontiguousarray(functions[name](of)) for name in names}
