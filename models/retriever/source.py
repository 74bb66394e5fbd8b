"""Sources of candidates; each is declared in a file in :mod:`models.retriever.sources`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from models.retriever.background import Asked, Background
from models.retriever.sparse_rows import Scores


@dataclass(frozen=True, kw_only=True)
class SourceParameters:
    """Constants of the sources; their settings have the same names under ``[retrieve]``.

    Attributes:
        own_half_life_days: ``own``: days after which an event counts half.
        group: TIFU-kNN: baskets of a group.
        within_group: TIFU-kNN: weight of a basket, as a share of the next later one in its group.
        between_groups: TIFU-kNN: weight of a group, as a share of the next later one.
        own_share: TIFU-kNN: weight of the user's own vector; the neighbours' mean has the rest.
        nearest_users: number of nearest reference users.
        cosine_half_life_days: ``cosine``: days after which an event counts half.
        recent_half_life_days: ``transitions`` and ``swing``: days after which an event counts half.
        transitions_per_item: ``transitions``: most items that an item leads to.
        min_transitions: ``transitions``: fewest times that an item was followed by another one.
        ease_weight: ``ease``: L2 weight of the linear model.
        ease_items: ``ease``: items that the model knows, those with the most users.
        ease_per_item: ``ease``: most weights that are kept of an item.
        popular_days: ``popular``: days that are counted.
        popular_items: ``popular`` and ``trending``: number of items.
        trending_half_life_days: ``trending``: days after which an event counts half.
    """

    own_half_life_days: float
    group: int
    within_group: float
    between_groups: float
    own_share: float
    nearest_users: int
    cosine_half_life_days: float
    recent_half_life_days: float
    transitions_per_item: int
    min_transitions: int
    ease_weight: float
    ease_items: int
    ease_per_item: int
    popular_days: float
    popular_items: int
    trending_half_life_days: float


class Source(ABC):
    """A source of candidates, which scores the whole catalogue for each user.

    Attributes:
        name: name in tables and settings.
        meaning: what the score means, without a full stop.
        reason: why a user is shown an item of this source, in words for the user, without a full stop.
        fitted_until: the day of the log's periods that the source's fit ends before, ``fit_until`` or ``test_from``;
            empty without a fit. Fusion learns from later moments alone, or it would trust the source for what it has
            seen.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    reason: ClassVar[str]
    fitted_until: ClassVar[str] = ""

    def __init__(self, background: Background, parameters: SourceParameters) -> None:
        self.background = background
        self.parameters = parameters

    @classmethod
    def is_possible(cls, background: Background) -> bool:
        """Whether the background has what the source needs."""
        return True

    @abstractmethod
    def scores(self, asked: Asked) -> Scores:
        """Scores of items for each user, above 0; 0 for items that the source does not name, shape (users, items)."""
