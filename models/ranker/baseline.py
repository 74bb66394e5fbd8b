"""What the ranker is held against: baselines, each declared in a file of its own in :mod:`models.ranker.baselines`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

RANKER = "qarm"
"""The ranker's own name, in its files and beside its baselines'."""

BOTH = ("recent", "found")
"""The histories that the ranker attends to."""

ITS_OWN: Mapping[str, Any] = {"histories": BOTH}
"""What of the ranker's shape the settings do not decide."""


class Baseline:
    """Something that scores the same examples as the ranker.

    Attributes:
        name: in the names of metrics, ``<task>.auc.<name>``.
        title: in tables for people.
        meaning: what it is, without a full stop.
        nightly: whether every night measures it; the benchmarks measure all.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    nightly: ClassVar[bool] = True


class TrainedBaseline(Baseline):
    """A model of the ranker's harness with parts left out or searched in another way, trained as the ranker is.

    Attributes:
        examples: the ``examples.search`` that made the histories it reads in the benchmarks.
        histories: that it attends to.
        search: see :class:`models.ranker.network.shape.RankerShape`.
        use: switches that are on where the settings turn them on, too.
    """

    examples: ClassVar[str]
    histories: ClassVar[tuple[str, ...]] = BOTH
    search: ClassVar[str] = "done"
    use: ClassVar[tuple[str, ...]] = ("counts",)

    @classmethod
    def fixed(cls) -> dict[str, Any]:
        """What of the ranker's shape it does not take from the settings."""
        return {"histories": cls.histories, "search": cls.search, "use": cls.use}


class ColumnBaseline(Baseline):
    """A number of the example that is a score as it is.

    Attributes:
        column: ``train_events`` (positive events on the target in the train period), or a column of
            ``ranker_examples``.
    """

    column: ClassVar[str]
