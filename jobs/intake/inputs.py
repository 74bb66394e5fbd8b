"""Reads the log and the catalogue, and gives their rows the columns of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache, reduce

from pyspark.sql import DataFrame, SparkSession

from jobs.intake import interactions as of_log
from jobs.intake import items as of_items
from lake.inputs.files import InputFiles, Place
from lake.inputs.reading import Input, Source, read_input
from schemas.errors import UserError
from schemas.sections import IngestSettings
from schemas.settings import Settings


def sources(settings: IngestSettings) -> tuple[Source, Source]:
    """Where both inputs are and how they are read: the log and the catalogue.

    Raises:
        UserError: one of them is not given.
    """
    made = []
    for name, module in (("interactions", of_log), ("items", of_items)):
        path, files = getattr(settings, name), getattr(settings, f"{name}_files")
        if not path:
            raise UserError(f"--{name} PATH is missing; give it, or set ingest.{name}")
        place = Place(
            option=f"--{name}",
            path=path,
            form=files.format or settings.format,
            form_option=f"--{name}-format",
            settings=files,
            section=f"ingest.{name}_files",
        )
        made.append(
            Source(
                place=place,
                rename=settings.rename,
                needed=module.NEEDED,
                known=module.READ,
                ids=module.IDS,
                times=module.TIMES,
            )
        )
    return made[0], made[1]


def read_inputs(
    spark: SparkSession,
    settings: IngestSettings,
    choose: Callable[[InputFiles, Callable[[], Input]], InputFiles] = lambda files, _: files,
) -> tuple[Input, Input]:
    """Reads both inputs: the log and the catalogue.

    Args:
        spark: the session.
        settings: where they are and how they are read.
        choose: returns those of the log's files that are to be read; it also gets a function that reads the catalogue.

    Raises:
        UserError: an input cannot be read, or a rename names no column of either.
    """
    of_log, of_catalogue = sources(settings)
    read_catalogue = cache(lambda: read_input(spark, of_catalogue))
    log = read_input(spark, of_log, lambda files: choose(files, read_catalogue))
    catalogue = read_catalogue()
    for theirs, ours in settings.rename.items():
        if theirs not in {*log.columns, *catalogue.columns}:
            raise UserError(f"--rename {theirs}={ours}: no input has a column {theirs}")
    return log, catalogue


def shape_inputs(log: Input, catalogue: Input, settings: Settings, now: datetime) -> tuple[DataFrame, DataFrame]:
    """Gives the rows of both inputs the columns of the tables.

    Args:
        log: the log.
        catalogue: the catalogue.
        settings: all settings.
        now: time of the run.

    Returns:
        Results of :func:`jobs.intake.interactions.shape_interactions` and of
        :func:`jobs.intake.items.shape_items`.
    """
    latest = now + timedelta(days=settings.ingest.max_future_days)
    events = (of_log.shape_interactions(part, settings.ingest, settings.ranking, latest) for part in log.parts)
    return _union(events), _union(of_items.shape_items(part, now) for part in catalogue.parts)


def _union(frames: Iterable[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)
