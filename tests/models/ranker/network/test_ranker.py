from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.ranker.examples.top_k import TIERS
from models.ranker.network.attention import TargetAttention
from models.ranker.network.crosses import shared_levels
from models.ranker.network.experts import Heads, Kind
from models.ranker.network.ranker import CODE_COUNTS, COUNTS, Ranker, RankerShape
from models.ranker.network.saved import load_ranker, save_ranker
from models.ranker.network.tasks import log_probabilities
from models.world import World

SHAPE = RankerShape(
    tasks=["click"], items=20, codes=[5, 5, 5], histories=["recent", "found"], use_codes=True, use_neighbours=True,
    use_crosses=True, use_histogram=True, use_behaviour=True, use_taste=True, use_tried=True, use_pairs=True,
    use_mix=True, use_counts=True, id_events=2, item_dim=8, sid_dim=8, hidden=[16], heads=2, dropout=0.0,
)  # fmt: skip

SWITCHES = [name for name in vars(SHAPE) if name.startswith("use_")]


def batch(n: int = 64, seed: int = 0, length: int = 4) -> dict[str, torch.Tensor]:
    """Clicked where the best found event is similar and the target has a low sid_1."""
    g = torch.Generator().manual_seed(seed)

    def draw(high: int, *size: int) -> torch.Tensor:
        return torch.randint(1, high, size, generator=g, dtype=torch.int32)

    columns = {"item_index": draw(20, n), "hour": draw(24, n), "weekday": draw(7, n), "history_length": draw(50, n)}
    columns |= {
        "taken": draw(3, n),
        "taken_gap": draw(16, n),
        **{name: draw(9, n) for name in (*COUNTS[1:], *CODE_COUNTS)},
        "shared_gap": draw(16, n),
        "similar": draw(9, n, TIERS),
        "neighbour_item": draw(20, n, 5),
        "similarity": torch.rand(n, 8, generator=g),
        "behaviour": torch.rand(n, 8, generator=g),
        "taste": torch.rand(n, 4, generator=g) - 0.5,
        "tried": draw(9, n, 8),
        "paired": torch.rand(n, 6, generator=g),
    }
    columns |= {f"shared_{i}": draw(3, n) for i in (1, 2, 3)}
    columns |= {f"sid_{i}": draw(5, n) for i in (1, 2, 3)}
    for kind in ("recent", "found"):
        columns |= {f"{kind}_item": draw(20, n, length), f"{kind}_gap": draw(16, n, length)}
        columns |= {f"{kind}_action": draw(3, n, length) - 1, f"{kind}_position": draw(16, n, length)}
        columns |= {f"{kind}_sid_{i}": draw(5, n, length) for i in (1, 2, 3)}
    columns["found_score"] = torch.rand(n, length, generator=g) * 2 - 1
    columns["label_click"] = ((columns["found_score"].amax(1) > 0.3) & (columns["sid_1"] < 3)).float()
    return columns


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
    torch.testing.assert_close(attention(target, events, there, scores, [(table, rows_of)]), expected)


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


def test_the_baseline_reads_no_codes_and_no_found_history() -> None:
    din = replace(
        SHAPE,
        histories=["recent"],
        use_codes=False,
        use_neighbours=False,
        use_histogram=False,
        use_pairs=False,
        use_behaviour=False,
        use_taste=False,
        use_tried=False,
    )
    assert not [
        name
        for name in din.columns
        if name.startswith(("sid", "found", "shared", "similar", "neighbour", "paired", "behaviour", "taste", "tried"))
    ]
    columns = {name: batch()[name] for name in din.columns}
    assert Ranker(din)(columns).shape == (64, 1)


@pytest.mark.parametrize(
    "switch",
    [
        "use_codes",
        "use_neighbours",
        "use_crosses",
        "use_histogram",
        "use_behaviour",
        "use_taste",
        "use_tried",
        "use_pairs",
        "use_mix",
        "use_counts",
    ],
)
def test_every_switch_changes_what_is_read_or_computed(switch: str) -> None:
    """A switch that does nothing would leave the parameters as they are."""
    off = replace(SHAPE, **{switch: False})
    assert sum(p.numel() for p in Ranker(off).parameters()) < sum(p.numel() for p in Ranker(SHAPE).parameters())
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
    heads = Heads(6, [8, 4], 2, mixture, 3, 0.0)
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


@pytest.mark.parametrize(
    "column",
    [*COUNTS, *CODE_COUNTS, "shared_1", "similar", "similarity", "behaviour", "taste", "tried", "paired"],
)
def test_every_number_reaches_the_head(column: str) -> None:
    columns, ranker = batch(), Ranker(SHAPE).eval()
    ranker.measure_numbers([columns], World())
    moved = {**columns, column: columns[column].roll(1, 0)}
    with torch.inference_mode():
        assert (ranker(columns) - ranker(moved)).abs().max() > 1e-4
