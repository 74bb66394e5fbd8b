"""What the ranker reads of a target beside its histories' events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.histories import Findings
from models.ranker.examples.targets import Catalogue, Targets


def target_columns(targets: Targets, findings: Findings, catalogue: Catalogue) -> dict[str, NDArray[Any]]:
    """Columns of ``ranker_examples`` by name, each with a row a target: its item, its moment, what the past says of it.

    Args:
        targets: what is ranked.
        findings: of the targets.
        catalogue: what is known of the items.
    """
    codes, seconds = catalogue.codes[targets.rows], targets.times // 1_000_000
    return {
        "item_index": catalogue.item_index[targets.rows],
        **{f"sid_{i + 1}": np.ascontiguousarray(codes[:, i]) for i in range(3)},
        "hour": (seconds // 3600 % 24).astype(np.int32),
        "weekday": ((seconds // 86_400 + 3) % 7).astype(np.int32),  # 1 January 1970 was a Thursday
        "history_length": findings.history_length,
        "taken": findings.taken,
        "taken_gap": findings.taken_gap,
        **{f"shared_{i + 1}": np.ascontiguousarray(findings.shared[:, i]) for i in range(3)},
        "shared_gap": findings.shared_gap,
        "similar": findings.similar,
        "similarity": findings.similarity,
        "behaviour": findings.behaviour,
        "taste": findings.taste,
        "tried": findings.tried,
        "paired": findings.paired,
        "neighbour_item": catalogue.neighbours[targets.rows],
    }
