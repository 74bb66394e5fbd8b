"""The baselines, one file each; a new file with a :class:`models.ranker.baseline.Baseline` adds a baseline."""

from __future__ import annotations

from collections.abc import Mapping

from models.ranker.baseline import Baseline, ColumnBaseline, TrainedBaseline
from models.registry import classes_in

BASELINES: Mapping[str, type[Baseline]] = classes_in(__name__, __path__, Baseline)
"""All baselines by name."""

TRAINED = {name: found for name, found in BASELINES.items() if issubclass(found, TrainedBaseline)}
COLUMNS = {name: found for name, found in BASELINES.items() if issubclass(found, ColumnBaseline)}
