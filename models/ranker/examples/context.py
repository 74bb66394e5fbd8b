"""What every feature of one user's targets is computed from."""

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
    """One user's targets and past. What several features need is made when it is first asked for, and kept.

    Attributes:
        targets: what is ranked, n of them.
        past: the user's h positive events; each target sees those strictly before its time.
        index: what is known of the items.
        parameters: the search and its length.
    """

    targets: Targets
    past: Past
    index: SearchIndex
    parameters: ExampleParameters

    @cached_property
    def visible(self) -> NDArray[np.int64]:
        """How many of the oldest events each target may see, shape (n,)."""
        return np.searchsorted(self.past.times, self.targets.times, side="left")

    @cached_property
    def found(self) -> Found:
        """What the search finds."""
        return find(self.targets.rows, self.visible, self.past.rows, self.index, parameters=self.parameters)

    @cached_property
    def same_item(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Visible events on the target, and the position of the last, -1 for none; each of shape (n,)."""
        return times_before(self.targets.rows, self.visible, self.past.rows)

    @cached_property
    def same_codes(self) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """The same of events that share the target's first code, its first two, and so on; one for every level."""
        of_target, of_event = self.index.codes[self.targets.rows], self.past.codes
        return [
            times_before(leading_keys(of_target, levels), self.visible, leading_keys(of_event, levels))
            for levels in range(1, 1 + of_target.shape[1])
        ]

    @cached_property
    def behaviour_fits(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Fits of behaviour vectors, each with the targets, if any, that it is the newest one fitted before."""
        fits = np.searchsorted(self.index.behaviour_until, self.targets.times, side="right") - 1
        return [(number, np.flatnonzero(fits == number)) for number in np.unique(fits[fits >= 0]).tolist()]

    def gap_since(self, positions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Bucket of the time between each target and an event, 0 for none; shape (n,).

        Args:
            positions: of an event for each target, -1 for none, shape (n,).
        """
        return buckets(self.targets.times, self.past.times, positions[:, None], GAPS)[:, 0]
