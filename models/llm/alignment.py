"""Alignment training (QARM V2): a contrastive loss over item pairs plus a next-token loss on answers.

The answer's tokens can read an item only through its embedding.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from models.llm.alignment_batch import JOINT, AlignmentBatch, collate
from models.llm.batches import by_length
from models.llm.contrastive import contrastive_loss, gradients_of
from models.llm.item_encoder import ItemEncoder
from models.llm.segments import view_at
from models.progress import Progress
from models.training_state import Checkpoints
from models.world import World
from schemas.language_model_sections import AlignSettings

SMALLEST_TEMPERATURE = 0.01
LARGEST_GRADIENT = 1.0
TEMPERATURE_RATE = 100
"""The temperature's learning rate, as a multiple of ``align.learning_rate``."""


@dataclass
class AlignmentRecord:
    """Losses and timing of an alignment training.

    Attributes:
        contrastive: contrastive loss of every step.
        answers: loss per answer token of every step; NaN for a step without answer tokens.
        temperature: temperature after the last step.
        seconds: wall time of this process.
        resumed_at: step of the checkpoint that the training resumed from; 0 without one.
    """

    contrastive: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    temperature: float = float("nan")
    seconds: float = 0.0
    resumed_at: int = 0


def align(
    encoder: ItemEncoder,
    epochs: Callable[[int], Iterable[dict[str, torch.Tensor]]],
    settings: AlignSettings,
    *,
    checkpoints: Checkpoints | None = None,
    world: World | None = None,
) -> AlignmentRecord:
    """Trains an item encoder in place.

    Memory: weights, their gradients and AdamW's two moments; the activations of ``chunk_tokens`` and of
    ``graph_tokens`` tokens; a batch's vectors and the logits between them. On a processor the same seed and data
    give the same weights, even if the run is killed and resumes from its checkpoint.

    Args:
        encoder: the encoder to train.
        epochs: returns the rows of the epoch with the given number, see :func:`models.llm.alignment_batch.collate`.
        settings: the ``[align]`` section; ``chunk_tokens`` and ``graph_tokens`` bound memory for any batch size.
        checkpoints: file to resume from and to save to; None for no checkpoints.
        world: the processes that share a batch; None for this process alone.

    Returns:
        The losses of every step.

    Raises:
        FloatingPointError: a loss or gradient is NaN or infinite; the last checkpoint is kept.
    """
    training = _Training(encoder, settings, world or World())
    record, started = AlignmentRecord(), time.monotonic()
    if checkpoints is not None and (state := checkpoints.load()) is not None:
        training.restore(state)
        record.resumed_at = training.step
        record.contrastive, record.answers = list(state["contrastive"]), list(state["answers"])
    rows = itertools.islice(_endless(epochs), training.step, None)
    shown = training.world.rank == 0
    progress = Progress("align", settings.steps, training.step, told=shown)
    while training.step < settings.steps:
        contrastive, answers = training.train(next(rows))
        record.contrastive.append(contrastive)
        record.answers.append(answers)
        progress.advance()
        due = training.step % settings.checkpoint_steps == 0 and training.step < settings.steps
        if due and checkpoints is not None and shown:
            losses = {"contrastive": record.contrastive, "answers": record.answers}
            checkpoints.save(training.state() | losses)
    record.temperature = training.log_temperature.exp().item()
    record.seconds = time.monotonic() - started
    return record


