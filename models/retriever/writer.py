"""A retriever as a source of items: it reads histories in the numbers of one catalogue and names items of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.retriever.catalogue import Catalogue
from models.retriever.histories import UserHistories
from models.retriever.items import ItemRule, items_of
from models.retriever.serving import Retriever


@dataclass(frozen=True)
class Writer:
    """A retriever, and how the items that it knows are numbered elsewhere.

    Attributes:
        retriever: the retriever over tonight's codes.
        number: number, elsewhere, of each item of the retriever's catalogue, ascending, shape (its items,).
        action: the retriever's number of each action elsewhere, -1 for one that it does not know, shape (actions,).
        rule: how an item of a code is chosen.
        beam: number of codes that are written for each user.
        most: number of items for each user.
    """

    retriever: Retriever
    number: NDArray[np.int32]
    action: NDArray[np.int8]
    rule: ItemRule
    beam: int
    most: int

    def catalogue(self, popularity: NDArray[np.float32]) -> Catalogue:
        """The retriever's catalogue with tonight's popularity.

        Args:
            popularity: how much all users take each item lately, in the numbers of elsewhere, shape (items,).
        """
        return replace(self.retriever.catalogue, popularity=popularity[self.number])

    def probabilities(self, histories: UserHistories, catalogue: Catalogue, items: int) -> sparse.csr_matrix:
        """Probability of the items of the written codes, shape (users, items).

        Args:
            histories: histories in the numbers of elsewhere.
            catalogue: result of :meth:`catalogue`.
            items: number of items elsewhere.
        """
        place = np.minimum(np.searchsorted(self.number, histories.item), len(self.number) - 1)
        action = self.action[histories.action]
        known = (self.number[place] == histories.item) & (action >= 0)
        own = UserHistories.of(
            histories.user[known], place[known].astype(np.int32), histories.time[known], action[known],
            now=histories.now,
        )  # fmt: skip
        written = self.retriever.generate(own, beam=self.beam)
        found = items_of(written, own, catalogue, self.rule, most=self.most)
        user, column = np.nonzero(found.items >= 0)
        chance = np.exp(found.score[user, column]).astype(np.float32)
        places = (user, self.number[found.items[user, column]])
        return sparse.csr_matrix((chance, places), (histories.users, items))
