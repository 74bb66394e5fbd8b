"""Random columns of ranking examples, drawn as the features are declared."""

from __future__ import annotations

import torch

from models.ranker.network.shape import RankerShape
from schemas.examples import HISTORIES
from schemas.feature import BUCKETS, Feature, Reads
from schemas.features import EVENT_FIELDS, FEATURES, SWITCHES
from schemas.names import SID_COLUMNS

ITEMS, CODES, NEIGHBOURS = 20, 5, 5
SHAPE = RankerShape(
    tasks=["click"], items=ITEMS, codes=[CODES] * 3, histories=["recent", "found"],
    use=[switch.name for switch in SWITCHES], id_events=2, item_dim=8, sid_dim=8, hidden=[16], heads=2, dropout=0.0,
)  # fmt: skip
"""A small ranker with every switch on."""


def without(*switches: str) -> list[str]:
    """All switches but some."""
    return [switch.name for switch in SWITCHES if switch.name not in switches]


def draw_feature(feature: Feature, rows: int, g: torch.Generator) -> torch.Tensor:
    """Values of a feature, none of them 0 where it has a table."""
    width = len(feature.parts) or (NEIGHBOURS if feature.width == 0 else feature.width)
    size = (rows,) if width is None else (rows, width)
    if feature.type == "FLOAT":
        return torch.rand(size, generator=g) - (0.5 if feature.reads is Reads.AS_IS else 0)
    ends = {Reads.CATEGORY: feature.values, Reads.BUCKET: BUCKETS, Reads.ID: ITEMS}
    high = CODES if feature.name in SID_COLUMNS else ends.get(feature.reads, 9)
    return torch.randint(1, high, size, generator=g, dtype=torch.int32)


def draw_field(field: str, size: tuple[int, ...], g: torch.Generator) -> torch.Tensor:
    """What events carry, none of it padding."""
    ends = {"item": ITEMS, "action": 3, **dict.fromkeys(SID_COLUMNS, CODES)}
    return torch.randint(1, ends.get(field, BUCKETS), size, generator=g, dtype=torch.int32)


def batch(n: int = 64, seed: int = 0, length: int = 4) -> dict[str, torch.Tensor]:
    """Clicked where the best found event is similar and the target has a low sid_1."""
    g = torch.Generator().manual_seed(seed)
    columns = {feature.name: draw_feature(feature, n, g) for feature in FEATURES}
    for history in HISTORIES:
        columns |= {f"{history}_{field}": draw_field(field, (n, length), g) for field in EVENT_FIELDS}
    columns["found_score"] = torch.rand(n, length, generator=g) * 2 - 1
    columns["label_click"] = ((columns["found_score"].amax(1) > 0.3) & (columns["sid_1"] < 3)).float()
    return columns