class _Training:
    """An encoder in training: its optimiser, learning-rate schedule and current step."""

    def __init__(self, encoder: ItemEncoder, settings: AlignSettings, world: World) -> None:
        p = settings
        self.encoder, self.settings, self.world, self.step = encoder, p, world, 0
        self.log_temperature = nn.Parameter(torch.tensor(math.log(p.temperature)))
        self.weights = encoder.trained()
        groups = [
            {"params": list(self.weights.values()), "lr": p.learning_rate, "weight_decay": p.weight_decay},
            {"params": [self.log_temperature], "lr": TEMPERATURE_RATE * p.learning_rate, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups)
        self.schedule = get_cosine_schedule_with_warmup(self.optimiser, int(p.warmup_share * p.steps), p.steps)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for a checkpoint."""
        return {
            "step": self.step,
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "log_temperature": self.log_temperature.detach(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Loads a state that :meth:`state` returned."""
        self.step = state["step"]
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        self.log_temperature.copy_(state["log_temperature"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

    def train(self, rows: dict[str, torch.Tensor]) -> tuple[float, float]:
        """Takes one training step on this process's rows.

        Returns:
            The contrastive loss over the rows of all processes, and the loss per answer token.
        """
        p = self.settings
        joint = self.world.gather_rows({name: rows[name] for name in JOINT})
        batch = collate(joint, rows, self.world.rank)
        asks = bool(p.question_weight) and self.encoder.has_head
        answer_tokens = self.world.total(batch.answer_tokens) if asks else 0
        chunks = self._chunks(batch, asks)
        vectors = torch.zeros((batch.size, self.encoder.dimension))
        kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        room = p.graph_tokens
        for number, chunk in enumerate(chunks):
            room -= sum(batch.length(i, asks) for i in chunk)
            with torch.set_grad_enabled(room >= 0):
                made = self._encode(batch, chunk, asks and room >= 0)
            vectors[batch.own[chunk]] = made[0].detach()
            if room >= 0:
                kept[number] = made
        loss, by_vector, (by_temperature,) = gradients_of(
            lambda made: contrastive_loss(made, batch.pairs, self.log_temperature, p.popularity_correction),
            self.world.sum(vectors),
            [self.log_temperature],
        )
        self._check(loss, "contrastive loss")
        self.optimiser.zero_grad()
        surprise = 0.0
        for number, chunk in enumerate(chunks):
            unit, own = kept.pop(number) if number in kept else self._encode(batch, chunk, asks)
            back = (unit * by_vector[batch.own[chunk]]).sum()
            if answer_tokens:
                back = back + p.question_weight * own / answer_tokens
                surprise += own.item()
            back.backward()
        answers = self.world.total(surprise) / answer_tokens if answer_tokens else math.nan
        if answer_tokens:
            self._check(torch.tensor(answers), "answers' loss")
        self._descend(by_temperature)
        return loss.item(), answers

    def _chunks(self, batch: AlignmentBatch, asks: bool) -> list[list[int]]:
        """Chunks of contents with similar lengths; contents with a question get chunks of their own to save padding."""
        asked = [i for i, answer in enumerate(batch.answers) if asks and answer]
        rest = sorted(set(range(len(batch.contents))) - set(asked))
        return [
            [rows[place] for place in chunk]
            for rows in (rest, asked)
            for chunk in by_length([batch.length(i, asks) for i in rows], self.settings.chunk_tokens)
        ]

    def _encode(self, batch: AlignmentBatch, chunk: Sequence[int], asks: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors of a chunk of contents, and the summed loss of their answers if questions are asked."""
        p = self.settings
        contents = [batch.contents[i] for i in chunk]
        surprise = torch.zeros(())
        with torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=p.bfloat16):
            if asks and any(batch.answers[i] for i in chunk):
                view = view_at(self.step, int(p.open_share * p.steps), int(p.closed_share * p.steps))
                questions, answers = ([side[i] for i in chunk] for side in (batch.questions, batch.answers))
                raw, surprise = self.encoder.vectors_and_surprise(contents, questions, answers, view)
            else:
                raw = self.encoder.vectors(contents)
        return nn.functional.normalize(raw.float(), dim=1).cpu(), surprise.cpu()

    def _descend(self, by_temperature: torch.Tensor) -> None:
        """Sums the gradients over processes and takes an optimiser step."""
        for weight in self.weights.values():
            if weight.grad is None:  # the sum over processes needs a gradient of every weight from each of them
                weight.grad = torch.zeros_like(weight)
            self.world.sum(weight.grad)
        self.log_temperature.grad = by_temperature
        self._check(nn.utils.clip_grad_norm_(self.weights.values(), LARGEST_GRADIENT), "gradient")
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            self.log_temperature.clamp_(min=math.log(SMALLEST_TEMPERATURE))
        self.step += 1

    def _check(self, value: torch.Tensor, what: str) -> None:
        if not torch.isfinite(value):
            raise FloatingPointError(
                f"align: the {what} of step {self.step + 1} is {value.item()}; lower align.learning_rate. The last"
                " checkpoint is kept"
            )


def _endless(epochs: Callable[[int], Iterable[dict[str, torch.Tensor]]]) -> Iterator[dict[str, torch.Tensor]]:
    for number in itertools.count():
        empty = True
        for rows in epochs(number):
            empty = False
            yield rows
        if empty:
            raise ValueError(
                "align_encoder: item_pairs holds no accepted pairs to train on; mine more pairs, or set align.steps=0"
            )
