"""Item texts in the ranker: tokens, gate, encoder, memory bank, and what training and serving read of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import load_ranker, save_ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.arrays import ItemTexts, ItemTokens, field_values, item_texts
from models.ranker.network.texts.encoder import Gate, TokenEncoder
from models.ranker.network.texts.layers import rotate, rotations
from models.ranker.network.texts.reader import BANK, TextReader
from models.ranker.network.texts.shape import TextShape
from models.ranker.training.process import beginning
from models.ranker.training.training import train_ranker
from models.ranker.training.warm_start import differences, take_over
from models.training_loop import TrainingParameters
from models.training_state import Checkpoints
from tests.ranker_batches import TEXT, TEXT_SHAPE, TEXTS, batch

MEAN = replace(TEXT, encoder="mean", gate=False, reading=False, user=False, matches=False, auxiliary=0.0)
MEAN_SHAPE = replace(TEXT_SHAPE, text=MEAN)
PARAMETERS = TrainingParameters(
    learning_rate=1e-2, weight_decay=1e-2, max_epochs=3, patience=9, validations_per_epoch=2, checkpoint_steps=4
)


def begun(shape: RankerShape = TEXT_SHAPE, texts: ItemTexts = TEXTS) -> Ranker:
    torch.manual_seed(0)
    ranker = beginning(shape, texts, None)
    ranker.fill_bank()
    return ranker


def reader(ranker: Ranker) -> TextReader:
    assert ranker.text is not None
    return ranker.text


def of(tokens: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(tokens))


def test_the_gate_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    gate, h, e = Gate(4), torch.randn(4), torch.randn(4)
    k, v = gate.key.weight @ e, gate.value.weight @ e
    norm = [x / (x.square().mean() + 1e-6).sqrt() for x in (k, h)]
    alpha = 1 / (1 + torch.exp(-torch.dot(*norm) / 4**0.5))
    torch.testing.assert_close(gate(h, e), h + alpha * v)
    torch.testing.assert_close(gate(h, torch.zeros(4)), h), "no domain token, nothing added"


def test_rotary_products_depend_on_distance_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8), torch.randn(8)
    by = rotations(9, 8)
    queries, keys = rotate(query.expand(9, 8), by), rotate(key.expand(9, 8), by)
    products = queries @ keys.T
    for distance in range(-4, 5):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand(len(diagonal)), rtol=1e-4, atol=1e-5)
    assert products[0].std() > 0.01


@pytest.mark.parametrize("shape", [TEXT, MEAN, replace(MEAN, gate=True), replace(TEXT, gate=False)])
def test_a_text_is_encoded_as_if_it_were_alone(shape: TextShape) -> None:
    """No other text of the block, and no padding, leaks into it."""
    torch.manual_seed(0)
    encoder = TokenEncoder(shape, 7, 6, 4, length=9).eval()
    tokens = of(TEXTS.of.tokens)
    vectors, _, there = encoder(tokens)
    assert (there == (tokens[:, 0] > 0)).all()
    for content in range(len(tokens)):
        count = int(there[content].sum())
        alone, _, _ = encoder(tokens[content : content + 1, :, : max(count, 1)])
        torch.testing.assert_close(alone[0], vectors[content], rtol=0, atol=1e-6)
    assert not vectors[[0, -1]].any(), "no text is zeros"
    longer = torch.cat([tokens, tokens.new_zeros(len(tokens), 3, 4)], dim=2)
    torch.testing.assert_close(encoder(longer)[0], vectors, rtol=0, atol=1e-6)


def test_the_mean_is_that_of_token_and_field() -> None:
    encoder = TokenEncoder(MEAN, 7, 6, 4, length=5).eval()
    tokens = TEXTS.of.tokens[1]
    there = tokens[0] > 0
    base, field = (table.weight.detach().numpy() for table in (encoder.base, encoder.field))
    expected = (base[tokens[0]] + field[tokens[2]])[there].mean(0)
    np.testing.assert_allclose(encoder(of(TEXTS.of.tokens[1:2]))[0][0].detach(), expected, atol=1e-6)


def test_the_transformer_knows_the_order_of_words() -> None:
    torch.manual_seed(0)
    encoder = TokenEncoder(TEXT, 7, 6, 4, length=5).eval()
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    tokens = of(np.array([[[1, 2, 3, 4, 5], [0] * 5, [1] * 5]], np.int32))
    assert (encoder(tokens)[0] - encoder(tokens.flip(2))[0]).abs().max() > 1e-3


def test_base_tokens_begin_as_the_language_model_has_them() -> None:
    encoder = reader(begun(MEAN_SHAPE)).encoder
    given = of(TEXTS.of.vectors)[1:, : MEAN.dim]
    weight = encoder.base.weight.detach()
    assert torch.corrcoef(torch.stack([weight[1:].flatten(), given.flatten()]))[0, 1] > 0.999
    assert not weight[0].any()


@pytest.mark.parametrize("shape", [TEXT_SHAPE, MEAN_SHAPE, replace(TEXT_SHAPE, text=replace(TEXT, user=False))])
def test_training_and_serving_read_the_same(shape: RankerShape) -> None:
    """Without dropout, what training encodes is what the bank says, to 1e-6 in every probability."""
    ranker, rows = begun(shape), batch(200)
    with torch.no_grad():
        trained = ranker.train().probabilities(rows)
        ranker.fill_bank()
        served = ranker.eval().probabilities(rows)
    torch.testing.assert_close(trained, served, rtol=0, atol=1e-6)


def test_validation_reads_the_bank_alone() -> None:
    ranker, rows = begun(), batch(50)
    ranker.eval()
    before = ranker.probabilities(rows)
    encoder = reader(ranker).encoder
    torch.nn.init.normal_(encoder.base.weight)
    reader(ranker).tokens.zero_()
    torch.testing.assert_close(ranker.probabilities(rows), before, rtol=0, atol=0)
    reader(ranker).bank.mul_(3)
    assert (ranker.probabilities(rows) - before).abs().max() > 1e-4


def test_targets_are_learned_through_their_texts_and_events_are_not() -> None:
    ranker = begun()
    ranker.train()
    rows = batch(30)
    ranker.loss(rows).backward()
    text = reader(ranker)
    content = text.content_of_row[rows["text_row"].long()].long()
    used = torch.unique(text.tokens[content.unique()][:, 0])
    gradient = text.encoder.base.weight.grad
    assert gradient is not None
    touched = torch.nonzero(gradient.abs().sum(1))[:, 0]
    assert set(touched.tolist()) == set(used[used > 0].tolist()), "tokens of the targets, and of no other text"
    assert all(weight.grad is not None and weight.grad.any() for name, weight in text.named_parameters())
    assert not text.bank.requires_grad


def test_a_step_writes_what_it_encoded_to_the_bank() -> None:
    ranker = begun()
    text = reader(ranker)
    text.bank.zero_()
    ranker.train()
    rows = batch(4)
    ranker.loss(rows)
    written = set(torch.nonzero(text.bank.abs().sum(1))[:, 0].tolist())
    content = text.content_of_row[rows["text_row"].long()]
    with_text = {c for c in content.tolist() if text.tokens[c, 0].any()}
    assert written == with_text


def text_batch(n: int, seed: int) -> dict[str, torch.Tensor]:
    """Clicked where the target's text has token 1: nothing else tells it."""
    rows = batch(n, seed)
    content = of(TEXTS.content_of_row)[rows["text_row"].long()].long()
    has = (of(TEXTS.of.tokens)[content, 0] == 1).any(1)
    return rows | {"label_click": has.float(), "item_events": torch.zeros(n, dtype=torch.int32)}


