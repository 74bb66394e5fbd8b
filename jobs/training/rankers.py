"""The rankers that a job scores with."""

from __future__ import annotations

from lake.artifacts import Artifact
from lake.run import Run
from models.ranker.network.saved import FORMAT
from schemas.errors import UserError


def is_readable(rankers: Artifact) -> bool:
    """Whether this version of the code reads rankers as they were written."""
    return bool(rankers.card.get("format") == FORMAT)


def use_rankers(run: Run) -> Artifact:
    """The newest rankers, as an input of the run.

    Raises:
        UserError: there are none, or an earlier version of the code wrote them.
    """
    rankers = run.use("ranker", "train_ranker")
    if not is_readable(rankers):
        raise UserError(
            f"{rankers.version} was made by an earlier qarm; run build_examples and train_ranker, or nightly"
        )
    return rankers
