"""Likelihoods under a causal language model: of a prompt's continuation, and of its next word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.device import own_device
from models.llm.batches import by_length, pad
from models.llm.language_model import load_language_model, load_tokenizer


class Likelihood:
    """Computes likelihoods of texts with a causal language model.

    Args:
        folder: a converted model with a language-model head.
        max_tokens: largest number of tokens of a prompt or continuation; longer ones are truncated.
        batch_tokens: largest number of tokens in a forward pass, padding included.
        dtype: ``float32`` or ``bfloat16``.

    Raises:
        ValueError: the model has no language-model head.
    """

    def __init__(self, folder: Path, max_tokens: int, batch_tokens: int, dtype: str) -> None:
        self.tokenizer = load_tokenizer(folder)
        self._device = own_device()
        self._model = load_language_model(folder, dtype).to(self._device)
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens

    @torch.inference_mode()
    def of_continuations(self, prompts: Sequence[str], continuations: Sequence[str]) -> NDArray[np.float64]:
        """Log-likelihood of each continuation given its prompt, mean over its tokens, in nats; shape (prompts,)."""
        cut = {"truncation": True, "max_length": self._max_tokens}
        heads = self.tokenizer(list(prompts), **cut)["input_ids"]
        tails = self.tokenizer([f" {text}" for text in continuations], add_special_tokens=False, **cut)["input_ids"]
        sequences = [head + tail for head, tail in zip(heads, tails, strict=True)]
        likelihoods = np.zeros(len(sequences))
        for batch in by_length([len(sequence) for sequence in sequences], self._batch_tokens):
            ids, states = self._states([sequences[i] for i in batch])
            # Logits over the vocabulary are most of a small model's work; only the continuation's tokens need them.
            asked = torch.zeros_like(ids, dtype=torch.bool)
            for row, position in enumerate(batch):
                asked[row, len(heads[position]) - 1 : len(sequences[position]) - 1] = True
            logits = self._model.get_output_embeddings()(states[asked]).float()
            surprise = torch.nn.functional.cross_entropy(logits, ids.roll(-1, 1)[asked], reduction="none")
            per_row = surprise.new_zeros(len(batch)).index_add(0, asked.nonzero()[:, 0], surprise)
            likelihoods[batch] = (-per_row / asked.sum(1)).cpu().numpy()
        return likelihoods

    @torch.inference_mode()
    def of_next_words(self, prompts: Sequence[str], words: Sequence[str]) -> NDArray[np.float64]:
        """Log-likelihood of each word's first token directly after each prompt, shape (prompts, words).

        Prompts are not truncated, because their end holds the question.
        """
        first = [self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
        sequences = self.tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
        likelihoods = np.zeros((len(sequences), len(words)))
        for batch in by_length([len(sequence) for sequence in sequences], self._batch_tokens):
            _, states = self._states([sequences[i] for i in batch])
            last = torch.tensor([len(sequences[i]) - 1 for i in batch])
            logits = self._model.get_output_embeddings()(states[torch.arange(len(batch)), last]).float()
            likelihoods[batch] = logits.log_softmax(-1)[:, first].cpu().numpy()
        return likelihoods

    def _states(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, Any]:
        ids, mask = (part.to(self._device) for part in pad(sequences, self.tokenizer.pad_token_id))
        return ids, self._model.get_decoder()(input_ids=ids, attention_mask=mask).last_hidden_state
