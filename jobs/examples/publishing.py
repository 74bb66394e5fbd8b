"""Publishes the search index of a night, made anew or from that of the night before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from pyspark.sql import DataFrame

from jobs.examples.behaviour import behaviours, fit_days, later_behaviours
from jobs.examples.earlier import Earlier
from jobs.examples.frame import Frame
from jobs.examples.pairs import pair_rows
from jobs.examples.search_index import content_numbers, nearest_rows, write_search_index
from lake.artifacts import Artifact
from lake.growth import Growth, LogSize
from lake.run import Run
from lake.scratch import scratch_folder
from models.ranker.examples.shrinkage import MOST_NEIGHBOURS, neighbourhood_of
from schemas.errors import UserError
from schemas.tables import ITEM_PAIRS

log = logging.getLogger("qarm")

ITS_SETTINGS = (
    "item_ids", "item_rows", "min_item_events", "negative_power", "negatives_from", "neighbours", "pairs",
)  # fmt: skip
"""Settings under ``[examples]`` that the search index depends on."""


@dataclass(frozen=True)
class Fitted:
    """The log that the last fit of behaviour vectors saw, as JSON of the search index."""

    events: int
    last_day: str | None

    def growth(self, now: LogSize) -> Growth:
        """What came to the log since."""
        then = LogSize(self.events, None if self.last_day is None else date.fromisoformat(self.last_day))
        return Growth.between(then, now)


def publish_search_index(
    run: Run,
    items: DataFrame,
    positives: DataFrame,
    *,
    frame: Frame,
    size: LogSize,
    before: Earlier | None,
    made_by: Mapping[str, str],
) -> Artifact:
    """Builds and publishes the search index, from that of the night before if there is one.

    Driver memory: that of :func:`write_search_index` and of :func:`jobs.examples.behaviour.behaviours`.

    Args:
        run: the run.
        items: result of :func:`item_rows`.
        positives: positive events of the log.
        frame: what tonight's examples stand on.
        size: size of the log.
        before: the night before; None if nothing is taken over.
        made_by: result of :func:`jobs.examples.earlier.makers`.

    Raises:
        UserError: there are more items than ``examples.max_items``.
    """
    settings = run.settings.examples
    count = items.count()
    if count > settings.max_items:
        raise UserError(
            f"examples.max_items: {count} items, but {settings.max_items} are allowed; raise it and --driver-memory"
        )
    recipe = {name: run.version(name) for name in run.job.reads}
    recipe |= {name: str(getattr(settings, name)) for name in ITS_SETTINGS}
    recipe |= {"split": run.settings.digest(["split", "ranking"]), "behaviour": str(settings.behaviour)}
    recipe |= {"before": before.index.version if before else ""}
    old = run.lake.artifacts.fetch(before.index) if before else None
    with scratch_folder() as out:
        pairs = pair_rows(run.read(ITEM_PAIRS.name), items, settings.pairs)
        shrinks = settings.behaviour.model != "none" and bool(settings.behaviour.shrinkage)
        near = nearest_rows(items, count, max(settings.neighbours, MOST_NEIGHBOURS) if shrinks else settings.neighbours)
        content = content_numbers(items)
        kept = np.load(old / "item_index.npy") if old else None
        sizes = write_search_index(items, near, content, pairs, settings=settings, folder=out, before=kept)
        by_text = np.load(out / "search_embeddings.npy", mmap_mode="r")
        towards = neighbourhood_of(content, near[:, :MOST_NEIGHBOURS], by_text) if shrinks else None
        fitted = Fitted(size.events, None if size.last_day is None else size.last_day.isoformat())
        if before is None or old is None:
            with run.step("fit behaviour"):
                days = fit_days(frame.periods, settings.behaviour)
                vectors, last = behaviours(positives, items, days, count, towards=towards, settings=settings.behaviour)
        else:
            fitted_before = Fitted(**before.index.card["fitted"])
            growth, trigger = fitted_before.growth(size), run.settings.increments.behaviour
            is_due = growth.is_due(trigger)
            log.info(
                "build_examples: behaviour vectors %s: %s", "are due" if is_due else "stand", growth.words(trigger)
            )
            day = frame.blocks[-1] if is_due else None
            with run.step("fit behaviour" if is_due else "take over behaviour"):
                vectors, last = later_behaviours(
                    positives, items, old, count, day=day, towards=towards, settings=settings.behaviour
                )
            fitted = fitted if is_due else fitted_before
        windows = np.array(frame.starts(frame.windows), np.int64)
        for name, array in (vars(vectors) | {"drawing_from": windows}).items():
            np.save(out / f"{name}.npy", array)
        if last is not None:
            last.save(out)
        made_with = {
            "examples": settings.model_dump(include={"recent_length", "found_length", "search"}),
            "ranking": run.settings.ranking.model_dump(),
            **made_by,
            "last_day": None if size.last_day is None else size.last_day.isoformat(),
            "frame": frame.as_card(),
            "fitted": vars(fitted),
        }
        return run.publish("search_index", out, recipe, **made_with, **sizes)
