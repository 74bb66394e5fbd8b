"""What item texts cost: seconds of training and of scoring with texts, over those of the same ranker without.

    python -m benchmarks.sarm_speed [--rounds N] [--users N] [--print]

Generated examples, users and texts; all rankers take turns in one process on one core.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks._histories import ITEMS
from benchmarks._sarm_rungs import NO_TEXT, RUNGS
from benchmarks._scored_users import Scored, generated
from benchmarks._table import write_table
from benchmarks.feed import generated as examples
from jobs.train_ranker import write_item_sums
from models.feed.feed import Feed
from models.optimiser import Optimisers
from models.ranker.baseline import RANKER
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import save_ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.arrays import ItemTexts, ItemTokens, item_texts
from models.ranker.training.process import beginning
from schemas.features import PARTS
from schemas.settings import load_settings
from udfs.score_candidates import score_candidates

MEASURED = (NO_TEXT, "mean of tokens", "encoder", "+ user's side")
CONTENTS, LENGTH, BASE, DOMAINS, FIELDS = 20_000, 24, 2_500, 6_500, 7
BATCH, STEPS = 256, 8
CANDIDATES, EVENTS = 1_000, 500


def random_texts() -> ItemTexts:
    """Texts of 10 to 24 tokens; items share contents as a catalogue's do, popular words are frequent."""
    draw = np.random.default_rng(0)
    rows = [(n * draw.random((CONTENTS, LENGTH)) ** 3).astype(np.int32) for n in (BASE - 1, DOMAINS - 1, FIELDS - 1)]
    tokens = np.stack([1 + values for values in rows], axis=1)
    tokens *= np.arange(LENGTH) < draw.integers(10, LENGTH + 1, (CONTENTS, 1, 1))
    tokens[0] = 0
    of = ItemTokens(tokens, draw.normal(size=(BASE, 128)).astype(np.float32), domains=DOMAINS, fields=FIELDS)
    content = draw.integers(1, CONTENTS, ITEMS).astype(np.int32)
    return item_texts(of, content, np.arange(2, ITEMS + 2, dtype=np.int32), ITEMS + 2)


def shapes(plain: RankerShape, texts: ItemTexts) -> dict[str, RankerShape]:
    """The measured rankers' shapes by rung."""
    with_texts = {"use": [*plain.use, "text"], "texts": texts.sizes}
    return {
        rung: plain if RUNGS[rung].shape is None else replace(plain, text=RUNGS[rung].shape, **with_texts)
        for rung in MEASURED
    }  # fmt: skip


def trainings(of: Mapping[str, RankerShape], texts: ItemTexts, folder: Path) -> dict[str, Callable[[], object]]:
    """For each rung, what takes some steps of its training on batches in memory."""
    most = of[MEASURED[-1]]
    files = examples(load_settings((), ["ranker.use.text=true"]), most, STEPS * BATCH, folder)
    batches = list(Feed(files, most.columns, batch_size=BATCH, shuffle_rows=0, seed=1, parts=PARTS).epoch(0))

    def steps(shape: RankerShape) -> Callable[[], object]:
        torch.manual_seed(0)
        ranker = beginning(shape, texts, None).train()
        optimisers = Optimisers(ranker, 1e-3, 1e-5, 1_000_000)

        def run() -> None:
            for batch in batches:
                optimisers.zero_grad()
                ranker.loss(batch).backward()
                optimisers.step()

        return run

    return {rung: steps(shape) for rung, shape in of.items()}


def scorings(
    of: Mapping[str, RankerShape], texts: ItemTexts, case: Scored, folder: Path
) -> dict[str, Callable[[], object]]:
    """For each rung, what scores the candidates of all users, with the table of items."""
    batches = pa.concat_tables(case.users).combine_chunks().to_batches()

    def scores(rung: str, shape: RankerShape) -> Callable[[], object]:
        rankers = folder / rung.replace(" ", "_").strip("+'_")
        if shape.text is None:
            shutil.copytree(case.rankers, rankers)
        else:
            rankers.mkdir()
            save_ranker(_like(case.ranker, shape, texts), rankers, RANKER)
            write_item_sums(case.index, rankers)
        run = score_candidates(str(rankers), RANKER, str(case.index), case.parameters)
        return lambda: list(run(iter(batches)))

    return {rung: scores(rung, shape) for rung, shape in of.items()}


def _like(plain: Ranker, shape: RankerShape, texts: ItemTexts) -> Ranker:
    """A ranker of random weights with the bins of another."""
    torch.manual_seed(0)
    ranker = beginning(shape, texts, None).eval()
    ranker.numbers.load_state_dict(plain.numbers.state_dict())
    ranker.fill_bank()
    return ranker


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the processor of each way over those of the first, medians over rounds after one that warms up."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 + rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if number:
                spent[name].append(time.process_time() - start)
    first = np.array(spent[next(iter(ways))])
    return {name: float(np.median(np.array(seconds) / first)) for name, seconds in spent.items()}


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    texts = random_texts()
    with tempfile.TemporaryDirectory(prefix="qarm-") as name:
        folder = Path(name)
        (folder / "plain").mkdir()
        case = generated(folder / "plain", CANDIDATES, EVENTS, options.users)
        of = shapes(case.ranker.shape, texts)
        trained = in_turns(trainings(of, texts, folder), options.rounds)
        scored = in_turns(scorings(of, texts, case, folder), options.rounds)
    rows = [[rung, f"{trained[rung]:.2f}", f"{scored[rung]:.2f}"] for rung in MEASURED]
    if options.print:
        print(*(" | ".join(row) for row in rows), sep="\n")
        return
    note = (
        f"Seconds of the processor over those of the ranker without texts, medians of {options.rounds} rounds in which"
        f" all take turns. Training: {STEPS} steps on batches of {BATCH} generated examples in memory. Scoring:"
        f" {CANDIDATES:,} candidates of each of {options.users} users with {EVENTS} events, features and search"
        f" included. {CONTENTS - 1:,} contents of 10 to {LENGTH} tokens. Targets: 1.6 and 1.05."
    )
    header = ["ranker", "training", "scoring"]
    write_table("What item texts cost", "python -m benchmarks.sarm_speed", header, rows, note=note)


if __name__ == "__main__":
    main()
