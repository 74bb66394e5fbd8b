"""Judges of item pairs: the interface, and the name that a judge's verdicts are stored under."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import EncoderParameters
from models.llm.prompts import PROMPT_VERSION

MOST_REMEMBERED = 100_000


@dataclass(frozen=True)
class Opinions:
    """A judge's scores of item pairs.

    Attributes:
        scores: higher is more related; NaN if the judge gave no answer, shape (pairs,).
        reasons: the judge's reason for each pair in its own words, or None.
        tokens: numbers of tokens read and written, for judges that are billed by token.
    """

    scores: NDArray[np.float64]
    reasons: Sequence[str | None]
    tokens: tuple[int, int] = (0, 0)


class Judge(ABC):
    """Scores item pairs by the items' texts.

    To add a judge, add a file with a subclass to :mod:`models.llm.judges`.

    Attributes:
        name: name of the judge.
        method: the value of ``judge.method`` that selects it; None if that is ``name``.
        meaning: meaning of its score, without a full stop.
        needs_head: whether its model must have a language-model head.
        by_endpoint: whether it asks the model behind ``[endpoint]``.
        ranks: whether its scores are fine enough to select the best share of pairs; False for yes-or-no scores.
    """

    name: ClassVar[str]
    method: ClassVar[str | None] = None
    meaning: ClassVar[str]
    needs_head: ClassVar[bool] = False
    by_endpoint: ClassVar[bool] = False
    ranks: ClassVar[bool] = True

    @classmethod
    def asked_by(cls) -> str:
        """The value of ``judge.method`` that selects this judge."""
        return cls.method or cls.name

    @classmethod
    def verdicts_name(cls, model: str, reading: Mapping[str, object]) -> str:
        """Name that verdicts are stored under: method, version of the prompts, model, digest of the parameters.

        Args:
            model: name of the model; behind an endpoint, the URL followed by the name.
            reading: all other parameters that a score depends on.
        """
        digest = hashlib.sha256(json.dumps(dict(reading), sort_keys=True).encode()).hexdigest()[:8]
        return f"{cls.asked_by()}/{PROMPT_VERSION}/{model}/{digest}"

    @classmethod
    def gave(cls, verdicts_name: str) -> bool:
        """Whether verdicts stored under a name are this judge's; only names of endpoint judges contain a URL."""
        return verdicts_name.split("/")[0] == cls.asked_by() and ("://" in verdicts_name) == cls.by_endpoint

    @abstractmethod
    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores of pairs of item texts, in the given order."""


class LocalJudge(Judge):
    """A judge that runs a model on the local machine.

    Args:
        folder: a converted model.
        parameters: lengths and dtype.

    Attributes:
        reads: names of the parameters that a score depends on.
    """

    reads: ClassVar[tuple[str, ...]] = ("max_tokens", "dtype")

    @abstractmethod
    def __init__(self, folder: Path, parameters: EncoderParameters) -> None: ...


def remembered(
    texts: Sequence[str], known: dict[str, Any], make: Callable[[Sequence[str]], NDArray[Any]]
) -> NDArray[Any]:
    """A number or vector per text, computed once for each distinct text and cached in ``known``.

    Args:
        texts: texts, possibly repeated.
        known: the cache; emptied when it holds more than :data:`MOST_REMEMBERED` texts.
        make: computes the values of some texts.
    """
    if len(known) > MOST_REMEMBERED:
        known.clear()
    new = sorted(set(texts) - known.keys())
    if new:
        known.update(zip(new, make(new), strict=True))
    return np.array([known[text] for text in texts])
