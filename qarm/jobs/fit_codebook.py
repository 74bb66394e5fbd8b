"""Fits the codebook that turns embeddings into semantic IDs; a codebook that stands is never replaced unasked."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.lake.command import main
from qarm.lake.job import Job, Run
from qarm.models.quantize.codebook import Codebook, CodebookParameters
from qarm.schemas.errors import UserError
from qarm.schemas.settings import CodebookSettings
from qarm.schemas.tables import ITEM_EMBEDDINGS
from qarm.udfs.arrays import column_matrix

log = logging.getLogger("qarm")


def content_sample(embeddings: DataFrame, most: int) -> DataFrame:
    """One row per distinct content, at most so many, the smallest hashes first.

    Returns:
        content_hash, embedding.
    """
    contents = embeddings.groupBy("content_hash").agg(F.first("embedding").alias("embedding"))
    return contents.orderBy("content_hash").limit(most)


def sample_matrix(sample: DataFrame) -> NDArray[np.float32]:
    """The sample on the driver, shape (contents, d). Driver memory: the sample's size is a setting."""
    return np.ascontiguousarray(column_matrix(sample.select("embedding").toArrow()["embedding"]), np.float32)


def parameters_of(settings: CodebookSettings) -> CodebookParameters:
    """The codebook's part of the settings."""
    return CodebookParameters(**{name: getattr(settings, name) for name in CodebookParameters.__annotations__})


def steps(run: Run) -> None:
    """Fits on a sample of distinct contents, or keeps the codebook that was fitted for the same encoder and settings.

    Driver memory: ``codebook.sample_size`` embeddings, three times.
    """
    settings = run.settings.codebook
    embeddings = run.read(ITEM_EMBEDDINGS.name)
    encoder = run.use("encoder", "embed_items")
    parameters = parameters_of(settings)
    recipe = {"encoder": encoder.version, **vars(parameters), "sample_size": settings.sample_size}
    standing = run.standing("codebook", recipe)
    if standing is not None:
        log.info("fit_codebook: %s stands; new items are assigned with it", standing.version)
        return
    with run.step("sample embeddings"):
        current = embeddings.where(F.col("encoder_version") == encoder.version)
        sample = sample_matrix(content_sample(current, settings.sample_size))
    if len(sample) == 0:
        raise UserError(f"table item_embeddings holds nothing of {encoder.version}; run embed_items first")
    with run.step(f"fit on {len(sample)} contents"):
        codebook = Codebook.fit(sample, parameters)
    with tempfile.TemporaryDirectory(prefix="qarm-") as folder:
        codebook.save(Path(folder))
        run.publish(
            "codebook", Path(folder), recipe, method="res_kmeans_fsq", sizes=codebook.sizes, fitted_on=len(sample)
        )
    run.measure("codebook.fitted_on", len(sample))


JOB = Job("fit_codebook", steps, sections=("codebook",), reads=("item_embeddings",), uses=("encoder",))

if __name__ == "__main__":
    raise SystemExit(main(JOB))
