"""The trained retriever over tonight's codes, as a source of retrieval."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.run import Run
from models.retriever.catalogue import Catalogue
from models.retriever.items import ItemRule
from models.retriever.saved import FORMAT
from models.retriever.serving import Retriever
from models.retriever.writer import Writer
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.tables import SEMANTIC_IDS

log = logging.getLogger("qarm")


def writer_of(run: Run, items: DataFrame, folder: Path) -> Writer | None:
    """The newest retriever over tonight's codes, its files copied to a folder; None without one, or if it is not used.

    New items are named too, as long as their codes are of the codebook that the retriever was trained with. Driver
    memory: 200 bytes an item.

    Args:
        run: the run.
        items: result of :func:`jobs.retrieval.events.numbered_items`.
        folder: an empty folder.
    """
    settings = run.settings
    artifact = run.latest("retriever") if "generator" in settings.retrieve.candidates else None
    if artifact is None:
        return None
    if artifact.card.get("format") != FORMAT:
        log.warning("retrieve: %s was made by another qarm and is left out; run train_retriever", artifact.version)
        return None
    table = run.read(SEMANTIC_IDS.name).where(F.col("codebook_version") == artifact.card["codebook"])
    levels = [name for name in SID_COLUMNS if name in table.columns]
    coded = table.select("item_id", "content_hash", *levels).join(items.select("item_id", "item"), "item_id", "inner")
    rows = coded.toArrow().sort_by("item").combine_chunks()
    if not rows.num_rows:
        log.warning("retrieve: no item has a code of the codebook of %s, so it is left out", artifact.version)
        return None
    for path in run.lake.artifacts.fetch(artifact).iterdir():
        if path.name in artifact.files:
            shutil.copy(path, folder / path.name)
    used = [name for name in levels if rows[name].null_count == 0]
    sids = np.stack([rows[name].to_numpy() for name in used], axis=1).astype(np.int32)
    content = rows["content_hash"].combine_chunks().dictionary_encode().indices.to_numpy()
    Catalogue.of(rows["item_id"].combine_chunks(), sids, content).save(folder)
    retriever = Retriever.load(folder)
    ours = sorted(settings.ranking.positive_actions)
    action = [retriever.actions.index(name) if name in retriever.actions else -1 for name in ours]
    return Writer(
        retriever,
        rows["item"].to_numpy().astype(np.int32),
        np.array(action, np.int8),
        take(ItemRule, settings.retriever.items),
        settings.retrieve.beam,
        settings.retrieve.candidates["generator"],
    )
