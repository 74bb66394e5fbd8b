from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.llm.alignment import align
from models.llm.alignment_batch import collate
from models.llm.contrastive import BatchPairs, contrastive_loss
from models.llm.item_encoder import ItemEncoder
from models.llm.segments import ANSWER, CONTENT, EMB, PADDING, QUESTION, attention_bias, segments, view_at
from models.training_state import Checkpoints
from models.world import World
from schemas.language_model_sections import AlignSettings
from schemas.settings import load_settings
from tests.processes import forked

CONTENTS, QUESTIONS, ANSWERS = [[11, 12, 13, 14], [21, 22]], [[31, 32], [41]], [[51, 52], [61, 62, 63]]

SETTINGS = load_settings(
    (),
    [
        f"align.{assignment}"
        for assignment in (
            "steps=6", "learning_rate=1e-3", "warmup_share=0.2", "weight_decay=0.01", "temperature=0.1",
            "popularity_correction=0.5", "question_weight=0.5", "open_share=0.2", "closed_share=0.8", "chunk_tokens=64",
            "graph_tokens=10_000", "bfloat16=false", "checkpoint_steps=2",
        )
    ],
).align  # fmt: skip


def changed(**values: object) -> AlignSettings:
    return SETTINGS.model_copy(update=values)


def test_who_sees_whom() -> None:
    batch = segments(CONTENTS, QUESTIONS, ANSWERS)
    assert batch.kinds[0].tolist() == [CONTENT] * 4 + [EMB] * 3 + [QUESTION] * 2 + [ANSWER] * 2
    assert batch.kinds[1].tolist() == [CONTENT] * 2 + [PADDING] * 2 + [EMB] * 3 + [QUESTION] + [ANSWER] * 3
    assert batch.positions[1].tolist() == [0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    for view in (0.0, 0.25, 1.0):
        bias = attention_bias(batch.kinds, view, torch.float32)[:, 0]
        for row, i, j in itertools.product(range(2), range(11), range(11)):
            query, key = batch.kinds[row, i], batch.kinds[row, j]
            if i == j:
                expected = 0.0
            elif j > i or key == PADDING:
                expected = -np.inf
            elif query in (QUESTION, ANSWER) and key == CONTENT:
                expected = np.log(view) if view else -np.inf
            else:
                expected = 0.0
            found = float(bias[row, i, j])
            assert found == pytest.approx(expected) or (expected == -np.inf and found < -1e30), (row, i, j, view)


def test_the_view_closes_evenly() -> None:
    views = [view_at(step, 2, 6) for step in range(8)]
    assert views == [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert view_at(0, 0, 0) == 0.0


def logits_of(
    encoder: ItemEncoder, contents: list[list[int]], view: float, frozen: torch.Tensor | None
) -> torch.Tensor:
    """Logits of questions and answers; with ``frozen``, the ``<EMB>`` states before every layer are those given."""
    batch = segments(contents, QUESTIONS, ANSWERS)
    own = batch.kinds == EMB
    states: list[torch.Tensor] = []
    handles = []
    for number, layer in enumerate(encoder.model.model.layers):

        def fix(_: object, arguments: tuple, named: dict, number: int = number) -> tuple:
            hidden = named.get("hidden_states", arguments[0] if arguments else None)
            if frozen is not None:
                hidden = hidden.clone()
                hidden[own] = frozen[number]
            states.append(hidden[own].detach())
            return (hidden, *arguments[1:]), named

        handles.append(layer.register_forward_pre_hook(fix, with_kwargs=True))
    with torch.no_grad():
        logits = encoder.model.lm_head(encoder.states(batch, view))
    for handle in handles:
        handle.remove()
    logits_of.states = torch.stack(states)  # type: ignore[attr-defined]
    return logits[batch.kinds >= QUESTION]


def test_answers_see_the_content_through_the_embedding_alone(tiny: Path) -> None:
    encoder = ItemEncoder(tiny, "float32")
    others = [[11, 99, 13, 14], [21, 98]]
    before = logits_of(encoder, CONTENTS, 0.0, None)
    emb = logits_of.states  # type: ignore[attr-defined]
    changed = logits_of(encoder, others, 0.0, None)
    assert not torch.allclose(before, changed, atol=1e-4), "through the <EMB> states it does"
    assert torch.equal(before, logits_of(encoder, CONTENTS, 0.0, emb))
    assert torch.equal(before, logits_of(encoder, others, 0.0, emb)), "these held fast, no logit moves by a bit"
    opened = logits_of(encoder, CONTENTS, 0.5, emb)
    assert not torch.allclose(opened, logits_of(encoder, others, 0.5, emb), atol=1e-4), "until it is closed it does"


def test_an_embedding_depends_on_its_content_alone(tiny: Path) -> None:
    encoder = ItemEncoder(tiny, "float32")
    with torch.no_grad():
        together, _ = encoder.vectors_and_surprise(CONTENTS, QUESTIONS, ANSWERS, 0.3)
        alone = torch.cat([encoder.vectors([content]) for content in CONTENTS])
        other, _ = encoder.vectors_and_surprise(CONTENTS, [[71], []], [[81], []], 0.3)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, other)


def test_only_answer_tokens_are_asked_for(tiny: Path) -> None:
    encoder = ItemEncoder(tiny, "float32")
    with torch.no_grad():
        batch = segments(CONTENTS, QUESTIONS, ANSWERS)
        logs = encoder.model.lm_head(encoder.states(batch, 0.0)).log_softmax(-1)
        expected = -sum(
            logs[row, place - 1, batch.ids[row, place]]
            for row in range(2)
            for place in (batch.kinds[row] == ANSWER).nonzero()[:, 0]
        )
        _, surprise = encoder.vectors_and_surprise(CONTENTS, QUESTIONS, ANSWERS, 0.0)
    torch.testing.assert_close(surprise, expected)


@pytest.mark.parametrize("correction", [0.0, 0.7])
def test_contrastive_loss_by_hand(correction: float) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn((5, 4), generator=generator), dim=1)
    known = torch.zeros((5, 5), dtype=torch.bool)
    for i, j in ((0, 1), (0, 2), (3, 4)):
        known[i, j] = known[j, i] = True
    frequency = torch.tensor([0.1, 0.3, 0.2, 0.3, 0.1]).log()
    terms = []
    for i, j in known.nonzero().tolist():
        candidates = [k for k in range(5) if k == j or (k != i and not known[i, k])]
        logits = torch.stack([vectors[i] @ vectors[k] / 0.1 - correction * frequency[k] for k in candidates])
        terms.append(-logits.log_softmax(0)[candidates.index(j)])
    found = contrastive_loss(vectors, BatchPairs(known, frequency), torch.tensor(0.1).log(), correction)
    torch.testing.assert_close(found, torch.stack(terms).mean())


