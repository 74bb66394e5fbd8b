"""Training speed of QARM V2's ranker, compared with SIM, which searches the history inside the model.

python -m benchmarks.ranker_speed
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks._table import write_table
from benchmarks.feed import CODES, ITEMS, generated
from jobs.train_ranker import MODELS
from models.feed.feed import Feed
from models.ranker.baselines import TRAINED
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.network.shape import RankerShape, shape_of
from models.ranker.training.training import train_ranker
from models.training_loop import TrainingParameters
from schemas.features import PARTS
from schemas.settings import load_settings

BATCH, STEPS, TURNS = 256, 24, 5
HISTORIES = (250, 500, 1000)
SOFT: dict[str, object] = TRAINED["sim_soft"].fixed()


def held(fixed: dict[str, object], found_length: int, folder: Path) -> tuple[RankerShape, list[Batch]]:
    """A ranker's shape, and generated batches for it in memory.

    Args:
        fixed: fields of the shape that do not come from the settings.
        found_length: number of events in the found history, or in the history that the ranker searches itself.
        folder: folder that is created for the files.
    """
    folder.mkdir()
    settings = load_settings((), [f"examples.found_length={found_length}"])
    shape = shape_of(settings, {"items": ITEMS, "codes": [CODES] * 3}, fixed)
    files = generated(settings, shape, STEPS * BATCH, folder)
    feed = Feed(files, shape.columns, batch_size=BATCH, shuffle_rows=0, seed=1, parts=PARTS)
    return shape, list(feed.epoch(0))


def speed(shape: RankerShape, batches: Sequence[Batch]) -> float:
    """Examples per second of a training on batches in memory, with a validation on one batch at the end."""
    torch.manual_seed(0)
    parameters = TrainingParameters(
        learning_rate=1e-3, weight_decay=1e-5, max_epochs=1, patience=1, validations_per_epoch=1
    )
    record = train_ranker(
        Ranker(shape), lambda _: iter(batches), lambda: batches[:1], STEPS, parameters=parameters, name="speed"
    )
    return STEPS * BATCH / record.seconds


def main() -> None:
    """Trains the models in turns, so that other load affects all alike, and writes the table."""
    settings = load_settings().examples
    k = settings.found_length
    with tempfile.TemporaryDirectory() as folder:
        made = {0: held(MODELS["qarm"], k, Path(folder) / "qarm")}
        made |= {length: held(SOFT, length, Path(folder) / f"soft-{length}") for length in HISTORIES}
    turns = [{length: speed(*one) for length, one in made.items()} for _ in range(TURNS)]
    rows = [["QARM V2", "any", str(k), f"{median(turn[0] for turn in turns):,.0f}", ""]]
    for length in HISTORIES:
        ratio = median(turn[0] / turn[length] for turn in turns)
        rows.append(
            ["SIM soft", f"{length:,}", str(k), f"{median(turn[length] for turn in turns):,.0f}", f"{ratio:.2f}"]
        )
    note = (
        f"Training on batches of {BATCH} generated examples in memory; median of {TURNS} turns. In each turn every"
        f" model is trained for {STEPS} steps. Both models read {settings.recent_length} recent events, and their"
        f" attention reads {k} events of the long history: for QARM V2 the events that build_examples found, in a"
        " history of any length; for SIM the events that its own search selects. Tables, head and attention have equal"
        " sizes; QARM V2 also reads codes, crosses and its other features. Target: twice SIM's examples per second."
    )
    header = ["model", "history searched in training", "events attended", "examples a second", "QARM V2 / this"]
    write_table("Ranker's training speed", "python -m benchmarks.ranker_speed", header, rows, note=note)


if __name__ == "__main__":
    main()
