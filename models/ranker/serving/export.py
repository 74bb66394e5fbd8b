"""Writes a ranker for online serving: as it was trained and rewritten, as programs that torch alone loads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from models.ranker.examples.past import GAPS
from models.ranker.examples.targets import DOUBLING
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.serving.inputs import ROWS, Input, Lengths, drawn, inputs_of
from models.ranker.serving.sources import sources
from models.reparameterise.costs import Costs
from models.reparameterise.reparameterise import reparameterise
from schemas.errors import QarmError

AS_TRAINED, REWRITTEN = "as_trained.pt2", "reparameterised.pt2"
SPEC, CARD, EXAMPLE = "ranker.json", "card.json", "example.pt"
DIFFERENCE = 1e-5
"""Largest difference between the two forms' probabilities."""
CHECKED = (1, 2, 100)
"""Numbers of candidates with which the written programs are checked."""


class AsTrained(nn.Module):
    """A ranker as it was trained: every input has a row for each candidate, the user's is repeated.

    Args:
        ranker: the ranker.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, columns: Batch) -> torch.Tensor:
        """Probability of every task, shape (candidates, tasks)."""
        return self.ranker.probabilities(columns)


class ByName(nn.Module):
    """The same with each column as an argument of its own, as :mod:`models.reparameterise` takes it.

    Args:
        ranker: the ranker.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.as_trained = AsTrained(ranker)

    def forward(self, **columns: torch.Tensor) -> torch.Tensor:
        """Probability of every task, shape (candidates, tasks)."""
        return cast(torch.Tensor, self.as_trained(columns))


def export(ranker: Ranker, lengths: Lengths, version: str, *, candidates: int, folder: Path) -> dict[str, float]:
    """Writes both forms, what their inputs mean, the card, and an example with its scores; then checks the files.

    Args:
        ranker: a ranker in evaluation mode.
        lengths: numbers of columns that settings decide.
        version: the ranker's version.
        candidates: candidates of a usual request, for which the ranker is rewritten.
        folder: an empty local folder.

    Returns:
        Measurements: largest difference of the forms' probabilities, and times fewer multiplications.

    Raises:
        QarmError: the two programs score differently.
        RefusedModelError: the ranker cannot be rewritten.
    """
    inputs = inputs_of(ranker.shape, lengths)
    user, asked = drawn(inputs, 3, seed=0)
    columns = _repeated(inputs, user, asked)
    once = reparameterise(ByName(ranker), columns, sources(ranker.shape, one_day=True), Costs(candidates=candidates))
    rows = torch.export.Dim(ROWS, min=1)

    def of_rows(side: Batch) -> dict[str, dict[int, Any]]:
        return {name: {0: rows} for name in side}

    with torch.no_grad():
        as_trained = torch.export.export(AsTrained(ranker), (columns,), dynamic_shapes=(of_rows(columns),))
        rewritten = torch.export.export(
            once, (user, asked), dynamic_shapes=({name: {} for name in user}, of_rows(asked))
        )  # fmt: skip
    torch.export.save(as_trained, folder / AS_TRAINED)
    torch.export.save(rewritten, folder / REWRITTEN)
    (folder / CARD).write_text(json.dumps(once.card.summary(), indent=1), encoding="utf-8")
    (folder / SPEC).write_text(json.dumps(spec_of(ranker, inputs, version), indent=1), encoding="utf-8")
    return {"difference": _checked(ranker, inputs, folder), "fewer_multiplications": once.card.before / once.card.after}


def spec_of(ranker: Ranker, inputs: Sequence[Input], version: str) -> dict[str, Any]:
    """What who serves a ranker has to know about the two programs.

    Args:
        ranker: the ranker.
        inputs: its inputs.
        version: its version.
    """
    return {
        "ranker": version,
        "torch": torch.__version__,
        "forms": {
            AS_TRAINED: "forward(columns): every input has a row for each candidate, the user's and the moment's"
            " repeated",
            REWRITTEN: "forward(user, candidates): the inputs of user and moment have one row, those of item and pair"
            " one for each candidate",
        },
        "order": "each dictionary holds its inputs in the order of this file",
        "output": {
            "meaning": "probability of each task; all candidates of a request have one user and one moment",
            "dtype": "float32",
            "shape": [ROWS, len(ranker.shape.tasks)],
            "tasks": list(ranker.shape.tasks),
        },
        "buckets": {
            "meaning": "first number of bucket 2, 3 and so on; bucket 1 holds what is below the first",
            "gap": {"unit": "microseconds", "starts": GAPS.tolist()},
            "position": {"unit": "events", "starts": DOUBLING.tolist()},
        },
        "inputs": [of.spec for of in inputs],
    }


def _repeated(inputs: Sequence[Input], user: Batch, asked: Batch) -> dict[str, torch.Tensor]:
    """The columns as trained, with the user's repeated for every candidate."""
    rows = len(next(iter(asked.values())))
    both: Mapping[str, torch.Tensor] = {**user, **asked}
    return {of.name: both[of.name].expand(rows, *both[of.name].shape[1:]).contiguous() for of in inputs}


def _checked(ranker: Ranker, inputs: Sequence[Input], folder: Path) -> float:
    """Loads both programs, compares them with the ranker, and writes the last example; the largest difference.

    Raises:
        QarmError: they differ by more than :data:`DIFFERENCE`.
    """
    as_trained, rewritten = (torch.export.load(folder / name).module() for name in (AS_TRAINED, REWRITTEN))
    worst = 0.0
    for candidates in CHECKED:
        user, asked = drawn(inputs, candidates, seed=candidates)
        columns = _repeated(inputs, user, asked)
        with torch.no_grad():
            scores = ranker.probabilities(columns)
            for form in (as_trained(columns), rewritten(user, asked)):
                worst = max(worst, float((form - scores).abs().max()))
    if not worst <= DIFFERENCE:
        raise QarmError(f"the exported programs and the ranker differ by {worst:.1e}, more than {DIFFERENCE:.0e}")
    torch.save({"user": user, "candidates": asked, "columns": columns, "scores": scores}, folder / EXAMPLE)
    return worst
