"""Fits the codebook that turns embeddings into semantic IDs; it replaces the current codebook only on request."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.codes.checks import check_method
from jobs.codes.published import all_codes, current_ids
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job, Option
from lake.run import Run
from lake.scratch import scratch_folder
from lake.session import give_back_heap
from models.quantize.codebook import Codebook, assert_finite
from models.quantize.kmeans import blocks
from models.quantize.matching import matched_names
from models.quantize.methods import method_of
from models.quantize.quality import collapsed_levels, quality_of
from schemas.errors import QarmError, UserError, user_mistakes
from schemas.tables import ITEM_EMBEDDINGS, METRICS
from udfs.matrix import gather_matrix

log = logging.getLogger("qarm")

HELD_OUT_SHARE = 0.05
HELD_OUT_FROM = 400
"""Contents are held out only from samples of at least this size; fewer held-out contents would show nothing."""

HASH_RANGE = 2**31


def content_sample(embeddings: DataFrame, most: int, contents: int) -> DataFrame:
    """A sample of distinct contents, by hash.

    Args:
        embeddings: content_hash, item_id, embedding.
        most: approximate size of the sample.
        contents: number of distinct contents.

    Returns:
        content_hash, embedding; one row per content.
    """
    chosen = F.pmod(F.xxhash64("content_hash"), F.lit(HASH_RANGE)) < int(min(1.0, most / max(contents, 1)) * HASH_RANGE)
    return embeddings.where(chosen).groupBy("content_hash").agg(F.min_by("embedding", "item_id").alias("embedding"))


def sample_order() -> list[Column]:
    """Columns that sort the sample by a hash, so that any part of it is a sample too."""
    return [F.xxhash64("content_hash"), F.col("content_hash")]


def current_codes(sample: DataFrame, semantic_ids: DataFrame, codebook: str, levels: int) -> NDArray[np.int32]:
    """The codes of the sample's contents by a codebook, in the order of the sample; -1 for contents without codes.

    Driver memory: ``4 * levels`` bytes per content of the sample.

    Returns:
        Shape (sample, levels).
    """
    own = semantic_ids.where(F.col("codebook_version") == codebook)
    codes = own.groupBy("content_hash").agg(F.min_by(all_codes(), "item_id").alias("codes"))
    columns = [F.coalesce(F.get("codes", F.lit(i)), F.lit(-1)).cast("int").alias(f"c{i}") for i in range(levels)]
    rows = (
        sample.select("content_hash")
        .join(codes, "content_hash", "left")
        .orderBy(*sample_order())
        .select(*columns)
        .toArrow()
    )
    return np.stack([rows[f"c{i}"].to_numpy() for i in range(levels)], axis=1)


def refit_wanted(run: Run, current: Artifact) -> bool:
    """Whether to refit the codebook: on request, or, with ``codebook.refit = "when_due"``, when a refit is due."""
    if run.settings.codebook.refit == "now":
        return True
    metrics = run.find(METRICS.name) if run.settings.codebook.refit == "when_due" else None
    if metrics is None:
        return False
    of_this = (F.col("name") == "codes.refit_due") & (F.col("slice") == current.version)
    newest = metrics.where(of_this).agg(F.max_by("value", "created_at")).collect()
    return bool(newest[0][0])


def steps(run: Run) -> None:
    """Fits a codebook on a sample of distinct contents, or keeps the one that the same encoder and settings made.

    Driver memory: a block of the sample, and ``quality_sample`` embeddings twice. Driver disk: the embeddings of the
    sample in a memory-mapped file (``codebook.sample_size * d * 4`` bytes, which the operating system caches in memory
    if it can); a refit writes them twice.
    """
    settings = run.settings.codebook
    embeddings = run.read(ITEM_EMBEDDINGS.name)
    encoder = run.use("encoder", "embed_items")
    method = method_of(settings)
    recipe = {"encoder": encoder.version, **method.recipe}
    current = run.reuse("codebook", recipe, may_lack_newer_settings=True)
    if current is not None and not refit_wanted(run, current):
        log.info("fit_codebook: %s is kept and assigns codes to new items", current.version)
        return
    embedded = embeddings.where(F.col("encoder_version") == encoder.version)
    contents = embedded.select("content_hash").distinct().count()
    if contents == 0:
        raise UserError(f"table item_embeddings holds no embedding of {encoder.version}; run embed_items first")
    sample = content_sample(embedded, settings.sample_size, contents)
    previous = run.latest("codebook")
    with scratch_folder() as folder:
        with run.step("sample embeddings"), user_mistakes():
            matrix = gather_matrix(sample, "embedding", sample_order(), folder / "sample.f32")
            for rows in blocks(len(matrix)):
                assert_finite(matrix[rows])
            give_back_heap(run.spark)
        fitted, held_out = _split(matrix)
        seen = fitted[: settings.quality_sample].copy()  # copied, as the fit overwrites the file with residuals
        start = _start(run, previous, encoder.version, settings.method)
        with run.step(f"fit on {len(fitted)} of {contents} contents"), user_mistakes():
            codebook = method.fit(fitted, contents=contents, start=start, overwrite=True)
        with run.step("measure the codebook"):
            codebook = _with_old_names(run, codebook, sample, folder)
            quality = {"fitted": quality_of(codebook, seen)}
            if len(held_out):
                quality["held_out"] = quality_of(codebook, held_out[: settings.quality_sample])
        codebook.card = {"fitted_on": len(fitted), "contents": contents, "encoder": encoder.version, "quality": quality}
        _publish(run, codebook, recipe, previous=previous, folder=folder / "artifact")
    _record_quality(run, codebook, quality, len(fitted))


def _split(matrix: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows to fit on, and the held-out rows, which show how well new contents will fit."""
    held_out = int(len(matrix) * HELD_OUT_SHARE) if len(matrix) >= HELD_OUT_FROM else 0
    return matrix[: len(matrix) - held_out], matrix[len(matrix) - held_out :]


