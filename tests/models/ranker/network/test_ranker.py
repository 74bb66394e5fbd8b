from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.ranker.network.attention import TargetAttention
from models.ranker.network.crosses import shared_levels
from models.ranker.network.experts import Heads, Kind
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import load_ranker, save_ranker
from models.ranker.network.tasks import log_probabilities
from models.ranker.training.process import beginning
from models.world import World
from schemas.feature import Reads
from schemas.features import COUNTED, FEATURES, SWITCHES
from tests.ranker_batches import SHAPE, TEXT_SHAPE, TEXTS, batch, without


def pad(columns: dict[str, torch.Tensor], extra: int) -> dict[str, torch.Tensor]:
    histories = ("recent_", "found_")
    return {k: torch.nn.functional.pad(v, (0, extra)) if k.startswith(histories) else v for k, v in columns.items()}


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    ranker = Ranker(SHAPE).eval()
    torch.nn.init.ones_(ranker.attention["found"].mix)
    torch.testing.assert_close(ranker(pad(batch(), 3)), ranker(batch()))


def test_events_do_change_the_score() -> None:
    torch.manual_seed(0)
    ranker = Ranker(SHAPE).eval()
    other = batch() | {"found_sid_1": batch()["found_sid_1"].flip(0)}
    assert not torch.allclose(ranker(other), ranker(batch()))


def test_empty_histories_give_finite_scores_and_gradients() -> None:
    ranker = Ranker(SHAPE)
    empty = {k: torch.zeros_like(v) if v.ndim == 2 else v for k, v in batch().items()}
    loss = ranker.loss(empty)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in ranker.parameters())


def test_attention_is_softmax_over_real_events_and_the_empty_one() -> None:
    torch.manual_seed(1)
    attention = TargetAttention(4, 1, mixes=True)
    target, events = torch.randn(1, 4), torch.randn(1, 3, 4)
    there, scores = torch.tensor([[True, True, False]]), torch.tensor([[0.5, -0.5, 9.0]])
    attention.mix = torch.nn.Parameter(torch.tensor([[2.0], [3.0]]))
    table, rows_of = torch.randn(5, 4), torch.tensor([[3, 1, 4]])
    rows = torch.cat([attention.nothing, events[0, :2] + table[[3, 1]]])
    key, value = attention.key(rows), attention.value(rows)
    plain, similarity = attention.query(target) @ key.T / 2, torch.tensor([0.0, 0.5, -0.5])
    logits = plain + 2 * similarity + 3 * similarity * plain
    expected = attention.output(logits.softmax(-1) @ value)
    torch.testing.assert_close(attention(target, events, there, scores, marks=[(table, rows_of)]), expected)


def test_attention_equals_torchs_own_of_several_heads() -> None:
    torch.manual_seed(2)
    ours, theirs = TargetAttention(8, 2, mixes=False), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    parts = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data = torch.cat([part.weight for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias for part in parts])
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    target, events, there = torch.randn(5, 8), torch.randn(5, 3, 8), torch.rand(5, 3) < 0.7
    rows = torch.cat([ours.nothing.expand(5, 1, 8), events], 1)
    padding = torch.nn.functional.pad(~there, (1, 0), value=False)
    expected, _ = theirs(target[:, None], rows, rows, key_padding_mask=padding)
    torch.testing.assert_close(ours(target, events, there, None), expected[:, 0])


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"ranker\.heads: 3 does not divide the width of 32"):
        Ranker(replace(SHAPE, heads=3))


def test_checkpoint_gives_the_same_scores(tmp_path: Path) -> None:
    ranker = Ranker(SHAPE).eval()
    save_ranker(ranker, tmp_path, "qarm")
    torch.testing.assert_close(load_ranker(tmp_path, "qarm")(batch()), ranker(batch()))


def test_a_ranker_reads_what_its_switches_say_and_no_more() -> None:
    din = replace(SHAPE, histories=["recent"], use=["counts"])
    read = {feature.name for feature in FEATURES if feature.switch in (None, "counts")}
    assert {name for name in din.columns if not name.startswith(("recent", "label"))} == read
    assert not [name for name in din.columns if "sid" in name or name.startswith("found")]
    assert Ranker(din)({name: batch()[name] for name in din.columns}).shape == (64, 1)
    assert "item_events" in replace(SHAPE, use=[]).columns, "whether the item is known is read always"


def test_crosses_need_codes_and_what_is_no_switch_is_refused() -> None:
    assert not [name for name in replace(SHAPE, use=without("codes")).columns if name.startswith(("shared", "sid"))]
    with pytest.raises(ValueError, match=r"ranker\.use\.taist: there is no such switch"):
        replace(SHAPE, use=["taist"])


@pytest.mark.parametrize("switch", [switch.name for switch in SWITCHES])
def test_every_switch_changes_what_is_read_or_computed(switch: str) -> None:
    """A switch that does nothing would leave the parameters as they are."""
    on, off = TEXT_SHAPE if switch == "text" else SHAPE, replace(SHAPE, use=without(switch))
    assert sum(p.numel() for p in Ranker(off).parameters()) < sum(p.numel() for p in Ranker(on).parameters())
    assert Ranker(off)({name: batch()[name] for name in off.columns}).shape == (64, 1)


