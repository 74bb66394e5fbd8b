from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from models.llm.batches import by_length, filled, of_one_length, pad
from models.llm.encoder import Encoder, EncoderParameters
from models.llm.language_model import load_language_model, load_tokenizer, locate
from models.llm.projection import Moments, Projection
from models.llm.prompts import item_text

TEXTS = ["red wine", "a bottle of white wine from the south", "dog food", "x"]


def parameters(layer: int, batch_tokens: int = 512) -> EncoderParameters:
    return EncoderParameters(layer=layer, max_tokens=32, batch_tokens=batch_tokens, dtype="float32")


def test_item_text_leaves_blanks_out_and_folds_space() -> None:
    text = item_text(" Red\n Wine ", None, {"size": "750 ML", "brand": "", "z": None}, "  ")
    assert text == "red wine, 750 ml"


def test_batches_hold_every_sequence_once_and_keep_their_budget() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 200).tolist()
    batches = list(by_length(lengths, 100))
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 100 for batch in batches)
    assert list(by_length([500], 100)) == [[0]]


def test_batches_of_one_length_hold_every_sequence_once_and_keep_their_budget() -> None:
    lengths = [3, 7, 3, 50, 3, 7, 0, 3]
    assert list(of_one_length(lengths, 9)) == [[6], [0, 2, 4], [7], [1], [5], [3]]
    assert list(of_one_length([], 9)) == []


def test_a_filled_batch_has_one_shape_and_begins_with_its_own_sequences() -> None:
    assert filled(["a", "b"], 2, 9) == ["a", "b", "a", "b"]
    assert filled(["a"], 12, 9) == ["a"], "a sequence that is longer than a batch may be"


def test_pad_masks_what_it_adds() -> None:
    ids, mask = pad([[5, 6], [7]], padding=9)
    assert ids.tolist() == [[5, 6], [7, 9]]
    assert mask.tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize("layer", [12, -2, 30])
def test_encoder_is_the_mean_of_one_layer_without_its_first_position(smollm: Path, layer: int) -> None:
    found = Encoder(smollm, parameters(layer)).encode(TEXTS)
    model, tokenizer = load_language_model(smollm, "float32"), load_tokenizer(smollm)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            states = model(ids, output_hidden_states=True).hidden_states[layer][0]
        expected = states[1:].mean(0) if len(states) > 1 else states[0]
        np.testing.assert_allclose(vector, expected.numpy(), atol=2e-3, rtol=2e-3)


def test_encoder_does_not_depend_on_the_batch(minilm: Path) -> None:
    encoder, alone = Encoder(minilm, parameters(-1)), Encoder(minilm, parameters(-1, batch_tokens=1))
    np.testing.assert_allclose(encoder.encode(TEXTS), alone.encode(TEXTS), atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)


def test_encoder_refuses_a_layer_that_is_not_there(minilm: Path) -> None:
    with pytest.raises(ValueError, match=r"embed\.layer: the model has no hidden state 9; set 0 to 6"):
        Encoder(minilm, parameters(9))


def test_projection_is_pca_from_summed_parts() -> None:
    raw = (np.random.default_rng(0).normal(size=(300, 10)) * np.arange(1, 11) + 5).astype(np.float32)
    moments = Moments.of(raw[:100]) + Moments.of(raw[100:])
    projection = Projection.fit(moments, 3)
    reference = PCA(3).fit(raw)
    np.testing.assert_allclose(np.abs(projection.components @ reference.components_.T), np.eye(3), atol=1e-3)
    embedding, search = projection.apply(raw)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(search, axis=1), 1, rtol=1e-5)
    centred = raw - raw.mean(0)
    np.testing.assert_allclose(embedding, centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-4)


def test_projection_names_the_setting_that_is_too_large() -> None:
    with pytest.raises(ValueError, match=r"embed\.search_dim is 64, but the model's vectors have 4 dimensions"):
        Projection.fit(Moments.of(np.eye(4, dtype=np.float32)), 64)


@pytest.mark.parametrize("name", ["package:no_such_package", "./no/such/folder", "no-such-model"])
def test_a_model_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"language_model\.model"):
        locate(name)