def rows(seed: int, n: int = 12) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    content = torch.randint(1, 9, (n,), generator=generator)  # some come twice
    tokens = torch.stack([torch.arange(6) + 10 * c for c in content.tolist()])
    tokens[content % 2 == 0, 4:] = 0
    known = torch.stack([(content % 8) + 1, torch.zeros_like(content)], 1)
    answer = tokens[:, :3].clone()
    answer[content == 3] = 0
    return {
        "content": content, "tokens": tokens, "known": known, "log_frequency": content.float().log(),
        "question": tokens[:, :2], "answer": answer,
    }  # fmt: skip


def epochs(number: int) -> Iterator[dict[str, torch.Tensor]]:
    yield from (rows(10 * number + batch) for batch in range(4))


def halves(rank: int) -> object:
    def half(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for batch in epochs(number):
            yield {name: column[6 * rank : 6 * rank + 6] for name, column in batch.items()}

    return half


def test_a_batch_holds_each_content_once_and_knows_its_pairs_both_ways() -> None:
    batch = collate(rows(0), rows(0))
    distinct = rows(0)["content"].unique().tolist()
    assert [content[0] + 1 for content in batch.contents] == [10 * c for c in distinct]
    for i, a in enumerate(distinct):
        for j, b in enumerate(distinct):
            assert batch.pairs.known[i, j] == (i != j and (b == a % 8 + 1 or a == b % 8 + 1))


def trained(folder: Path, settings: AlignSettings, **options: object) -> tuple[ItemEncoder, list[float]]:
    encoder = ItemEncoder(folder, "float32")
    record = align(encoder, epochs, settings, **options)  # type: ignore[arg-type]
    return encoder, [*record.contrastive, *record.answers]


def assert_same(one: ItemEncoder, other: ItemEncoder, exact: bool) -> None:
    for name, weight in one.trained().items():
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 2e-5}
        torch.testing.assert_close(weight, other.trained()[name], **tolerance)


