"""What the ranker reads of a target beside its histories' events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature_functions
from schemas.features import FEATURES


def target_columns(of: Context) -> dict[str, NDArray[Any]]:
    """Features by name, a row a target: all that are declared but those counted over all users on the cluster."""
    functions = feature_functions()
    names = [feature.name for feature in FEATURES if feature.count is None]
    return {name: np.ascontiguousarray(functions[name](of)) for name in names}
