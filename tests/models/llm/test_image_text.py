from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.llm.encoder import EncoderParameters
from models.llm.image_text import ImageTextEncoder, read_image
from models.llm.item_encoder import ItemEncoder
from models.llm.language_model import convert, has_language_model_head, hidden_layers, takes_images

TEXTS = ["red wine", "a bottle of white wine", "dog food"]


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def converted(tiny_vision: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    convert(str(tiny_vision), "float32", folder)
    return folder


def encoder(folder: Path, batch_tokens: int = 64) -> ImageTextEncoder:
    return ImageTextEncoder(
        folder, EncoderParameters(layer=-1, max_tokens=32, batch_tokens=batch_tokens, dtype="float32")
    )


def test_a_converted_model_still_takes_images(converted: Path) -> None:
    assert takes_images(converted)
    assert not has_language_model_head(converted)
    assert hidden_layers(converted) == 2
    with pytest.raises(ValueError, match=r"align\.steps"):
        ItemEncoder(converted, "float32")


def test_the_image_is_part_of_the_vector_and_the_mean_is_of_all_states(converted: Path) -> None:
    one = encoder(converted)
    red, blue, none = (one.encode(["red wine"], [image])[0][0] for image in (picture("red"), picture("blue"), None))
    assert np.abs(red - blue).max() > 1e-4
    assert np.abs(red - none).max() > 1e-4
    inputs = one._processor(text=["<image>\nred wine"], images=[read_image(picture("red"))], return_tensors="pt")
    with torch.inference_mode():
        states = one._model.model(**inputs).last_hidden_state[0]
    np.testing.assert_allclose(red, states[1:].mean(0).numpy(), atol=1e-4)


def test_vectors_do_not_depend_on_the_batch(converted: Path) -> None:
    images = [picture("red"), None, picture("green")]
    together, broken = encoder(converted).encode(TEXTS, images)
    assert not broken.any()
    alone, _ = encoder(converted, batch_tokens=1).encode(TEXTS, images)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_a_title_cannot_ask_for_an_image(converted: Path) -> None:
    one = encoder(converted)
    asking, plain = (one.encode([text], [None])[0] for text in ("<image>red wine", " red wine"))
    np.testing.assert_allclose(asking, plain, atol=1e-4)


def test_an_image_that_cannot_be_read_leaves_the_text(converted: Path) -> None:
    image = read_image(picture("red"))
    assert image is not None
    assert image.size == (40, 30)
    one = encoder(converted)
    vectors, broken = one.encode(["red wine", "red wine"], [b"no image", picture("red")])
    assert broken.tolist() == [True, False]
    np.testing.assert_allclose(vectors[:1], one.encode(["red wine"], [None])[0], atol=1e-4)
