"""Texts with images to vectors, by a vision-language model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from qarm.models.llm.batches import by_length
from qarm.models.llm.checkpoint import load_image_text_model
from qarm.models.llm.encoder import EncoderParameters, hidden_state


def read_image(encoded: bytes) -> Image.Image | None:
    """The picture in encoded bytes (PNG, JPEG, …) as RGB; None where there is none that can be read."""
    try:
        return Image.open(io.BytesIO(encoded)).convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None


class ImageTextEncoder:
    """Reads a vision-language model as an encoder: the mean of one layer's states over image and text.

    Position 0 stays out of the mean, as in :class:`qarm.models.llm.encoder.Encoder`. An item without an image is read
    by its text alone.

    Args:
        folder: a converted model that takes images.
        parameters: how it is read.

    Raises:
        ValueError: the model has no such layer.
    """

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        self._parameters = parameters
        self._model, self._processor = load_image_text_model(folder, parameters.dtype)
        text = self._model.config.text_config
        self._layer = hidden_state(parameters.layer, int(text.num_hidden_layers))
        self.dimension = int(text.hidden_size)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], images: Sequence[Image.Image | None]) -> NDArray[np.float32]:
        """Embeds texts with their images, neither centred nor normalised.

        Args:
            texts: any number of texts.
            images: one to each, or None.

        Returns:
            Shape (texts, dimension).
        """
        vectors = np.empty((len(texts), self.dimension), np.float32)
        cut = [self._cut(text) for text in texts]
        for with_image in (False, True):
            rows = [row for row, image in enumerate(images) if (image is not None) == with_image]
            # Tokens of an image are not known before it is processed: one image a batch row, by the text's length.
            for batch in by_length([len(cut[row].split()) + 1 for row in rows], self._parameters.batch_tokens):
                chosen = [rows[place] for place in batch]
                pictures = {"images": [[images[row]] for row in chosen]} if with_image else {}
                inputs = self._processor(
                    text=[self._prompt(cut[row], with_image) for row in chosen],
                    return_tensors="pt",
                    padding=True,
                    **pictures,
                )
                states = self._model(**inputs, output_hidden_states=True).hidden_states[self._layer].float()
                counted = inputs["attention_mask"].clone()
                counted[counted.sum(1) > 1, 0] = 0
                vectors[chosen] = ((states * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)).numpy()
        return vectors

    def _cut(self, text: str) -> str:
        tokenizer = self._processor.tokenizer
        # A title that holds the image token would ask for a picture that is not there.
        plain = text.replace(self._processor.image_token, " ")
        ids = tokenizer(plain, truncation=True, max_length=self._parameters.max_tokens)["input_ids"]
        return str(tokenizer.decode(ids, skip_special_tokens=True))

    def _prompt(self, text: str, with_image: bool) -> str:
        return f"{self._processor.image_token}\n{text}" if with_image else text
