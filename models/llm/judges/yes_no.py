"""A judge that asks a local model the paper's yes/no question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.llm.encoder import EncoderParameters
from models.llm.judge import LocalJudge, Opinions, remembered
from models.llm.likelihood import Likelihood
from models.llm.prompts import ANY_PRODUCT, yes_no_question


class YesNoJudge(LocalJudge):
    """The paper's question, scored by the log-probability of Yes minus that of No.

    A model is biased towards one answer, and the bias depends on the titles; a title may even contain an instruction to
    answer Yes. The score is therefore corrected by each item's bias, which is its score beside the words "a product" in
    place of the other item.

    Args:
        folder: a converted model with a language-model head.
        parameters: lengths and dtype.

    Raises:
        ValueError: the model has no language-model head.
    """

    name = "yes_no"
    meaning = "the model's answer to whether both are similar or bought together: above 0 is more Yes than No"
    needs_head = True

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        p = parameters
        self._likelihood = Likelihood(folder, p.max_tokens, p.batch_tokens, p.dtype)
        self._max_tokens = p.max_tokens
        self._as_trigger: dict[str, float] = {}
        self._as_target: dict[str, float] = {}

    def opinions(self, triggers: Sequence[str], targets: Sequence[str]) -> Opinions:
        """Scores in nats, corrected by half the sum of both items' biases; above 0 the items are judged related."""
        pull = remembered(triggers, self._as_trigger, lambda texts: self._ask(texts, [ANY_PRODUCT] * len(texts)))
        pull += remembered(targets, self._as_target, lambda texts: self._ask([ANY_PRODUCT] * len(texts), texts))
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
        """The text without the model's special tokens, truncated to ``max_tokens``."""
        tokenizer = self._likelihood.tokenizer
        for special in tokenizer.all_special_tokens:
            text = text.replace(special, " ")
        ids = tokenizer(text, truncation=True, max_length=self._max_tokens, add_special_tokens=False)["input_ids"]
        return text if len(ids) < self._max_tokens else str(tokenizer.decode(ids))
