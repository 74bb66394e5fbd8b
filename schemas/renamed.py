"""Settings that earlier versions called otherwise: an old name is refused in one line that gives the new one."""

from __future__ import annotations

MOVED = {
    "codebook.kmeans": ("sizes", "iterations", "balanced"),
    "codebook.fsq": (
        "levels", "projection", "decoder", "prefix_minimum", "hidden", "steps", "batch_size", "learning_rate",
    ),
    "codebook.rq_vae": ("hidden", "latent", "steps", "batch_size", "learning_rate"),
    "mine.user2item.als": ("iterations", "regularization", "confidence"),
    "ranker.use": ("codes", "neighbours", "crosses", "histogram", "behaviour", "taste", "pairs", "mix", "counts"),
}  # fmt: skip
"""Sections of 0.6 whose settings were ``<section>_<name>`` before."""

RENAMED = {
    **{f"{section}_{name}": f"{section}.{name}" for section, names in MOVED.items() for name in names},
    "score.format": "score.files.format",
    "ranker.use_tried": "ranker.use.distinct_items",
    "examples.behaviour.lending": "examples.behaviour.shrinkage",
}
"""Names before, and names now."""