def test_gradient_caching_changes_nothing(tiny: Path) -> None:
    whole, losses = trained(tiny, changed(chunk_tokens=10_000))
    cached, again = trained(tiny, changed(chunk_tokens=8, graph_tokens=20))
    np.testing.assert_allclose(losses, again, rtol=1e-4)
    assert_same(whole, cached, exact=False)
    assert losses[5] < losses[0]


def test_a_killed_training_goes_on_to_the_same_weights(tiny: Path, tmp_path: Path) -> None:
    whole, losses = trained(tiny, SETTINGS)
    checkpoints = Checkpoints(tmp_path / "state.safetensors")

    class Killed(Exception):  # noqa: N818
        pass

    def until_the_fifth(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for place, batch in enumerate(epochs(number)):
            if 4 * number + place == 4:
                raise Killed
            yield batch

    with pytest.raises(Killed):
        align(ItemEncoder(tiny, "float32"), until_the_fifth, SETTINGS, checkpoints=checkpoints)
    resumed = ItemEncoder(tiny, "float32")
    record = align(resumed, epochs, SETTINGS, checkpoints=checkpoints)
    assert record.resumed_at == 4
    assert [*record.contrastive, *record.answers] == losses
    assert_same(whole, resumed, exact=True)


def test_a_loss_that_is_no_number_stops_and_leaves_the_checkpoint(tiny: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "state.safetensors")
    encoder = ItemEncoder(tiny, "float32")

    def poisoned(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for place, batch in enumerate(epochs(number)):
            if 4 * number + place == 2:
                encoder.emb.data.fill_(torch.inf)  # type: ignore[union-attr]
            yield batch

    with pytest.raises(FloatingPointError, match=r"step 3 is .*lower align\.learning_rate"):
        align(encoder, poisoned, SETTINGS, checkpoints=checkpoints)
    state = checkpoints.load()
    assert state is not None
    assert state["step"] == 2
    assert all(torch.isfinite(weight).all() for weight in state["weights"].values())


def _one_of_two(rank: int, folder: Path, port: int, out: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    encoder = ItemEncoder(folder, "float32")
    record = align(encoder, halves(rank), SETTINGS, world=World.of_process_group())  # type: ignore[arg-type]
    if rank == 0:
        torch.save({"losses": [*record.contrastive, *record.answers], "weights": encoder.trained()}, out)
    torch.distributed.destroy_process_group()


def test_two_processes_are_one_on_the_joint_batch(tiny: Path, tmp_path: Path) -> None:
    whole, losses = trained(tiny, SETTINGS)
    context = forked()
    port = 20_000 + int.from_bytes(str(tmp_path).encode()[-8:], "big") % 20_000
    processes = [context.Process(target=_one_of_two, args=(rank, tiny, port, tmp_path / "out.pt")) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    made = torch.load(tmp_path / "out.pt", weights_only=False)
    np.testing.assert_allclose(made["losses"], losses, rtol=1e-5)
    for name, weight in whole.trained().items():
        torch.testing.assert_close(weight, made["weights"][name], rtol=1e-3, atol=2e-5)


def test_adapters_train_alone_and_are_merged_when_saved(tiny: Path, tmp_path: Path) -> None:
    encoder = ItemEncoder(tiny, "float32", layers=2, lora_rank=4)
    names = set(encoder.trained())
    assert all("lora" in name or name == "emb" for name in names)
    align(encoder, epochs, SETTINGS)
    with torch.no_grad():
        before = encoder.vectors(CONTENTS)
    encoder.save(tmp_path)
    with torch.no_grad():
        after = ItemEncoder(tmp_path, "float32").vectors(CONTENTS)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, ItemEncoder(tiny, "float32", layers=2).vectors(CONTENTS), atol=1e-3)


def test_an_encoder_without_a_head_aligns_by_pairs_alone(minilm: Path) -> None:
    encoder = ItemEncoder(minilm, "float32")
    record = align(encoder, epochs, changed(steps=3, learning_rate=1e-4))
    assert np.isnan(record.answers).all()
    assert record.contrastive[-1] < record.contrastive[0]
    with pytest.raises(ValueError, match=r"align\.layers: the model has only 6 layers, not 9"):
        ItemEncoder(minilm, "float32", layers=9)
