"""All sources side by side: from histories to candidates and the numbers that fusion reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.retriever.background import Asked, Background
from models.retriever.candidates import Candidates
from models.retriever.facts import FACTS, Facts
from models.retriever.source import Source, SourceParameters
from models.retriever.sources import SOURCES
from models.retriever.sparse_rows import Scores, zeroed

CELLS = 2**24
"""Users times items of a batch at most, or times reference users if these are more: a source with a score for every
item, or a likeness to every reference user, has so many numbers in memory."""

REPEATS = 0.005
"""Where a smaller share of the taken items was taken again, as of films, what a user took is no candidate."""


class Pool:
    """The sources over one background.

    Memory: the background and what the sources derive of it, and for a batch :data:`CELLS` numbers for each source that
    scores every item.

    Args:
        background: what is known of all users.
        parameters: constants of the sources.
        most: number of candidates by source; its names are the sources that are used, as far as they are possible.
        given: further sources that are made already, by name.
    """

    def __init__(
        self,
        background: Background,
        parameters: SourceParameters,
        most: Mapping[str, int],
        given: Mapping[str, Source] | None = None,
    ) -> None:
        given = given or {}
        self.background, self.parameters = background, parameters
        self.most = {name: most[name] for name in most if name in given or SOURCES[name].is_possible(background)}
        self.sources = {name: given.get(name) or SOURCES[name](background, parameters) for name in self.most}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers of a candidate: its score and rank in each source, and the facts."""
        return (*(f"score_{name}" for name in self.sources), *(f"rank_{name}" for name in self.sources), *FACTS)

    @cached_property
    def facts(self) -> Facts:
        """Numbers beside the sources."""
        return Facts(self.background)

    @property
    def are_taken_again(self) -> bool:
        """Whether users take items again, as groceries; if not, what a user took is no candidate of that user."""
        return self.facts.repeats >= REPEATS

    def scores(self, asked: Asked) -> dict[str, Scores]:
        """Scores of all items by source; 0 for what a user took, where hardly any user takes an item again.

        Args:
            asked: the users.
        """
        found = {name: source.scores(asked) for name, source in self.sources.items()}
        if self.are_taken_again:
            return found
        taken = asked.summed(np.ones(len(asked.histories.item)), self.background.items)
        return {name: zeroed(own, taken) for name, own in found.items()}

    def batches(self, asked: Asked) -> Iterator[tuple[NDArray[np.int64], Candidates, NDArray[np.float32]]]:
        """Candidates of users, a batch of users at a time.

        Args:
            asked: the users.

        Yields:
            Places of the batch's users, their candidates, and the numbers of these, shape (n, len(names)).
        """
        widest = max(self.background.items, self.background.histories.users, 1)
        size = max(CELLS // widest, 1)
        for start in range(0, len(asked.itself), size):
            users = np.arange(start, min(start + size, len(asked.itself)))
            own = asked.take(users)
            candidates = Candidates.of(self.scores(own), self.most)
            yield users, candidates, self.numbers(own, candidates)

    def numbers(self, asked: Asked, candidates: Candidates) -> NDArray[np.float32]:
        """The numbers of candidates; a rank of 0, which means none, is given as NaN."""
        rank = np.where(candidates.rank > 0, candidates.rank, np.nan).astype(np.float32)
        return np.concatenate([candidates.score, rank, self.facts.of(asked, candidates)], 1)
