"""The parts of qarm that compute on a GPU, each on generated data, for benchmarks.gpu; no Spark and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.device import on_device, own_device
from models.llm.alignment import align
from models.llm.encoder import EncoderParameters, load_encoder
from models.llm.item_encoder import ItemEncoder
from models.llm.likelihood import Likelihood
from models.pairs.two_tower import TowerShape, TowerTraining, train_two_tower
from models.quantize.fsq_training import fit_fsq
from models.ranker.baseline import ITS_OWN
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.network.shape import shape_of
from models.ranker.serving.inputs import Lengths, drawn, inputs_of
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from models.world import World
from schemas.parameters import take
from schemas.settings import Settings, load_settings

WORDS, TEXT_WORDS, MOST_TEXTS = 1_000, 24, 65_536
ITEMS, CODE = 20_000, 257
BATCH = 256
Values = Sequence[float]
Run = Callable[[int], Values]
"""Computes a number of rows, and returns numbers that are the same on every device but for rounding."""


@dataclass(frozen=True)
class Part:
    """A part that computes on a GPU.

    Attributes:
        name: name in the table.
        rows: what a row is.
        prepare: makes what computes rows, from a folder with a language model and whether it computes in bfloat16.
        checked: rows whose results are compared.
        timed: rows that are timed on the processor, and on a GPU.
        tolerance: largest relative difference of results in float32.
        in_bfloat16: whether it can compute in bfloat16.
    """

    name: str
    rows: str
    prepare: Callable[[Path, bool], Run]
    checked: int
    timed: tuple[int, int]
    tolerance: float
    in_bfloat16: bool = True


def write_language_model(folder: Path) -> None:
    """Writes a model of SmolLM2-135M's shape with random weights, and a tokenizer of words."""
    words = {"<pad>": 0, "<unk>": 1, **{f"w{number}": 2 + number for number in range(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<pad>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=576, intermediate_size=1_536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def texts(count: int, seed: int = 0) -> list[str]:
    """Texts of 24 random words."""
    drawn_words = np.random.default_rng(seed).integers(0, WORDS, (count, TEXT_WORDS))
    return [" ".join(f"w{word}" for word in row) for row in drawn_words]


def _settings(*more: str) -> Settings:
    tokens = 2_048 if own_device().type == "cpu" else 131_072
    return load_settings((), [f"embed.batch_tokens={tokens}", "embed.layer=12", *more])


def embedding(folder: Path, in_bfloat16: bool) -> Run:
    """Embeds texts by the first twelve layers, as embed_items does."""
    dtype = "bfloat16" if in_bfloat16 else "float32"
    settings = _settings()
    parameters = take(EncoderParameters, settings.embed, max_tokens=64, dtype=dtype)
    encoder, given = load_encoder(folder, parameters), texts(MOST_TEXTS)
    return lambda rows: _some(encoder.encode(given[:rows]))


def judging(folder: Path, in_bfloat16: bool) -> Run:
    """Likelihoods of a text after another, as the judge's."""
    tokens = 2_048 if own_device().type == "cpu" else 16_384  # each asks for logits over the vocabulary
    likelihood = Likelihood(folder, 64, tokens, "bfloat16" if in_bfloat16 else "float32")
    triggers, targets = texts(MOST_TEXTS), texts(MOST_TEXTS, seed=1)
    return lambda rows: _some(likelihood.of_continuations(triggers[:rows], targets[:rows]))


def aligning(folder: Path, in_bfloat16: bool) -> Run:
    """Trains the language model on pairs, as align_encoder does; a row is a content."""
    batch = 128

    def epochs(_: int) -> Iterator[dict[str, torch.Tensor]]:
        tokens = torch.from_numpy(np.random.default_rng(0).integers(3, WORDS, (batch, TEXT_WORDS)))
        content = torch.arange(1, 1 + batch)
        none = torch.zeros((batch, 1), dtype=torch.int64)
        while True:
            yield {
                "content": content, "known": content[:, None].roll(1, 0), "log_frequency": torch.zeros(batch),
                "tokens": tokens, "question": none, "answer": none,
            }  # fmt: skip

    def run(rows: int) -> Values:
        more = [f"steps={rows // batch}", f"batch_contents={batch}", f"bfloat16={str(in_bfloat16).lower()}"]
        settings = _settings(*(f"align.{setting}" for setting in (*more, "layers=12")))
        torch.manual_seed(0)
        encoder = ItemEncoder(folder, "float32", settings.align.layers).to(own_device())
        return align(encoder, epochs, settings.align).contrastive

    return run


def pairing(_: Path, __: bool) -> Run:
    """Trains the two-tower model that user-to-item pairs are mined by; a row is an example."""
    draw = np.random.default_rng(0)
    size = 1_024
    made = [
        {
            "item": torch.from_numpy(draw.integers(0, ITEMS, size).astype(np.int32)),
            "recent": torch.from_numpy(draw.integers(-1, ITEMS, (size, 20)).astype(np.int32)),
            "features": torch.from_numpy(draw.integers(0, 5_000, (size, 8)).astype(np.int32)),
            "log_q": torch.full((size,), -9.0),
        }
        for _ in range(8)
    ]
    shape = TowerShape(item_rows=ITEMS, feature_rows=5_000, dim=64)

    def run(rows: int) -> Values:
        training = TowerTraining(steps=rows // size, learning_rate=1e-2, temperature=0.05, seed=0)
        return train_two_tower(shape, lambda _: made, training)[1]

    return run


def quantizing(_: Path, __: bool) -> Run:
    """Fits an FSQ level; a row is a vector of a batch. The result is the error of its reconstruction."""
    vectors = np.random.default_rng(0).normal(size=(65_536, 128)).astype(np.float32)
    head = vectors[:4_096]

    def run(rows: int) -> Values:
        settings = load_settings().codebook.fsq
        steps = max(1, rows // settings.batch_size)
        given = {"levels": [2] * 9, "steps": steps}
        level = fit_fsq(vectors, settings.model_copy(update=given), seed=0)
        nothing = np.zeros_like(head)
        return [float(np.square(level.decode(level.encode(head), nothing) - head).mean())]

    return run


def ranking(_: Path, in_bfloat16: bool) -> Run:
    """Trains the ranker of the default shape; a row is an example. The result is the loss of each half."""
    batches = _examples(16)

    def run(rows: int) -> Values:
        steps = rows // BATCH
        parameters = TrainingParameters(
            learning_rate=1e-3, weight_decay=0.0, max_epochs=1, patience=1, validations_per_epoch=2,
            bfloat16=in_bfloat16,
        )  # fmt: skip
        ranker = _ranker().to(own_device())
        record = train_ranker(
            ranker, lambda _: (batches[step % len(batches)] for step in range(steps)), lambda: batches[:2], steps,
            parameters=parameters, name="gpu",
        )  # fmt: skip
        return [point["loss"] for point in record.points]

    return run


def scoring(_: Path, __: bool) -> Run:
    """Scores examples, as evaluate does; a row is an example."""
    ranker = _ranker()
    batches = _examples(16)
    ranker.measure_numbers(batches, World())
    ranker = ranker.to(own_device()).eval()

    def run(rows: int) -> Values:
        with torch.inference_mode():
            found = [
                ranker.probabilities(on_device(batches[number % len(batches)], ranker.device)).cpu().numpy()
                for number in range(rows // BATCH)
            ]
        return _some(np.concatenate(found))

    return run


def _ranker() -> Ranker:
    torch.manual_seed(0)
    settings = load_settings((), ["ranker.dropout=0"])  # every device draws other masks from a seed
    return Ranker(shape_of(settings, {"items": ITEMS, "codes": [CODE] * 3}, ITS_OWN))


def _examples(count: int) -> list[Batch]:
    """Batches of random examples."""
    settings, shape = load_settings().examples, _ranker().shape
    lengths = take(Lengths, settings, recent=settings.recent_length, found=settings.found_length)
    made = []
    for seed in range(count):
        request, asked = drawn(inputs_of(shape, lengths), BATCH, seed)
        tiled = {name: column.expand(BATCH, *column.shape[1:]).contiguous() for name, column in request.items()}
        labels = torch.rand(BATCH, generator=torch.Generator().manual_seed(seed)).round()
        made.append({**{f"label_{task}": labels for task in shape.tasks}, **tiled, **asked})
    return made


def _some(values: NDArray[Any]) -> Values:
    """The first thousand numbers."""
    return [float(value) for value in values.ravel()[:1_000]]


PARTS = (
    Part("embedding", "texts", embedding, 64, (256, 65_536), 1e-3),
    Part("judging", "pairs", judging, 32, (64, 8_192), 1e-3),
    Part("alignment", "contents", aligning, 256, (256, 2_560), 1e-2),
    Part("two towers", "examples", pairing, 8_192, (65_536, 524_288), 1e-3, in_bfloat16=False),
    Part("FSQ fit", "vectors", quantizing, 65_536, (262_144, 4_194_304), 1e-2, in_bfloat16=False),
    Part("ranker's training", "examples", ranking, 16 * BATCH, (64 * BATCH, 512 * BATCH), 1e-3),
    Part("ranker's scores", "examples", scoring, 4 * BATCH, (64 * BATCH, 1_024 * BATCH), 1e-4, in_bfloat16=False),
)
