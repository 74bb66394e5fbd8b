"""Do two items go together? What a judge is, and the name that its verdicts are kept under."""

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
    """What a judge thinks of pairs.

    Attributes:
        scores: higher is more related; NaN where the judge gave no answer, shape (pairs,).
        reasons: in the judge's words, or None, as many.
        tokens: read and written, for judges that are paid by them.
    """

    scores: NDArray[np.float64]
    reasons: Sequence[str | None]
    tokens: tuple[int, int] = (0, 0)


class Judge(ABC):
    """Scores pairs of items by their texts. A new judge is a subclass in a file of its own in :mod:`models.llm.judges`.

    Attributes:
        name: of the judge.
        method: its value of ``judge.method``; the name where none is given.
        meaning: what its score means, without a full stop.
        needs_head: whether its model must have a language-model head.
        by_endpoint: whether it asks the model behind ``[endpoint]``.
        ranks: whether a share of its scores can be told from the rest; not where they are only yes and no.
    """

    name: ClassVar[str]
    method: ClassVar[str | None] = None
    meaning: ClassVar[str]
    needs_head: ClassVar[bool] = False
    by_endpoint: ClassVar[bool] = False
    ranks: ClassVar[bool] = True

    @classmethod
    def asked_by(cls) -> str:
        """Its value of ``judge.method``."""
        return cls.method or cls.name

    @classmethod
    def verdicts_name(cls, model: str, reading: Mapping[str, object]) -> str:
        """What verdicts are kept under: the method, the wording of its prompts, the model, and how it is read.

        Args:
            model: its name; of one behind an endpoint the URL before it.
            reading: all else that a score depends on.
        """
        digest = hashlib.sha256(json.dumps(dict(reading), sort_keys=True).encode()).hexdigest()[:8]
        return f"{cls.asked_by()}/{PROMPT_VERSION}/{model}/{digest}"

    @classmethod
    def gave(cls, verdicts_name: str) -> bool:
        """Whether verdicts kept under this name are this judge's: only an endpoint's name holds a URL."""
        return verdicts_name.split("/")[0] == cls.asked_by() and ("://" in verdicts_name) == cls.by_endpoint

    @abstractmethod
    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Opinions on pairs of item texts, in their order."""


class LocalJudge(Judge):
    """A judge that reads a model on the machine that it runs on.

    Args:
        folder: a converted model.
        parameters: how it is read.

    Attributes:
        reads: which of the parameters a score depends on.
    """

    reads: ClassVar[tuple[str, ...]] = ("max_tokens", "dtype")

    @abstractmethod
    def __init__(self, folder: Path, parameters: EncoderParameters) -> None: ...


def remembered(
    texts: Sequence[str], known: dict[str, Any], make: Callable[[Sequence[str]], NDArray[Any]]
) -> NDArray[Any]:
    """A number or vector for every text, made once for each; of the last hundred thousand or so."""
    if len(known) > MOST_REMEMBERED:
        known.clear()
    new = sorted(set(texts) - known.keys())
    if new:
        known.update(zip(new, make(new), strict=True))
    return np.array([known[text] for text in texts])
