"""The feed of moments: batches that Petastorm reads."""

from __future__ import annotations

from lake.run import Run
from models.feed.feed import Feed
from models.retriever.network.shape import RetrieverShape
from schemas.parameters import take


def feed_of(run: Run, files: list[str], shape: RetrieverShape, *, shuffle_rows: int) -> Feed:
    """A feed over rows of moments, in batches for one process."""
    settings = run.settings.retriever
    batch_size = settings.batch_size // settings.processes
    columns = [*shape.history_columns, "target_code"]
    return take(Feed, settings, files=files, columns=columns, batch_size=batch_size, shuffle_rows=shuffle_rows)
