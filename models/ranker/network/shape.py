"""What a ranker is made of: its tables and widths, and the parts that are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from models.ranker.network.experts import Kind
from schemas.feature import Feature
from schemas.features import EVENT_FIELDS, FEATURES, SWITCHES
from schemas.names import SID_COLUMNS

Search = Literal["done", "soft", "twin", "eta"]
NEEDS = {switch.name: switch.needs for switch in SWITCHES}


@dataclass(frozen=True, kw_only=True)
class RankerShape:
    """The shape of a ranker.

    Attributes:
        tasks: one output each.
        items: rows of the item table, padding and unknown included.
        codes: rows of the three semantic-ID tables, padding included.
        histories: which histories it attends to, of ``recent`` and ``found``.
        use: names of the :data:`schemas.features.SWITCHES` that are on.
        id_events: positive events of all users on a target, on earlier days, from which on its own row of the item
            table is read; below it is an unknown item, as it would have been on that day.
        item_dim: width of the item table.
        sid_dim: width of each semantic-ID table.
        hidden: widths of the head; the last but one layer where there are several is each task's own.
        heads: attention heads.
        dropout: in the head.
        mixture: how tasks share the head, see :class:`models.ranker.network.experts.Heads`.
        experts: of the mixture.
        follows: the task that a task comes after, see :func:`models.ranker.network.tasks.log_probabilities`.
        search: ``done`` where the found history is what a search found; else the ranker searches it for ``search_k``
            events: ``soft`` (SIM), ``twin`` or ``eta``.
        search_k: events that the ranker's own search keeps.

    Raises:
        ValueError: there is no such switch.
    """

    tasks: Sequence[str]
    items: int
    codes: Sequence[int]
    histories: Sequence[str]
    use: Sequence[str]
    id_events: int
    item_dim: int
    sid_dim: int
    hidden: Sequence[int]
    heads: int
    dropout: float
    mixture: Kind = "shared"
    experts: int = 1
    follows: Mapping[str, str] = field(default_factory=dict)
    search: Search = "done"
    search_k: int = 50

    def __post_init__(self) -> None:
        if unknown := set(self.use) - set(NEEDS):
            raise ValueError(f"ranker.use.{min(unknown)} is no switch of a ranker")

    def uses(self, name: str | None) -> bool:
        """Whether a switch is on, and the one that it needs; None is always on."""
        return name is None or (name in self.use and self.uses(NEEDS[name]))

    @property
    def reads_scores(self) -> bool:
        """Whether it reads ``found_score``."""
        return "found" in self.histories and self.uses("mix")

    @property
    def features(self) -> list[Feature]:
        """Features of the target that it reads, in the order they are declared."""
        return [feature for feature in FEATURES if self.uses(feature.switch)]

    @property
    def columns(self) -> list[str]:
        """Columns of ``ranker_examples`` that the ranker reads, labels included."""
        fields = [name for name in EVENT_FIELDS if name not in SID_COLUMNS or self.uses("codes")]
        labels = [f"label_{task}" for task in self.tasks]
        sequences = [f"{history}_{field}" for history in self.histories for field in fields]
        scores = ["found_score"] if self.reads_scores else []
        # item_events: whether the item was known on the example's day.
        of_target = [feature.name for feature in self.features]
        return list(dict.fromkeys([*labels, *of_target, "item_events", *scores, *sequences]))
