"""Encodes texts with images, by a vision-language model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.device import own_device
from models.llm.batches import by_length
from models.llm.encoder import EncoderParameters, hidden_state
from models.llm.language_model import load_image_text_model

IMAGES_A_PASS = 16
"""Images in a forward pass. The number of tokens of an image depends on the model and is often hundreds."""

LARGEST_SIDE = 1024
"""Largest width or height, in pixels; larger images are scaled down before the model's own processor reads them."""


def read_image(encoded: bytes) -> Image.Image | None:
    """Decodes an image (PNG, JPEG, …) to RGB; None if the bytes hold no readable image."""
    try:
        image = Image.open(io.BytesIO(encoded))
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None


class ImageTextEncoder:
    """Encodes texts and images as the mean of one layer's hidden states over the tokens of both.

    Position 0 is left out of the mean, as in :class:`models.llm.encoder.Encoder`. An item without an image is encoded
    from its text alone.

    Args:
        folder: a converted vision-language model.
        parameters: layer, lengths and dtype.

    Raises:
        ValueError: the model has no such layer.
    """

    def __init__(self, folder: Path, parameters: EncoderParameters) -> None:
        self._parameters = parameters
        self._model, self._processor = load_image_text_model(folder, parameters.dtype)
        self._device = own_device()
        self._model.to(self._device)
        text = self._model.config.text_config
        self._layer = hidden_state(parameters.layer, int(text.num_hidden_layers))
        self.dimension = int(text.hidden_size)

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], images: Sequence[bytes | None]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Embeds texts with their images; the vectors are neither centred nor normalised.

        Args:
            texts: any number of texts.
            images: each text's image as encoded bytes, or None.

        Returns:
            Vectors, shape (texts, dimension); and which images could not be read, so that only the text was encoded,
            shape (texts,).
        """
        vectors, broken = np.empty((len(texts), self.dimension), np.float32), np.zeros(len(texts), np.bool_)
        cut = [self._cut(text) for text in texts]
        alone = [row for row, image in enumerate(images) if not image]
        pictured = [row for row, image in enumerate(images) if image]
        for start in range(0, len(pictured), IMAGES_A_PASS):
            batch = pictured[start : start + IMAGES_A_PASS]
            read = {row: image for row in batch if (image := read_image(images[row] or b"")) is not None}
            if read:
                prompts = [f"{self._processor.image_token}\n{cut[row]}" for row in read]
                vectors[list(read)] = self._means(text=prompts, images=[[image] for image in read.values()])
            unread = [row for row in batch if row not in read]
            broken[unread] = True
            alone += unread
        for batch in by_length([len(cut[row].split()) + 1 for row in alone], self._parameters.batch_tokens):
            chosen = [alone[place] for place in batch]
            vectors[chosen] = self._means(text=[cut[row] for row in chosen])
        return vectors, broken

    def _means(self, **inputs: Any) -> NDArray[np.float32]:
        ready = self._processor(return_tensors="pt", padding=True, **inputs).to(self._device)
        states = self._model.model(**ready, output_hidden_states=True).hidden_states[self._layer].float()
        counted = ready["attention_mask"].clone()
        counted[counted.sum(1) > 1, 0] = 0
        means = (states * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)
        found: NDArray[np.float32] = means.cpu().numpy()
        return found

    def _cut(self, text: str) -> str:
        tokenizer = self._processor.tokenizer
        # A title that contains the image token would require an image that does not exist.
        plain = text.replace(self._processor.image_token, " ")
        ids = tokenizer(plain, truncation=True, max_length=self._parameters.max_tokens)["input_ids"]
        return str(tokenizer.decode(ids, skip_special_tokens=True))
