"""Finds the rankers that a job scores with."""

from __future__ import annotations

from lake.artifacts import Artifact
from lake.run import Run
from models.ranker.network.saved import FORMAT
from schemas.errors import UserError


def is_readable(rankers: Artifact) -> bool:
    """Whether this version of qarm can read the rankers."""
    return bool(rankers.card.get("format") == FORMAT and "frame" in rankers.card)


def use_rankers(run: Run) -> Artifact:
    """The newest rankers, as an input of the run.

    Raises:
        UserError: there are none, or an earlier version of qarm wrote them.
    """
    return readable(run.use("ranker", "train_ranker"))


def readable(rankers: Artifact) -> Artifact:
    """The rankers as they are given.

    Raises:
        UserError: an earlier version of qarm wrote them.
    """
    if not is_readable(rankers):
        raise UserError(
            f"{rankers.version} was made by an earlier qarm; run build_examples and train_ranker, or nightly"
        )
    return rankers
