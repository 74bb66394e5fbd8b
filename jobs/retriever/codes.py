"""Numbers the semantic IDs, and gathers the catalogue that the retriever writes codes of."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.artifacts import Artifact
from lake.indexing import with_row_number
from lake.periods import Periods
from lake.run import Run
from models.retriever.catalogue import Catalogue
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.tables import SEMANTIC_IDS


def levels_of(codebook: Artifact) -> list[int]:
    """Codes of each level that the retriever writes: those in columns of their own, the others of sid_more are left."""
    return list(codebook.card["sizes"][: len(SID_COLUMNS)])


def coded_items(run: Run, codebook: Artifact) -> DataFrame:
    """The items with codes of a codebook, and the number of each code in the sorted table of distinct ones.

    Returns:
        item_id, content_hash, code INT and the columns of the levels; persisted.

    Raises:
        UserError: there are none, or more than ``retriever.max_items``.
    """
    columns = SID_COLUMNS[: len(levels_of(codebook))]
    of_book = F.col("codebook_version") == codebook.version
    items = run.read(SEMANTIC_IDS.name).where(of_book).select("item_id", "content_hash", *columns)
    count, most = items.count(), run.settings.retriever.max_items
    if not count:
        raise UserError(f"table semantic_ids holds no codes of {codebook.version}; run assign_semantic_ids first")
    if count > most:
        raise UserError(
            f"retriever.max_items: table semantic_ids has {count} items, more than {most}; raise it, and"
            " --driver-memory by 200 bytes an item"
        )
    numbered = with_row_number(items.select(*columns).distinct(), "code", *columns)
    return items.join(numbered.withColumn("code", F.col("code").cast("int")), list(columns), "inner").persist()


def popularity_before(positives: DataFrame, periods: Periods, half_life_days: float) -> DataFrame:
    """How much users took each item before the validation period: an event of this age counts half.

    Returns:
        item_id, popularity FLOAT.
    """
    age = F.datediff(F.lit(periods.valid_from), "event_date")
    weight = F.pow(F.lit(0.5), age / F.lit(half_life_days))
    total = F.sum(weight).cast("float")
    return positives.where(periods.in_train).groupBy("item_id").agg(total.alias("popularity"))


def catalogue_of(items: DataFrame, popularity: DataFrame) -> Catalogue:
    """The catalogue. Driver memory: 200 bytes an item, at most ``retriever.max_items``.

    Args:
        items: result of :func:`coded_items`.
        popularity: result of :func:`popularity_before`.
    """
    columns = [name for name in SID_COLUMNS if name in items.columns]
    filled = F.coalesce("popularity", F.lit(0.0)).cast("float").alias("popularity")
    rows = items.join(popularity, "item_id", "left").select("item_id", "content_hash", filled, *columns)
    table = rows.orderBy("item_id").toArrow().combine_chunks()
    sids = np.stack([table[name].to_numpy() for name in columns], axis=1).astype(np.int32)
    content = table["content_hash"].combine_chunks().dictionary_encode().indices.to_numpy()
    return Catalogue.of(table["item_id"].combine_chunks(), sids, content, table["popularity"].to_numpy())
