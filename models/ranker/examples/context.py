"""The inputs of all features of one user's targets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.found import Found, find
from models.ranker.examples.gather import buckets
from models.ranker.examples.keys import leading_keys, times_before
from models.ranker.examples.past import GAPS, Past
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import ExampleParameters, Targets


@dataclass(frozen=True)
class Context:
    """One user's targets and past; values that several features share are computed at first use and cached.

    Attributes:
        targets: the n targets to rank.
        past: the user's h positive events; those strictly before a target's time are visible to it.
        index: attributes of all items.
        parameters: parameters of the search.
    """

    targets: Targets
    past: Past
    index: SearchIndex
    parameters: ExampleParameters

    @cached_property
    def visible(self) -> NDArray[np.int64]:
        """Number of events visible to each target, which are the oldest ones, shape (n,)."""
        return np.searchsorted(self.past.times, self.targets.times, side="left")

    @cached_property
    def found(self) -> Found:
        """Result of the search for every target."""
        return find(self.targets.rows, self.visible, self.past.rows, self.index, parameters=self.parameters)

    @cached_property
    def same_item(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Number of visible events on the target's item, and position of the last or -1; each of shape (n,)."""
        return times_before(self.targets.rows, self.visible, self.past.rows)

    @cached_property
    def same_codes(self) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Visible events that share leading codes with the target, for 1, 2 and 3 codes.

        Each entry holds the number of these events and the position of the last or -1, each of shape (n,).
        """
        of_target, of_event = self.index.codes[self.targets.rows], self.past.codes
        return [
            times_before(leading_keys(of_target, levels), self.visible, leading_keys(of_event, levels))
            for levels in range(1, 1 + of_target.shape[1])
        ]

    @cached_property
    def behaviour_fits(self) -> list[tuple[int, NDArray[np.int64]]]:
        """The number of each fit of behaviour vectors, with the targets whose newest usable fit it is."""
        fits = np.searchsorted(self.index.behaviour_until, self.targets.times, side="right") - 1
        return [(number, np.flatnonzero(fits == number)) for number in np.unique(fits[fits >= 0]).tolist()]

    def gap_since(self, positions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Bucket of the time between each target and one event, 0 for no event; shape (n,).

        Args:
            positions: position of an event for each target, or -1, shape (n,).
        """
        return buckets(self.targets.times, self.past.times, positions[:, None], GAPS)[:, 0]
