"""Text encoders: the mean of one layer's hidden states, or an aligned encoder's ``<EMB>`` states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.device import own_device
from models.llm.batches import filled, of_one_length, pad
from models.llm.item_encoder import ItemEncoder, is_aligned
from models.llm.language_model import load_backbone, load_tokenizer

ONE_SHAPE_TOKENS = 256
"""Tokens of a batch that is always filled: enough to keep a processor busy, few enough that one text alone is quick."""


@dataclass(frozen=True, kw_only=True)
class EncoderParameters:
    """How a language model encodes texts.

    Attributes:
        layer: hidden state that is averaged: 0 = token embeddings, n = after the n-th layer, -1 = the last.
        max_tokens: largest number of tokens of a text; longer texts are truncated.
        batch_tokens: largest number of tokens in a forward pass; in bfloat16 on a processor at most
            :data:`ONE_SHAPE_TOKENS`.
        dtype: ``float32`` or ``bfloat16``.
    """

    layer: int
    max_tokens: int
    batch_tokens: int
    dtype: str


def hidden_state(layer: int, depth: int, setting: str = "embed.layer") -> int:
    """Index of a hidden state, counted from the first.

    Args:
        layer: index as in the settings; negative indices count from the last.
        depth: number of layers of the model.
        setting: name of the setting that holds ``layer``, for the error message.

    Raises:
        ValueError: the model has no such hidden state.
    """
    place = layer if layer >= 0 else depth + 1 + layer
    if not 0 <= place <= depth:
        raise ValueError(
            f"{setting}: the model has no hidden state {layer}; set 0 to {depth}, or -1 to {-depth - 1} from the last"
        )
    return place


class TextEncoder(Protocol):
    """Computes vectors of texts."""

    dimension: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, shape (texts, dimension)."""
        ...


def load_encoder(folder: Path, parameters: EncoderParameters) -> TextEncoder:
    """Loads the encoder in a folder: an aligned encoder, or a plain language model read by :class:`Encoder`."""
    return AlignedEncoder(folder, parameters) if is_aligned(folder) else Encoder(folder, parameters)


class Encoder:
    """Encodes texts with a language model that was not aligned.

    Only the layers up to the one in ``parameters`` are run. Position 0 is an attention sink in causal models, so it is
    left out of the mean, except in a text of one token.

    Args:
        folder: a converted model, see :func:`models.llm.language_model.convert`.
        parameters: layer, lengths and dtype.

    Raises:
        ValueError: the model has no such layer.
    """

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        self._parameters = parameters
        self._tokenizer = load_tokenizer(folder)
        self._backbone = load_backbone(folder, parameters.dtype)
        depth = int(self._backbone.config.num_hidden_layers)
        self._cut_above(hidden_state(parameters.layer, depth), depth)
        self._device = own_device()
        self._backbone.to(self._device)
        self.dimension = int(self._backbone.config.hidden_size)

    def _cut_above(self, layer: int, depth: int) -> None:
        if layer == depth:
            return
        stack = self._backbone if hasattr(self._backbone, "layers") else self._backbone.encoder
        name = "layers" if hasattr(stack, "layers") else "layer"
        setattr(stack, name, getattr(stack, name)[:layer])
        if hasattr(self._backbone, "norm"):  # the final norm belongs to the last layer only
            self._backbone.norm = torch.nn.Identity()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; the vectors are neither centred nor normalised.

        Args:
            texts: any number of texts.

        Returns:
            Shape (texts, dimension).
        """
        return _in_batches(
            texts, self._tokenizer, self._parameters, dimension=self.dimension, device=self._device, encode=self._means
        )

    def _means(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        ids, mask = (part.to(self._device) for part in pad(tokens, self._tokenizer.pad_token_id))
        states = self._backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        counted = mask.clone()
        counted[mask.sum(1) > 1, 0] = 0
        mean: torch.Tensor = (states * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)
        return mean


class AlignedEncoder:
    """Encodes texts with an aligned encoder, to unit vectors.

    Args:
        folder: folder that :meth:`models.llm.item_encoder.ItemEncoder.save` wrote.
        parameters: lengths and dtype; ``layer`` is ignored.
    """

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        self._parameters = parameters
        self._encoder = ItemEncoder(folder, parameters.dtype).eval().to(own_device())
        self.dimension = self._encoder.dimension

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts as vectors of L2 norm 1.

        Args:
            texts: any number of texts.

        Returns:
            Shape (texts, dimension).
        """
        return _in_batches(
            texts,
            self._encoder.tokenizer,
            self._parameters,
            dimension=self.dimension,
            device=self._encoder.device,
            encode=self._unit,
        )

    def _unit(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.nn.functional.normalize(self._encoder.vectors(tokens).float(), dim=1)


def _in_batches(
    texts: Sequence[str],
    tokenizer: Any,
    parameters: EncoderParameters,
    *,
    dimension: int,
    device: torch.device,
    encode: Callable[[Sequence[Sequence[int]]], torch.Tensor],
) -> NDArray[np.float32]:
    """Encodes texts in batches of one length each, so that, on one thread, a vector does not depend on the others.

    A processor's bfloat16 needs batches of one shape for that, so there each is filled. A text without tokens is
    encoded as one padding token.
    """
    vectors = np.empty((len(texts), dimension), np.float32)
    if not texts:
        return vectors
    tokens = tokenizer(list(texts), truncation=True, max_length=parameters.max_tokens)["input_ids"]
    tokens = [sequence or [tokenizer.pad_token_id] for sequence in tokens]
    one_shape = device.type == "cpu" and parameters.dtype == "bfloat16"
    most = min(parameters.batch_tokens, ONE_SHAPE_TOKENS) if one_shape else parameters.batch_tokens
    for batch in of_one_length([len(sequence) for sequence in tokens], most):
        sequences = [tokens[i] for i in batch]
        if one_shape:
            sequences = filled(sequences, len(sequences[0]), most)
        vectors[batch] = encode(sequences)[: len(batch)].cpu().numpy()
    return vectors
