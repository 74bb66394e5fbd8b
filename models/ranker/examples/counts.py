"""Features that count a user's whole past, whatever its length: how often, how long ago, how alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature


@feature
def taken(of: Context) -> NDArray[np.int32]:
    """Times the user took the target."""
    return of.same_item[0]


@feature
def taken_gap(of: Context) -> NDArray[np.int32]:
    """Bucket of the time since the last of them."""
    return of.gap_since(of.same_item[1])


@feature
def shared_1(of: Context) -> NDArray[np.int32]:
    """Events that share the target's first code."""
    return of.same_codes[0][0]


@feature
def shared_2(of: Context) -> NDArray[np.int32]:
    """Events that share its first two codes."""
    return of.same_codes[1][0]


@feature
def shared_3(of: Context) -> NDArray[np.int32]:
    """Events that share all three."""
    return of.same_codes[2][0]


@feature
def shared_gap(of: Context) -> NDArray[np.int32]:
    """Bucket of the time since the last of these."""
    return of.gap_since(of.same_codes[2][1])


@feature
def similar(of: Context) -> NDArray[np.int32]:
    """Events by the tier of their similarity."""
    return of.found.tiers
