"""Random columns of ranking examples, drawn as the features are declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.arrays import ItemTexts, ItemTokens, item_texts
from models.ranker.network.texts.shape import TextShape
from schemas.examples import HISTORIES
from schemas.feature import BUCKETS, Feature, Reads
from schemas.features import EVENT_FIELDS, FEATURES, SWITCHES
from schemas.names import SID_COLUMNS


def random_texts(contents: int = 7, rows: int = 20, length: int = 5, seed: int = 0) -> ItemTexts:
    """Contents of one to five tokens, the first row of each array that of no text; the last content has no token."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, 6, (1 + contents, 3, length)).astype(np.int32)
    tokens[:, 1] -= 1  # some tokens are covered by no domain token
    tokens[:, 2] = 1 + tokens[:, 2] % 3
    there = np.arange(length) < draw.integers(1, 1 + length, (1 + contents, 1))
    there[[0, -1]] = False
    tokens *= there[:, None]
    of = ItemTokens(tokens, draw.normal(size=(7, 8)).astype(np.float32), domains=6, fields=4)
    index = np.concatenate([[1], draw.permutation(np.arange(2, rows))]).astype(np.int32)
    return item_texts(of, draw.integers(0, 1 + contents, rows - 1).astype(np.int32), index, rows)


ITEMS, CODES, NEIGHBOURS = 20, 5, 5
WITHOUT_TEXT = [switch.name for switch in SWITCHES if switch.name != "text"]
SHAPE = RankerShape(
    tasks=["click"], items=ITEMS, codes=[CODES] * 3, histories=["recent", "found"],
    use=WITHOUT_TEXT, id_events=2, item_dim=8, sid_dim=8, hidden=[16], heads=2, dropout=0.0,
)  # fmt: skip
"""A small ranker with every switch on but that of texts, which need tokens."""
TEXT = TextShape(
    encoder="transformer", dim=8, layers=1, heads=2, gate=True, reading=True, user=True, events=True, matches=True,
    auxiliary=0.1, dropout=0.0,
)  # fmt: skip
TEXTS = random_texts()
TEXT_SHAPE = replace(SHAPE, use=[*WITHOUT_TEXT, "text"], text=TEXT, texts=TEXTS.sizes)
"""The same with texts, and all that may be read of them."""


def without(*switches: str) -> list[str]:
    """All switches of the small ranker but some."""
    return [name for name in WITHOUT_TEXT if name not in switches]


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