def test_crosses_count_leading_codes_alone() -> None:
    target = [torch.tensor([3]), torch.tensor([4]), torch.tensor([5])]
    events = [torch.tensor([row]) for row in ([3, 3, 3, 9, 0], [4, 4, 9, 4, 0], [5, 9, 5, 5, 0])]
    shared = shared_levels(target, events)
    assert shared.tolist() == [[3, 2, 1, 0, 0]]
    none = [torch.zeros(1, dtype=torch.int64)] * 3
    assert not shared_levels(none, [torch.zeros((1, 2), dtype=torch.int64)] * 3).any()


@pytest.mark.parametrize("mixture", ["shared", "mmoe", "ple"])
def test_heads_give_every_task_its_own_gradient(mixture: Kind) -> None:
    torch.manual_seed(0)
    heads = Heads(6, [8, 4], 2, mixture, experts=3, dropout=0.0)
    features = torch.randn(5, 6)
    logits = heads(features)
    assert logits.shape == (5, 2)
    logits[:, 0].sum().backward()
    touched = {name for name, p in heads.named_parameters() if p.grad is not None and p.grad.any()}
    assert not [name for name in touched if name.startswith(("towers.1", "own.3", "own.4", "own.5", "gates.1"))]
    assert len([name for name in touched if name.startswith("shared")]) == 2 * (1 if mixture == "shared" else 3)
    assert bool([name for name in touched if name.startswith("own.0")]) == (mixture == "ple")


def test_a_task_that_follows_multiplies_and_its_loss_reaches_both() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [40.0, 40.0, -40.0]], requires_grad=True)
    tasks, follows = ["order", "click", "pay"], {"order": "click", "pay": "order"}
    yes, no = log_probabilities(logits, tasks, follows)
    p = torch.sigmoid(logits[0])
    torch.testing.assert_close(yes[0].exp(), torch.stack([p[0] * p[1], p[1], p[0] * p[1] * p[2]]))
    torch.testing.assert_close(no[0].exp(), 1 - yes[0].exp())
    assert torch.isfinite(no).all()
    (gradient,) = torch.autograd.grad(no[:, 0].sum(), logits)
    assert (gradient[:, :2] != 0).all()
    assert (gradient[:, 2] == 0).all()


def test_a_target_that_few_took_by_then_is_the_unknown_item() -> None:
    ranker = Ranker(replace(SHAPE, id_events=3)).eval()
    rows = batch(8)
    few, unknown = ({**rows, "item_events": torch.full((8,), events)} for events in (2, 2))
    unknown["item_index"] = torch.ones(8, dtype=rows["item_index"].dtype)
    assert torch.equal(ranker(few), ranker(unknown))
    known = {**rows, "item_events": torch.full((8,), 3)}
    assert not torch.equal(ranker(known), ranker({**known, "item_index": unknown["item_index"]}))
    anyone = Ranker(replace(SHAPE, id_events=0)).eval()
    assert not torch.equal(anyone(few), anyone(unknown))


@pytest.mark.parametrize("column", [feature.name for feature in FEATURES])
def test_every_feature_reaches_the_head(column: str) -> None:
    torch.manual_seed(0)
    columns, ranker = batch(), beginning(TEXT_SHAPE, TEXTS, None).eval()
    assert ranker.text is not None
    torch.nn.init.normal_(ranker.text.encoder.base.weight)
    ranker.fill_bank()
    ranker.measure_numbers([columns], World())
    moved = {**columns, column: columns[column].roll(1, 0)}
    with torch.inference_mode():
        assert (ranker(columns) - ranker(moved)).abs().max() > 1e-4


def test_the_head_reads_numbers_in_the_declared_order_and_scaled_as_declared() -> None:
    columns, ranker = batch(), Ranker(SHAPE)
    numbers, at = ranker.numeric_inputs(columns), 0
    for feature in FEATURES:
        if feature.numbers:
            values = columns[feature.name].float().reshape(64, -1)
            found = numbers[:, at : at + values.shape[1]]
            torch.testing.assert_close(found, values.log1p() if feature.reads is Reads.LOG1P else values)
            at += feature.numbers
    assert at == numbers.shape[1]
    assert len(COUNTED) > 3


def test_the_head_knows_whether_behaviour_is_there() -> None:
    columns, ranker = batch(), Ranker(replace(SHAPE, use=["behaviour"]))
    nothing = {**columns, "behaviour": torch.zeros_like(columns["behaviour"])}
    assert (ranker.numeric_inputs(columns)[:, -1] == 1).all()
    assert (ranker.numeric_inputs(nothing)[:, -1] == 0).all()


def test_training_corrects_for_sampling_and_scores_do_not() -> None:
    made = replace(SHAPE, tasks=["click", "buy"], follows={"buy": "click"}, log_q=True)
    corrected = beginning(made, None, None)
    plain = Ranker(replace(made, log_q=False))
    plain.load_state_dict(corrected.state_dict())
    rows = batch(8)
    rows["label_buy"] = rows["label_click"] * (torch.arange(8) % 2)
    assert set(corrected.shape.columns) - set(plain.shape.columns) == {"log_q"}
    torch.testing.assert_close(corrected.loss({**rows, "log_q": torch.zeros(8)}), plain.loss(rows))
    log_q = torch.linspace(-9, 1, 8)
    logits = plain(rows) - torch.stack([log_q, torch.zeros(8)], dim=1)
    yes, no = log_probabilities(logits, made.tasks, made.follows)
    labels = plain.labels(rows)
    expected = -(labels * yes + (1 - labels) * no).mean()
    torch.testing.assert_close(corrected.loss({**rows, "log_q": log_q}), expected)
    torch.testing.assert_close(corrected.probabilities(rows), plain.probabilities(rows))
