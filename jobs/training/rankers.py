"""Finds the rankers that a job scores with."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lake.artifacts import Artifact
from lake.lake import Lake
from lake.published import artifact_of
from lake.run import Run
from models.ranker.network.saved import FORMAT
from schemas.errors import QarmError, UserError

log = logging.getLogger("qarm")

AGAIN = "run build_examples and train_ranker, or nightly"


def is_readable(rankers: Artifact) -> bool:
    """Whether this version of qarm can read the rankers."""
    return bool(rankers.card.get("format") == FORMAT and "frame" in rankers.card)


def use_rankers(run: Run) -> Artifact:
    """The newest rankers, as an input of the run.

    Raises:
        UserError: there are none, or an earlier version of qarm wrote them.
    """
    return readable(run.use("ranker", "train_ranker"))


def published_rankers(lake: Lake) -> Artifact:
    """The rankers of the night that readers see; the newest ones if no night is published.

    Raises:
        UserError: there are none, or an earlier version of qarm wrote them.
    """
    newest = lake.artifacts.require("ranker", "train_ranker")
    seen = artifact_of(lake.published.current(), lake.artifacts, "ranker") or newest
    if seen.version != newest.version:
        log.info("uses %s, which is published; %s is newer: publish shows its night", seen.version, newest.version)
    return readable(seen)


def readable(rankers: Artifact) -> Artifact:
    """The rankers as they are given.

    Raises:
        UserError: an earlier version of qarm wrote them.
    """
    if not is_readable(rankers):
        raise UserError(f"{rankers.version} was made by an earlier qarm; {AGAIN}")
    return rankers


def trained_with(rankers: Artifact, get: Callable[[str, str], Artifact]) -> Artifact:
    """The search index that rankers were trained with; its item numbers are the rows of their tables.

    Args:
        rankers: the rankers.
        get: gives the artifact of a kind and a version, as :meth:`lake.run.Run.artifact` does.

    Raises:
        UserError: the index does not exist any more.
    """
    version = rankers.card["recipe"]["search_index"]
    try:
        return get("search_index", version)
    except QarmError:
        raise UserError(
            f"{version}, the search index that {rankers.version} was trained with, does not exist any more; {AGAIN}"
        ) from None
