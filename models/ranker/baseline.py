"""Baselines that the ranker is compared with; each is declared in a file in :mod:`models.ranker.baselines`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

RANKER = "qarm"
"""Name of the ranker in file names and in the names of metrics."""

BOTH = ("recent", "found")
"""The histories that the ranker attends to."""

ITS_OWN: Mapping[str, Any] = {"histories": BOTH}
"""Fields of the ranker's shape that do not come from the settings."""


class Baseline:
    """A baseline, which scores the same examples as the ranker.

    Attributes:
        name: name in metrics, ``<task>.auc.<name>``.
        title: title in tables.
        meaning: description, without a full stop.
        nightly: whether the nightly run measures it; the benchmarks measure all baselines.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    nightly: ClassVar[bool] = True


class TrainedBaseline(Baseline):
    """A variant of the ranker with fewer parts or another search, trained with the same code and settings.

    Attributes:
        examples: value of ``examples.search`` for the examples that it reads in the benchmarks.
        histories: histories that it attends to.
        search: see :class:`models.ranker.network.shape.RankerShape`.
        use: switches that it turns on if the settings turn them on as well.
    """

    examples: ClassVar[str]
    histories: ClassVar[tuple[str, ...]] = BOTH
    search: ClassVar[str] = "done"
    use: ClassVar[tuple[str, ...]] = ("counts",)

    @classmethod
    def fixed(cls) -> dict[str, Any]:
        """Fields of its shape that do not come from the settings."""
        return {"histories": cls.histories, "search": cls.search, "use": cls.use}


class ColumnBaseline(Baseline):
    """A baseline whose score is a column of the example, without training.

    Attributes:
        column: ``train_events`` (positive events on the target in the train period), or a column of
            ``ranker_examples``.
    """

    column: ClassVar[str]
