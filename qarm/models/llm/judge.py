"""Do two items go together? A small model answers by likelihood ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qarm.models.llm.batches import by_length, pad
from qarm.models.llm.checkpoint import load_language_model, load_tokenizer
from qarm.models.llm.prompts import NO_PURCHASE_PROMPT, PROMPT_VERSION, purchase_prompt

JUDGE_NAME = f"likelihood_ratio/{PROMPT_VERSION}"


@dataclass(frozen=True)
class JudgeParameters:
    """How the judge reads.

    Attributes:
        max_tokens: longer items are cut.
        batch_tokens: tokens of one forward pass, padding included.
        dtype: ``float32`` or ``bfloat16``.
    """

    max_tokens: int
    batch_tokens: int
    dtype: str


class LikelihoodRatioJudge:
    """Scores a pair by ``log p(target | bought trigger) - log p(target)``, per token of the target.

    Stands in for the paper's yes/no question (QARM V2, section on the reasoning filter), which a small model cannot
    answer.

    Args:
        folder: a converted model with a language-model head.
        parameters: how it reads.

    Raises:
        ValueError: the model has no language-model head.
    """

    def __init__(self, folder: Path, parameters: JudgeParameters) -> None:
        self._parameters = parameters
        self._tokenizer = load_tokenizer(folder)
        self._model = load_language_model(folder, parameters.dtype)

    def score(self, triggers: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
        """Scores pairs of item texts; higher is more related.

        Args:
            triggers: the trigger items' texts.
            targets: the target items' texts, as many.

        Returns:
            Nats per target token, shape (pairs,).
        """
        distinct = sorted(set(targets))
        given_nothing = self._log_likelihood([NO_PURCHASE_PROMPT] * len(distinct), distinct)
        base = dict(zip(distinct, given_nothing, strict=True))
        given_trigger = self._log_likelihood([purchase_prompt(trigger) for trigger in triggers], targets)
        return given_trigger - np.array([base[target] for target in targets])

    @torch.inference_mode()
    def _log_likelihood(self, prompts: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
        cut = self._parameters.max_tokens
        heads = self._tokenizer(list(prompts), truncation=True, max_length=cut)["input_ids"]
        tails = self._tokenizer(
            [f" {target}" for target in targets], truncation=True, max_length=cut, add_special_tokens=False
        )["input_ids"]
        sequences = [head + tail for head, tail in zip(heads, tails, strict=True)]
        likelihoods = np.zeros(len(sequences))
        for batch in by_length([len(sequence) for sequence in sequences], self._parameters.batch_tokens):
            ids, mask = pad([sequences[i] for i in batch], self._tokenizer.pad_token_id)
            states = self._model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            # The vocabulary is most of a small model's work: only the target's own positions need it.
            asked = torch.zeros_like(mask, dtype=torch.bool)
            for row, position in enumerate(batch):
                asked[row, len(heads[position]) - 1 : len(sequences[position]) - 1] = True
            logits = self._model.get_output_embeddings()(states[asked]).float()
            surprise = torch.nn.functional.cross_entropy(logits, ids.roll(-1, 1)[asked], reduction="none")
            per_row = torch.zeros(len(batch)).index_add(0, asked.nonzero()[:, 0], surprise)
            likelihoods[batch] = (-per_row / asked.sum(1)).numpy()
        return likelihoods
