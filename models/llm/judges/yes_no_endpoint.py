"""A judge that asks the paper's yes/no question to the model behind an endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from models.llm.endpoint import EndpointParameters, ask
from models.llm.judge import Judge, Opinions
from models.llm.prompts import yes_no_question


class EndpointJudge(Judge):
    """Asks the paper's yes/no question to the model behind an endpoint, and keeps the model's reason.

    Args:
        parameters: address and limits of the endpoint.
    """

    name = "yes_no_endpoint"
    method = "yes_no"
    meaning = "1 where the model behind the endpoint answers that both are similar or bought together, -1 where not"
    by_endpoint = True
    ranks = False

    def __init__(self, parameters: EndpointParameters) -> None:
        self._parameters = parameters

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores: 1 for Yes, -1 for No, NaN without an answer. The reason "" means that the reply was empty."""
        cut = self._parameters.item_characters
        replies = ask(
            self._parameters,
            [yes_no_question(a[:cut], b[:cut]) for a, b in zip(triggers, targets, strict=True)],
        )
        answers = [answer_of(reply.text) if reply.text is not None else (float("nan"), None) for reply in replies]
        return Opinions(
            np.array([score for score, _ in answers], np.float64),
            [reason for _, reason in answers],
            (sum(reply.tokens_read for reply in replies), sum(reply.tokens_written for reply in replies)),
        )


def answer_of(reply: str) -> tuple[float, str | None]:
    """Parses a reply to the yes/no question.

    Args:
        reply: what the model wrote; its last ``<answer>`` counts.

    Returns:
        The score: 1 for Yes, -1 for No, NaN without an answer. The reason: the text before the answer, None if there is
        no such text; without an answer, the whole reply.
    """
    found = list(re.finditer(r"<answer>\s*(yes|no)\b[^<]*</answer>", reply, re.IGNORECASE))
    if not found:
        return float("nan"), reply.strip()
    score = 1.0 if found[-1].group(1).lower() == "yes" else -1.0
    return score, reply[: found[-1].start()].strip() or None
