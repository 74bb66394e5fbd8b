"""Makes the artifact ``retrieval``: reference users' histories, mined pairs, and the fitted fusion."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from jobs.retrieval.events import of_reference_users
from jobs.retrieval.measuring import measure_lists
from jobs.retrieval.towers import towers_of
from jobs.retrieval.writing import writer_of
from lake.artifacts import Artifact
from lake.periods import Periods, split_periods
from lake.run import Run
from models.retriever.background import Background
from models.retriever.fusion import Fusion, FusionParameters, Mixture
from models.retriever.histories import DAY, UserHistories
from models.retriever.lessons import Lessons, lessons_of
from models.retriever.pool import Pool
from models.retriever.retrieval import FORMAT, OF_ITEMS, Retrieval
from models.retriever.source import SourceParameters
from models.retriever.sources import SOURCES
from schemas.parameters import take
from schemas.recipe import recipe_of
from schemas.tables import INTERACTIONS, ITEM_PAIRS
from udfs.retrieve import USERS

log = logging.getLogger("qarm")


def background_of(
    run: Run, items: DataFrame, events: DataFrame, *, moment: int, folder: Path
) -> tuple[Background, NDArray[np.int64]]:
    """What is known of all users, and the hashes of the reference users, ascending.

    Driver memory: 16 bytes for each item, the latest events of the reference users with 24 bytes each, and the mined
    pairs with 12 bytes each.

    Args:
        run: the run.
        items: result of :func:`jobs.retrieval.events.numbered_items`.
        events: result of :func:`jobs.retrieval.events.of_reference_users`.
        moment: seconds since 1970.
        folder: folder of the artifact, which gets the retriever's files.
    """
    known = items.select("item", *OF_ITEMS).toArrow().sort_by("item")
    content, title, category = (_numbers(known[name]) for name in OF_ITEMS)
    rows = events.select("user", "item", "time", "action").toArrow()
    item, time, action = (rows[name].to_numpy() for name in ("item", "time", "action"))
    users, user = np.unique(rows["user"].to_numpy(), return_inverse=True)
    now = np.full(len(users), moment, np.int64)
    histories = UserHistories.of(user.astype(np.int64), item, time, action.astype(np.int8), now=now)
    pairs, writer = mined_pairs(run, items, len(content)), writer_of(run, items, folder)
    towers = towers_of(run, items, folder)
    return Background(moment, content, title, category, histories, pairs, writer, towers), users


def _numbers(hashes: pa.ChunkedArray) -> NDArray[np.int32]:
    numbers: NDArray[np.int32] = np.unique(hashes.to_numpy(), return_inverse=True)[1].astype(np.int32)
    return numbers


def mined_pairs(run: Run, items: DataFrame, count: int) -> sparse.csr_matrix | None:
    """The item-to-item pairs that no judge rejected, each trigger's best score 1; None if they are not used.

    Args:
        run: the run.
        items: result of :func:`jobs.retrieval.events.numbered_items`.
        count: number of items.
    """
    table = run.find(ITEM_PAIRS.name)
    if table is None or "swing" not in run.settings.retrieve.candidates:
        return None
    numbers = items.select("item_id", "item")
    pairs = (
        table.where("source = 'item2item' AND (verdict IS NULL OR verdict = 'keep')")
        .join(numbers.withColumnsRenamed({"item_id": "trigger_item_id", "item": "trigger"}), "trigger_item_id", "inner")
        .join(numbers.withColumnsRenamed({"item_id": "target_item_id", "item": "target"}), "target_item_id", "inner")
        .select("trigger", "target", F.col("score").cast("float").alias("score"))
        .toArrow()
    )
    trigger, target, score = (pairs[name].to_numpy() for name in ("trigger", "target", "score"))
    best = np.zeros(count, np.float32)
    np.maximum.at(best, trigger, score)
    return sparse.csr_matrix((score / np.maximum(best[trigger], 1e-30), (trigger, target)), shape=(count, count))


def moments_of(run: Run, now: int, periods: Periods, sources: Collection[str]) -> list[int]:
    """The earlier moments that fusion learns from, ascending: starts of days, whole numbers of days apart.

    Args:
        run: the run.
        now: moment for which candidates are sought, in seconds since 1970.
        periods: periods of the log.
        sources: the sources that are used.
    """
    settings = run.settings.retrieve
    today = now // int(DAY) * int(DAY)
    found = [today - int(DAY) * settings.fusion.days_between * n for n in range(settings.fusion.moments, 0, -1)]
    first = Periods.microseconds(periods.first_day) // 1_000_000
    ends = [getattr(periods, day) for name in sources if (day := SOURCES[name].fitted_until)]
    if ends:
        first = Periods.microseconds(max(ends)) // 1_000_000 - 1
    return [moment for moment in found if moment > first]


def fit_fusion(run: Run, background: Background, moments: list[int]) -> Fusion | None:
    """Fits the fusion on the reference users' candidates at earlier moments; None if that gives nothing to learn.

    With ``retrieve.fusion.measured``, a fusion that is fitted without the last moment is measured on it first, and that
    moment has no part in the choice of the mixture. Driver memory: as
    :func:`models.retriever.lessons.lessons_of` says.

    Args:
        run: the run.
        background: what is known now.
        moments: the earlier moments, ascending.
    """
    settings = run.settings.retrieve
    parameters = take(SourceParameters, settings)

    def lessons(known: Background, at: list[int]) -> Lessons:
        return lessons_of(
            known,
            at,
            lambda own: Pool(own, parameters, settings.candidates),
            negatives=settings.fusion.negatives,
            seed=settings.fusion.seed,
        )

    of_fusion = take(FusionParameters, settings.fusion)
    mixture: Mixture | None = None
    if settings.fusion.measured and len(moments) > 1:
        *before, final = moments
        earlier = background.before(final)
        first = Fusion.fit(lessons(earlier, before), of_fusion)
        mixture = None if first is None else first.mixture
        measure_lists(run, background, Retrieval(earlier, parameters, settings.candidates, first))
    learned = lessons(background, moments)
    run.measure("retrieve.lessons", len(learned.taken))
    fusion = Fusion.fit(learned, of_fusion, mixture)
    if fusion is None:
        log.warning("retrieve: the log is too short to fit the fusion; sources are fused by the sum of 1 / (60 + rank)")
        return None
    run.measure("retrieve.trees_share", fusion.mixture.share)
    run.measure("retrieve.trees", fusion.mixture.size.trees)
    run.measure("retrieve.leaves", fusion.mixture.size.leaves)
    return fusion


def standing_fusion(
    run: Run, recipe: Mapping[str, object], names: tuple[str, ...], moment: int
) -> tuple[Fusion, int] | None:
    """The fusion of the last retrieval and the moment it was fitted for, if it is of the same recipe and stands.

    It stands for ``retrieve.fusion.refit_days`` of the log, and never at an earlier moment, of which it would know the
    future.

    Args:
        run: the run.
        recipe: what the fusion depends on beside the log.
        names: names of the numbers that the sources give.
        moment: seconds since 1970.
    """
    last = run.latest("retrieval") if run.lake.goes_on else None
    if last is None or last.card.get("format") != FORMAT or last.card.get("fusion") != dict(recipe):
        return None
    fitted = last.card.get("fitted_for")
    if fitted is None or not 0 <= moment - fitted <= run.settings.retrieve.fusion.refit_days * DAY:
        return None
    fusion = Fusion.load(run.lake.artifacts.fetch(last))
    return (fusion, fitted) if fusion.names == names else None


def make_retrieval(run: Run, items: DataFrame, events: DataFrame, *, users: int, moment: int, folder: Path) -> Artifact:
    """Makes and publishes the artifact.

    Args:
        run: the run.
        items: result of :func:`jobs.retrieval.events.numbered_items`.
        events: result of :func:`jobs.retrieval.events.numbered_events`; persisted.
        users: number of their users.
        moment: seconds since 1970.
        folder: an empty folder.
    """
    settings = run.settings.retrieve
    with run.step("read reference users"):
        chosen = of_reference_users(events, users, settings.reference_users)
        background, hashes = background_of(run, items, chosen, moment=moment, folder=folder)
    pool = Pool(background, take(SourceParameters, settings), settings.candidates)
    recipe = recipe_of(settings) | {"sources": sorted(pool.sources), "items": run.settings.retriever.items.model_dump()}
    recipe |= {"actions": sorted(run.settings.ranking.positive_actions)}
    standing = standing_fusion(run, recipe, pool.names, moment)
    fitted_for = moment
    fusion: Fusion | None = None
    with run.step("fit the fusion"):
        if standing is not None:
            fusion, fitted_for = standing
        elif settings.fusion.moments:
            periods = split_periods(run.read(INTERACTIONS.name), run.settings.split)
            moments = moments_of(run, moment, periods, [*pool.sources])
            fusion = fit_fusion(run, background, moments)
    Retrieval(background, take(SourceParameters, settings), settings.candidates, fusion).save(folder)
    pq.write_table(pa.table({"user": hashes}), folder / USERS)
    run.measure("retrieve.reference_users", len(hashes))
    run.measure("retrieve.reused_fusion", float(standing is not None))
    given = {name: run.inputs[name] for name in (*run.job.reads, *run.job.uses) if name in run.inputs}
    card = {
        "format": FORMAT,
        "fusion": recipe,
        "fitted_for": None if fusion is None else fitted_for,
        "sources": [*pool.sources],
    }
    return run.publish("retrieval", folder, recipe | given | {"moment": moment}, **card)


def unknown_sources(names: Mapping[str, int]) -> list[str]:
    """Names that are no source."""
    return sorted(set(names) - set(SOURCES))
