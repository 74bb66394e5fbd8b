"""The shape of a ranker: sizes of its tables and layers, and the switches that are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.ranker.network.experts import Kind
from models.ranker.network.texts.shape import TextShape
from schemas.feature import Feature
from schemas.features import EVENT_FIELDS, FEATURES, SWITCHES
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.settings import Settings

CodeTables = Literal["levels", "prefixes"]
Search = Literal["done", "soft", "twin", "eta"]
NEEDS = {switch.name: switch.needs for switch in SWITCHES}


@dataclass(frozen=True, kw_only=True)
class RankerShape:
    """The shape of a ranker.

    Attributes:
        tasks: names of the tasks, one output each.
        items: number of rows of the item table, with padding and the unknown item.
        codes: numbers of rows of the three semantic-ID tables, with padding.
        histories: the histories that it attends to: ``recent``, ``found`` or both.
        use: names of the :data:`schemas.features.SWITCHES` that are on.
        id_events: smallest number of positive events of all users on a target, on earlier days, for the target's own
            row of the item table to be used; with fewer events the target is embedded as the unknown item.
        item_dim: width of the item table.
        sid_dim: width that each level of a semantic ID adds.
        code_tables: ``levels`` for a table for each level, ``prefixes`` for a table for each prefix, see
            :mod:`models.ranker.network.code_tables`.
        prefix_rows: rows of the table of each prefix but the first.
        hidden: widths of the head's layers, see :class:`models.ranker.network.experts.Heads`.
        heads: number of attention heads.
        dropout: dropout rate in the head.
        mixture: how tasks share the head, see :class:`models.ranker.network.experts.Heads`.
        experts: number of experts of the mixture.
        follows: for each task that follows another task, that other task, see
            :func:`models.ranker.network.tasks.log_probabilities`.
        log_q: whether training corrects for how negatives were sampled, see
            :meth:`models.ranker.network.ranker.Ranker.loss`.
        search: ``done`` if the found history is the result of a search when the examples were built. Otherwise the
            ranker itself searches the found history: ``soft`` (SIM), ``twin`` or ``eta``.
        search_k: number of events that the ranker's own search keeps.
        text: how it reads item texts; only read if the switch ``text`` is on.
        texts: sizes of its tables of tokens and texts, see
            :attr:`models.ranker.network.texts.arrays.ItemTexts.sizes`; empty without the switch ``text``.

    Raises:
        ValueError: a name in ``use`` is not a switch, or the switch ``text`` is on without ``text`` or ``texts``.
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
    code_tables: CodeTables = "levels"
    prefix_rows: int = 2
    log_q: bool = False
    search: Search = "done"
    search_k: int = 50
    text: TextShape | None = None
    texts: Sequence[int] = ()

    def __post_init__(self) -> None:
        if isinstance(self.text, Mapping):  # as JSON gives it
            object.__setattr__(self, "text", TextShape(**self.text))
        if "text" in self.use and (self.text is None or not self.texts):
            raise ValueError("ranker.use.text: there are no item texts; run write_anchors and tokenize_anchors")
        if unknown := set(self.use) - set(NEEDS):
            raise ValueError(f"ranker.use.{min(unknown)}: there is no such switch; remove it")

    def uses(self, name: str | None) -> bool:
        """Whether a switch and the switch that it needs are on; True for None."""
        return name is None or (name in self.use and self.uses(NEEDS[name]))

    @property
    def reads_scores(self) -> bool:
        """Whether it reads ``found_score``."""
        return "found" in self.histories and self.uses("mix")

    @property
    def features(self) -> list[Feature]:
        """Features of the target that the ranker reads, in the order of their declaration."""
        return [feature for feature in FEATURES if self.uses(feature.switch)]

    @property
    def taught_by(self) -> list[str]:
        """Columns of ``ranker_examples`` that only training reads: labels, and what corrects for sampling."""
        return [*(f"label_{task}" for task in self.tasks), *(["log_q"] if self.log_q else [])]

    @property
    def columns(self) -> list[str]:
        """Columns of ``ranker_examples`` that the ranker reads, those of :attr:`taught_by` included."""
        fields = [name for name in EVENT_FIELDS if name not in SID_COLUMNS or self.uses("codes")]
        sequences = [f"{history}_{field}" for history in self.histories for field in fields]
        scores = ["found_score"] if self.reads_scores else []
        # item_events is read to decide whether the target's row of the item table is used.
        of_target = [feature.name for feature in self.features]
        return list(dict.fromkeys([*self.taught_by, *of_target, "item_events", *scores, *sequences]))


def shape_of(settings: Settings, sizes: Mapping[str, object], fixed: Mapping[str, Any]) -> RankerShape:
    """The shape of a ranker. Fields that are not fixed are taken from the settings of the same names.

    Args:
        settings: all settings.
        sizes: sizes of the item table and of the code tables, and, if the settings turn texts on, ``texts``.
        fixed: fields that are not taken from the settings, e.g. those of a baseline.
    """
    use = [name for name in settings.ranker.use.on if name in fixed.get("use", settings.ranker.use.on)]
    given = {"tasks": settings.ranking.task_names, "follows": settings.ranking.follows, **sizes, **fixed, "use": use}
    reads_texts = "text" in use
    if settings.ranker.code_tables == "levels":
        given["prefix_rows"] = 2  # another number of rows that nobody reads is no other shape
    given["text"] = take(TextShape, settings.ranker.text) if reads_texts else None
    given["texts"] = sizes["texts"] if reads_texts else ()
    return take(RankerShape, settings.ranker, **given)
