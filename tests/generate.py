"""A small log and catalogue with planted clusters: users keep to a few clusters, titles follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

THEMES = {
    "wine": ["red wine bottle", "white wine bottle", "rose wine", "sparkling wine", "dessert wine"],
    "baby": ["baby diapers", "baby wipes", "baby food jar", "infant formula", "baby lotion"],
    "pets": ["dog food", "cat food", "dog treats", "cat litter", "dog chew toy"],
    "garden": ["garden hose", "plant fertilizer", "flower seeds", "lawn rake", "potting soil"],
    "coffee": ["ground coffee", "coffee filters", "espresso beans", "instant coffee", "coffee creamer"],
    "seafood": ["frozen shrimp", "salmon fillet", "canned tuna", "crab meat", "cod fillet"],
}
SIZES = ["small", "large", "family pack", "organic"]


def cluster_of(item_id: str) -> str:
    return item_id.split("_")[0]


def catalogue() -> pd.DataFrame:
    rows = [
        {"sku": f"{theme}_{i}_{j}", "title": f"{title} {size}", "category": theme, "maker": f"maker {i}"}
        for theme, titles in THEMES.items()
        for i, title in enumerate(titles)
        for j, size in enumerate(SIZES)
    ]
    return pd.DataFrame(rows)


def log(users: int = 60, days: int = 30, per_day: int = 4, seed: int = 5) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    items = catalogue()["sku"].to_numpy()
    clusters = np.array([cluster_of(item) for item in items])
    themes = list(THEMES)
    rows = []
    for user in range(users):
        mine = generator.choice(themes, 2, replace=False)
        own = items[np.isin(clusters, mine)]
        for day in range(days):
            for _ in range(generator.poisson(per_day)):
                pool = own if generator.random() < 0.9 else items
                seconds = int(generator.integers(86_400))
                time = pd.Timestamp("2025-03-01") + pd.Timedelta(days=day, seconds=seconds)
                rows.append({"shopper": f"u{user:03d}", "sku": str(generator.choice(pool)), "at": time})
    return pd.DataFrame(rows)


def write(folder: Path, **options: int) -> tuple[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    interactions, items = folder / "log.parquet", folder / "items.csv"
    log(**options).to_parquet(interactions, coerce_timestamps="us")
    catalogue().to_csv(items, index=False)
    return str(interactions), str(items)


RENAME = "shopper=user_id,sku=item_id,at=event_time"

SMALL = [
    'examples.behaviour.model="als"',
    "examples.behaviour.iterations=3",
    "ranker.use.pairs=true",  # against its advice: every column is read
    "mine.min_user_items=3",
    "mine.user2item.steps=60",
    "mine.user2item.batch_size=256",
    "judge.max_pairs=40",
    "embed.layer=12",
    "align.steps=4",
    "align.min_support=1",
    "align.batch_contents=16",
    "align.layers=6",
    "align.checkpoint_steps=2",
    "embed.search_dim=16",
    'language_model.dtype="bfloat16"',
    "codebook.kmeans.sizes=[8, 4]",
    "codebook.fsq.levels=[2, 2, 2, 2]",
    "codebook.fsq.batch_size=64",
    "codebook.fsq.hidden=32",
    "codebook.fsq.steps=300",
    "codebook.neighbours=5",
    "examples.recent_length=5",
    "examples.found_length=8",
    "examples.max_user_events=60",
    "ranker.batch_size=128",
    "ranker.max_epochs=4",
]


def clustered(n: int = 400, d: int = 16, seed: int = 0) -> np.ndarray:
    """Unit vectors around twelve centres, as embeddings lie."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(12, d))
    vectors = centres[generator.integers(12, size=n)] + 0.3 * generator.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
