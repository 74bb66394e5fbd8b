"""Generates any number of embeddings that follow the planted clusters of a generated log, repeatable by a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.generate_log import LogShape
from udfs.arrays import list_column

BLOCK = 1000
LATENT = 96
TOPICS = 400
OWN_SPREAD = 0.3
CLUSTER_UNEVENNESS = 0.5
ITEM_UNEVENNESS = 0.4
"""Spread of items around their cluster's centre: median, and standard deviations of the spread's logarithm over
clusters and over items. They are chosen so that distances to the nearest neighbour vary about as much as among Complete
Journey's contents, where their 10, 50 and 90 % quantiles are 0.13, 0.24 and 0.50."""

SCHEMA = "item_id STRING, content_hash STRING, embedding ARRAY<FLOAT>, search_embedding ARRAY<FLOAT>"


def generate_embeddings(spark: SparkSession, shape: LogShape, dimension: int) -> DataFrame:
    """One unit vector per item, from the centres of its topic and cluster and an offset of its own.

    The variance falls over the dimensions. Some clusters are dense and some items are outliers, as in real data.

    Returns:
        Columns item_id, content_hash (distinct for every item), embedding and search_embedding.
    """
    if shape.items % BLOCK:
        raise ValueError(f"items must be a multiple of {BLOCK}, not {shape.items}")
    generator = np.random.default_rng(shape.seed)
    spectrum = (np.arange(1, LATENT + 1) ** -0.4).astype(np.float32)
    topics = generator.standard_normal((TOPICS, LATENT), np.float32) * spectrum
    clusters = topics[np.arange(shape.clusters) % TOPICS]
    clusters = clusters + 0.6 * generator.standard_normal((shape.clusters, LATENT), np.float32) * spectrum
    spread = OWN_SPREAD * np.exp(CLUSTER_UNEVENNESS * generator.standard_normal(shape.clusters, np.float32))
    basis = np.linalg.qr(generator.standard_normal((dimension, LATENT)))[0].T.astype(np.float32)

    def expand(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for block in batch.column(0).to_pylist():
                own = np.random.default_rng([shape.seed, block])
                items = np.arange(block * BLOCK, (block + 1) * BLOCK)
                cluster = items % shape.clusters
                reach = spread[cluster] * np.exp(ITEM_UNEVENNESS * own.standard_normal(BLOCK, np.float32))
                beside = own.standard_normal((BLOCK, LATENT), np.float32) * spectrum
                latent = clusters[cluster] + reach[:, None] * beside
                vectors = latent @ basis + 0.01 * own.standard_normal((BLOCK, dimension), np.float32)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                names = pa.array([f"i{item:08d}" for item in items])
                columns = [names, names, list_column(vectors), list_column(np.ascontiguousarray(vectors[:, :8]))]
                yield pa.RecordBatch.from_arrays(columns, ["item_id", "content_hash", "embedding", "search_embedding"])

    blocks = spark.range(shape.items // BLOCK).select(F.col("id"))
    return blocks.mapInArrow(expand, SCHEMA).withColumn("content_hash", F.sha2("content_hash", 256))