def _start(run: Run, previous: Artifact | None, encoder: str, method: str) -> Codebook | None:
    """The previous codebook, as a start of the fit; None if its encoder or method differs or it cannot be read."""
    if previous is None or previous.card["recipe"]["encoder"] != encoder or previous.card["method"] != method:
        return None
    try:
        return Codebook.load(run.lake.artifacts.fetch(previous))
    except (ValueError, QarmError) as error:
        log.warning(
            "fit_codebook: the fit starts from random values, as the previous codebook cannot be read: %s", error
        )
        return None


def _with_old_names(run: Run, codebook: Codebook, sample: DataFrame, folder: Path) -> Codebook:
    """Renumbers the codes so that as many contents of the sample as possible keep their semantic IDs."""
    current = current_ids(run)
    newest = None if current is None else current.agg(F.max("codebook_version")).collect()[0][0]
    if current is None or newest is None:
        return codebook
    # Not from the old codebook, which may be damaged and removed. The first content of a semantic ID has no suffix.
    of_newest = current.where(F.col("codebook_version") == newest)
    levels = of_newest.agg(F.min(F.size(all_codes()))).collect()[0][0]
    old = current_codes(sample, current, newest, levels)
    embeddings = gather_matrix(sample, "embedding", sample_order(), folder / "again.f32")
    new = np.concatenate([codebook.assign(embeddings[rows]) for rows in blocks(len(embeddings))])
    known = old[:, 0] >= 0
    if not known.any():
        return codebook
    names = matched_names(old[known], new[known], codebook.sizes)
    renamed = np.stack([code if own is None else own[code] for own, code in zip(names, new.T, strict=True)], axis=1)
    for name, codes in (("sids_kept", renamed), ("sids_kept_unmatched", new)):
        same = codes.shape == old.shape and (codes == old)[known].all(axis=1).mean()
        run.measure(f"codebook.{name}", float(same))
    return codebook.renamed(names)


def _publish(run: Run, codebook: Codebook, recipe: dict[str, Any], *, previous: Artifact | None, folder: Path) -> None:
    folder.mkdir()
    codebook.save(folder)
    replaced = {"refit_of": previous.version} if previous else {}
    run.publish("codebook", folder, recipe, method=codebook.method, sizes=codebook.sizes, **codebook.card, **replaced)


def _record_quality(run: Run, codebook: Codebook, quality: Mapping[str, Mapping[str, float]], fitted_on: int) -> None:
    run.measure("codebook.fitted_on", fitted_on)
    if codebook.prefix_means is not None:
        run.measure("codebook.prefix_means", len(codebook.prefix_means))
    for slice, numbers in quality.items():
        for name, value in numbers.items():
            run.measure(f"codebook.{name}", value, slice)
    for level in collapsed_levels(quality["fitted"], codebook.sizes, fitted_on):
        log.warning(
            "fit_codebook: level %d has collapsed: the entropy of its codes is %.1f bits of at most %.1f", level,
            quality["fitted"][f"entropy_bits.level_{level}"], math.log2(codebook.sizes[level - 1]),
        )  # fmt: skip


JOB = Job(
    name="fit_codebook",
    steps=steps,
    sections=("codebook",),
    reads=("item_embeddings",),
    uses=("encoder",),
    makes=("codebook",),
    consults=("semantic_ids", "metrics"),
    examples=(
        "",
        "--refit",
    ),
    options=(Option(flags=("--refit",), help="refit the codebook now", setting="codebook.refit", assigns='"now"'),),
    check=check_method,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