@pytest.mark.parametrize("shape", [MEAN_SHAPE, TEXT_SHAPE])
def test_words_are_learned_where_items_are_unknown(shape: RankerShape) -> None:
    """Every target is read as the unknown item, with random codes."""
    found = {}
    for name, use in (("with", [*shape.use]), ("without", [part for part in shape.use if part != "text"])):
        given = replace(shape, use=[part for part in use if part not in ("neighbours", "codes")])
        ranker = begun(given) if name == "with" else Ranker(given)

        def epochs(number: int) -> Iterator[dict[str, torch.Tensor]]:
            return iter([text_batch(256, place) for place in range(25)])

        record = train_ranker(
            ranker, epochs, lambda: [text_batch(500, 999)], 25,
            parameters=replace(PARAMETERS, max_epochs=2), name="test",
        )  # fmt: skip
        found[name] = record.best
    assert found["with"] > 0.95
    assert found["without"] < 0.6


def test_a_killed_training_goes_on_to_the_same_weights_and_bank(tmp_path: Path) -> None:
    shape = replace(TEXT_SHAPE, dropout=0.2, text=replace(TEXT, dropout=0.3))

    def epochs(number: int) -> Iterator[dict[str, torch.Tensor]]:
        return iter([batch(48, seed=number * 30 + place) for place in range(5)])

    def train(ranker: Ranker, stop: int | None, checkpoints: Checkpoints) -> None:
        count = 0

        def until(number: int) -> Iterator[dict[str, torch.Tensor]]:
            nonlocal count
            for rows in epochs(number):
                count += 1
                if stop is not None and count > stop:
                    raise KeyboardInterrupt
                yield rows

        train_ranker(
            ranker, until, lambda: [batch(100, seed=98)], 5, parameters=PARAMETERS, name="t", checkpoints=checkpoints
        )

    whole = begun(shape)
    train(whole, None, Checkpoints(tmp_path / "whole.safetensors"))
    killed = Checkpoints(tmp_path / "killed.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(begun(shape), 9, killed)
    resumed = begun(shape)
    train(resumed, None, killed)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_saved_ranker_scores_without_tokens_and_maps_its_bank(tmp_path: Path) -> None:
    ranker, rows = begun().eval(), batch()
    save_ranker(ranker, tmp_path, "qarm")
    assert {f"qarm.{array}.npy" for array in BANK} <= {path.name for path in tmp_path.iterdir()}
    loaded = load_ranker(tmp_path, "qarm")
    assert loaded.shape == TEXT_SHAPE
    torch.testing.assert_close(loaded(rows), ranker(rows), rtol=0, atol=0)
    assert not len(reader(loaded).tokens)
    np.load(tmp_path / "qarm.bank.npy", mmap_mode="r+")[:] += 1
    torch.testing.assert_close(reader(loaded).bank, reader(ranker).bank + 1, msg="the file is the memory")


def test_new_tokens_come_after_those_that_were_learned() -> None:
    last = begun()
    for weight in last.parameters():
        torch.nn.init.normal_(weight)
    vectors = np.concatenate([TEXTS.of.vectors, np.ones((2, TEXTS.of.vectors.shape[1]), np.float32)])
    tokens = np.concatenate([TEXTS.of.tokens, TEXTS.of.tokens[1:2]])
    tokens[-1, 0, 0] = len(vectors) - 1
    grown = replace(TEXTS, of=ItemTokens(tokens, vectors, domains=9, fields=5))
    shape = replace(TEXT_SHAPE, texts=grown.sizes)
    assert differences(shape, last.shape) == [], "sizes of tables may differ"
    for same in (True, False):
        ranker = begun(shape, grown)
        first = {name: value.clone() for name, value in ranker.state_dict().items()}
        take_over(ranker, last, np.arange(20), True, same_tokens=same)
        for table in ("encoder.base", "encoder.domain", "encoder.field", "match.recent"):
            name = f"text.{table}.weight"
            old, new = last.state_dict()[name], ranker.state_dict()[name]
            expected = torch.cat([old, first[name][len(old) :]]) if same else first[name]
            torch.testing.assert_close(new, expected)
        torch.testing.assert_close(reader(ranker).to_item.weight, reader(last).to_item.weight)


def test_values_of_fields_are_told_apart_by_all_of_their_tokens_in_order() -> None:
    tokens = np.zeros((6, 3, 4), np.int32)
    tokens[1, 0], tokens[1, 2] = [1, 2, 3, 0], [1, 1, 2, 0]
    tokens[2, 0], tokens[2, 2] = [2, 1, 3, 0], [1, 1, 2, 0]
    tokens[3, 0], tokens[3, 2] = [3, 1, 2, 0], [2, 3, 3, 0]
    tokens[4, 0], tokens[4, 2] = [1, 2, 3, 3], [1, 1, 2, 2]
    values = field_values(ItemTokens(tokens, np.zeros((4, 2), np.float32), domains=1, fields=4))
    assert values.shape == (6, 4)
    assert values[1, 1] == values[4, 1] != values[2, 1]
    assert values[1, 2] == values[2, 2] == values[3, 2] != values[4, 2]
    assert (values > 0).tolist() == [
        [False] * 4, [False, True, True, False], [False, True, True, False], [False, False, True, True],
        [False, True, True, False], [False] * 4,
    ]  # fmt: skip


def test_matches_are_shares_of_the_events_that_there_are() -> None:
    text = reader(begun())
    target, events = torch.tensor([[0, 5, 7, 0]]), torch.tensor([[[0, 5, 6, 0], [0, 5, 7, 0], [0, 5, 7, 9]]])
    there = torch.tensor([[True, True, False]])
    weight = text.match["found"].weight
    expected = weight[1] + 0.5 * weight[2]
    torch.testing.assert_close(text.matched("found", target, events, there)[0], expected)
    assert not text.matched("found", target, events, there & False).any()


def test_items_that_share_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ranker\.use\.text: items share rows .* set examples\.item_ids=vocabulary"):
        item_texts(TEXTS.of, np.array([1, 2], np.int32), np.array([3, 3], np.int32), 5)
    with pytest.raises(ValueError, match="there are no item texts; run write_anchors and tokenize_anchors"):
        replace(TEXT_SHAPE, texts=())
    with pytest.raises(ValueError, match=r"ranker\.text\.dim: 8 is no multiple"):
        TextShape(**(asdict(TEXT) | {"heads": 3}))


def test_texts_are_found_by_row_and_by_item(tmp_path: Path) -> None:
    TEXTS.save(tmp_path)
    loaded = ItemTexts.load(tmp_path)
    text = reader(begun(texts=loaded)).eval()
    for row in range(1, 20):
        index = int(loaded.index_of_row[row])
        by_row = text.of_rows(torch.tensor([row]))
        if index > 1:
            torch.testing.assert_close(text.of_items(torch.tensor([[index]]))[0], by_row)
    assert not text.of_items(torch.tensor([0, 1])).any(), "padding and the unknown item have no text"
