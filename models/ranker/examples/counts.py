"""Features from the whole visible past: counts of events that match the target, and the time since the last one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature


@feature
def taken(of: Context) -> NDArray[np.int32]:
    """Number of the user's earlier positive events on the target."""
    return of.same_item[0]


@feature
def taken_gap(of: Context) -> NDArray[np.int32]:
    """Bucket of the time since the user's last positive event on the target; 0 for none."""
    return of.gap_since(of.same_item[1])


@feature
def shared_1(of: Context) -> NDArray[np.int32]:
    """Number of events that share the target's first code."""
    return of.same_codes[0][0]


@feature
def shared_2(of: Context) -> NDArray[np.int32]:
    """Number of events that share the target's first two codes."""
    return of.same_codes[1][0]


@feature
def shared_3(of: Context) -> NDArray[np.int32]:
    """Number of events that share all three codes of the target."""
    return of.same_codes[2][0]


@feature
def shared_gap(of: Context) -> NDArray[np.int32]:
    """Bucket of the time since the last event that shares all three codes of the target; 0 for none."""
    return of.gap_since(of.same_codes[2][1])


@feature
def similar(of: Context) -> NDArray[np.int32]:
    """Number of events in each tier of similarity to the target."""
    return of.found.tiers
