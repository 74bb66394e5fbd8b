"""Do two items go together? Judges that read a local model, behind one interface."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import Encoder, EncoderParameters
from models.llm.likelihood import Likelihood
from models.llm.prompts import (
    ANY_PRODUCT,
    NO_PURCHASE_PROMPT,
    PROMPT_VERSION,
    embedding_prompt,
    purchase_prompt,
    yes_no_question,
)

MOST_REMEMBERED = 100_000


@dataclass(frozen=True)
class JudgeParameters:
    """How a judge reads.

    Attributes:
        method: a key of ``JUDGES``.
        layer: hidden state that ``similarity`` averages, see :class:`models.llm.encoder.EncoderParameters`.
        max_tokens: longer items are cut.
        batch_tokens: tokens of one forward pass, padding included.
        dtype: ``float32`` or ``bfloat16``.
    """

    method: str
    layer: int
    max_tokens: int
    batch_tokens: int
    dtype: str


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


class Judge(Protocol):
    """Scores pairs of items by their texts."""

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Opinions on pairs of item texts, in their order."""
        ...


class LikelihoodRatioJudge:
    """``log p(target | bought trigger) - log p(target)``, per token of the target.

    Stands in for the paper's yes/no question (QARM V2, section on the reasoning filter), which a small model cannot
    answer.

    Args:
        folder: a converted model with a language-model head.
        parameters: how it reads.

    Raises:
        ValueError: the model has no language-model head.
    """

    def __init__(self, folder: Path, parameters: JudgeParameters) -> None:
        p = parameters
        self._likelihood = Likelihood(folder, p.max_tokens, p.batch_tokens, p.dtype)
        self._unconditional: dict[str, float] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores in nats per target token; each target's unconditional term is computed once."""

        def unconditional(texts: Sequence[str]) -> NDArray[np.float64]:
            return self._likelihood.of_continuations([NO_PURCHASE_PROMPT] * len(texts), texts)

        base = _remembered(targets, self._unconditional, unconditional)
        given = self._likelihood.of_continuations([purchase_prompt(trigger) for trigger in triggers], targets)
        return Opinions(given - base, [None] * len(triggers))


class YesNoJudge:
    """The paper's question, answered by the log-probability of Yes less that of No.

    From it the pull that each item has beside any product is taken away: a model leans to one answer, more so after
    some titles, and a title that tells it what to answer tells it so whatever the other item is.

    Args:
        folder: a converted model with a language-model head.
        parameters: how it reads.

    Raises:
        ValueError: the model has no language-model head.
    """

    def __init__(self, folder: Path, parameters: JudgeParameters) -> None:
        p = parameters
        self._likelihood = Likelihood(folder, p.max_tokens, p.batch_tokens, p.dtype)
        self._max_tokens = p.max_tokens
        self._as_trigger: dict[str, float] = {}
        self._as_target: dict[str, float] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores in nats; 0 is what two items have that only pull for themselves."""
        pull = _remembered(triggers, self._as_trigger, lambda texts: self._ask(texts, [ANY_PRODUCT] * len(texts)))
        pull += _remembered(targets, self._as_target, lambda texts: self._ask([ANY_PRODUCT] * len(texts), texts))
        return Opinions(self._ask(triggers, targets) - pull / 2, [None] * len(triggers))

    def _ask(self, triggers: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
        tokenizer = self._likelihood.tokenizer
        prompts = []
        for trigger, target in zip(map(self._cut, triggers), map(self._cut, targets), strict=True):
            question = yes_no_question(trigger, target)
            if tokenizer.chat_template:
                messages = [{"role": "user", "content": question}]
                question = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            prompts.append(f"{question}<answer>")
        answers = self._likelihood.of_next_words(prompts, ["Yes", "No"])
        return np.asarray(answers[:, 0] - answers[:, 1])

    def _cut(self, text: str) -> str:
        """The text at its longest, without the words that the model's own format is made of."""
        tokenizer = self._likelihood.tokenizer
        for special in tokenizer.all_special_tokens:
            text = text.replace(special, " ")
        ids = tokenizer(text, truncation=True, max_length=self._max_tokens, add_special_tokens=False)["input_ids"]
        return text if len(ids) < self._max_tokens else str(tokenizer.decode(ids))


class SimilarityJudge:
    """Cosine of the items' embeddings.

    Args:
        folder: a converted model.
        parameters: how it reads.
    """

    def __init__(self, folder: Path, parameters: JudgeParameters) -> None:
        p = parameters
        self._encoder = Encoder(folder, EncoderParameters(p.layer, p.max_tokens, p.batch_tokens, p.dtype))
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores from -1 to 1; each text is embedded once."""
        left, right = (_remembered(side, self._vectors, self._embed) for side in (triggers, targets))
        return Opinions((left * right).sum(1).astype(np.float64), [None] * len(triggers))

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._encoder.encode([embedding_prompt(text) for text in texts])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


JUDGES: Mapping[str, Callable[[Path, JudgeParameters], Judge]] = {
    "yes_no": YesNoJudge,
    "likelihood_ratio": LikelihoodRatioJudge,
    "similarity": SimilarityJudge,
}


def judge_name(method: str, model: str, reading: Mapping[str, object]) -> str:
    """What verdicts are kept under: the method, the wording of its prompts, the model, and how it is read.

    Args:
        method: a key of ``JUDGES``.
        model: its name.
        reading: all else that a score depends on.
    """
    digest = hashlib.sha256(json.dumps(dict(reading), sort_keys=True).encode()).hexdigest()[:8]
    return f"{method}/{PROMPT_VERSION}/{model}/{digest}"


def answer_of(reply: str) -> tuple[float, str | None]:
    """Reads a reply to the yes/no question.

    Args:
        reply: what the model wrote; its last ``<answer>`` counts.

    Returns:
        1 for Yes, -1 for No, NaN where neither stands there; and the words before the answer, None where there are
        none. A reply without an answer is all words.
    """
    found = list(re.finditer(r"<answer>\s*(yes|no)\b[^<]*</answer>", reply, re.IGNORECASE))
    if not found:
        return float("nan"), reply.strip()
    score = 1.0 if found[-1].group(1).lower() == "yes" else -1.0
    return score, reply[: found[-1].start()].strip() or None


def _remembered(
    texts: Sequence[str], known: dict[str, Any], make: Callable[[Sequence[str]], NDArray[Any]]
) -> NDArray[Any]:
    """A number or vector for every text, made once for each; of the last hundred thousand or so."""
    if len(known) > MOST_REMEMBERED:
        known.clear()
    new = sorted(set(texts) - known.keys())
    if new:
        known.update(zip(new, make(new), strict=True))
    return np.array([known[text] for text in texts])
