"""A judge that compares the target's likelihood with and without the purchase of the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import EncoderParameters
from models.llm.judge import LocalJudge, Opinions, remembered
from models.llm.likelihood import Likelihood
from models.llm.prompts import NO_PURCHASE_PROMPT, purchase_prompt


class LikelihoodRatioJudge(LocalJudge):
    """``log p(target | bought trigger) - log p(target)``, per token of the target.

    It replaces the paper's yes/no question (QARM V2, section on the reasoning filter), which a small model cannot
    answer reliably.

    Args:
        folder: a converted model with a language-model head.
        parameters: lengths and dtype.

    Raises:
        ValueError: the model has no language-model head.
    """

    name = "likelihood_ratio"
    meaning = "how much likelier the target is once the trigger was bought, in nats per token"
    needs_head = True

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        p = parameters
        self._likelihood = Likelihood(folder, p.max_tokens, p.batch_tokens, p.dtype)
        self._unconditional: dict[str, float] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores in nats per target token; the unconditional likelihood of each distinct target is computed once."""

        def unconditional(texts: Sequence[str]) -> NDArray[np.float64]:
            return self._likelihood.of_continuations([NO_PURCHASE_PROMPT] * len(texts), texts)

        base = remembered(targets, self._unconditional, unconditional)
        given = self._likelihood.of_continuations([purchase_prompt(trigger) for trigger in triggers], targets)
        return Opinions(given - base, [None] * len(triggers))
