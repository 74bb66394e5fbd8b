"""TIFU-kNN: the user's baskets, decayed in groups, mixed with those of near users (Hu et al., arXiv 2006.00556)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from models.retriever.background import Asked
from models.retriever.baskets import Baskets
from models.retriever.nearest_users import nearest_weights
from models.retriever.source import Source, SourceParameters
from models.retriever.sparse_rows import Scores, unit_rows


def decayed_baskets(baskets: Baskets, parameters: SourceParameters) -> sparse.csr_matrix:
    """The vector of each user (section 4.1): the mean of groups of baskets, each the mean of its baskets, decayed.

    Args:
        baskets: the users' baskets.
        parameters: size and decay of groups.

    Returns:
        Shape (users, items).
    """
    back, sizes = baskets.back, baskets.sizes[baskets.user]
    group = back // parameters.group
    held = np.minimum(parameters.group, sizes - group * parameters.group)
    groups = -(-sizes // parameters.group)
    weights = parameters.within_group ** (back % parameters.group) / held
    return baskets.summed(weights * parameters.between_groups**group / groups)


class TifuKnn(Source):
    """The user's own vector and the mean of the nearest users' vectors, in fixed shares."""

    name = "tifu_knn"
    meaning = "decayed baskets of the user and of near users (TIFU-kNN)"
    reason = "you and people who shop like you take it"

    @cached_property
    def _vectors(self) -> sparse.csr_matrix:
        return decayed_baskets(Baskets.of(self.background.histories, self.background.items), self.parameters)

    @cached_property
    def _units(self) -> sparse.csr_matrix:
        return unit_rows(self._vectors)

    def scores(self, asked: Asked) -> Scores:
        """Mixed vectors."""
        own = decayed_baskets(Baskets.of(asked.histories, self.background.items), self.parameters)
        near = nearest_weights(asked, own, self._units, self.parameters.nearest_users)
        share = self.parameters.own_share
        return sparse.csr_matrix(own * share + (near @ self._vectors) * (1 - share))
