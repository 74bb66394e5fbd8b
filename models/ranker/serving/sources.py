"""Where each input of the ranker comes from, as the pass of :mod:`models.reparameterise` asks."""

from __future__ import annotations

from models.ranker.network.shape import RankerShape
from models.reparameterise.colours import Source
from schemas.feature import Reads
from schemas.features import COUNTED, FEATURES, OF_USER


def sources(shape: RankerShape, *, one_day: bool) -> dict[str, Source]:
    """Where each column that a ranker reads comes from.

    Args:
        shape: the ranker's shape.
        one_day: whether all requests are of one day, so that what is counted over all users is the item's alone.
    """
    of_user = {feature.name: Source.MOMENT if feature.reads is Reads.CATEGORY else Source.USER for feature in FEATURES}
    of_item = {feature.name for feature in FEATURES if feature.reads is Reads.ID} | (set(COUNTED) if one_day else set())
    found = {}
    for name in shape.columns:
        if name in shape.taught_by:
            continue
        if name in OF_USER:
            found[name] = of_user[name]
        elif name.startswith("recent_") or (name.startswith("found_") and shape.search != "done"):
            found[name] = Source.USER  # a search of the ranker's own reads the same long history for all candidates
        else:
            found[name] = Source.ITEM if name in of_item else Source.PAIR
    return found
