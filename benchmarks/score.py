"""Scoring many candidates of one user: as `score` does, as it did before, and as separate examples of the ranker.

    python -m benchmarks.score
    python -m benchmarks.score --warehouse warehouse    # also Complete Journey, from the warehouse of make demo

All ways start from a user's events and candidates as Arrow rows, as an executor receives them from Spark, and return
scores as Arrow rows. The generated ranker has the default shape and random weights; histories and items are generated.
Times are CPU times on one core, as in a Spark task. The ways take turns, and the medians are reported.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch

from benchmarks import _events_by_index
from benchmarks._scored_users import Scored, complete_journey, generated
from benchmarks._table import write_table
from models.ranker.baseline import RANKER
from models.ranker.examples.columns import target_columns
from models.ranker.examples.histories import histories_of
from models.ranker.examples.targets import Targets, UserEvents
from schemas.features import COUNTED
from udfs.examples import SplitPlan, load_search_index, to_arrow
from udfs.score_candidates import score_candidates
from udfs.scoring import score

COMMAND = "python -m benchmarks.score"
CASES = ((100, 300), (1_000, 300), (1_000, 3_000))
"""Pairs of a number of candidates and a number of events of a generated user."""
BATCH = 2_048
"""Rows in a batch that ``evaluate`` scores with the default settings."""
EQUAL = 1e-6
"""Scores that differ by less may change places."""
Way = Callable[[], pa.Table]


def ways_of(case: Scored) -> dict[str, Way]:
    """The ways to score, by name."""
    run = score_candidates(str(case.rankers), RANKER, str(case.index), case.parameters)
    batches = [batch for user in case.users for batch in user.to_batches()]
    ranker = SimpleNamespace(ranker=case.ranker)

    def before() -> pa.Table:
        with patch.multiple(
            "udfs.score_candidates",
            load_scorer=lambda *_: ranker,
            score_user=lambda scorer, *of: _events_by_index.score_user(scorer.ranker, *of),
        ):
            return pa.Table.from_batches(run(iter(batches)))

    return {
        "now": lambda: pa.Table.from_batches(run(iter(batches))),
        "before": before,
        "examples": lambda: as_examples(case),
    }


def as_examples(case: Scored) -> pa.Table:
    """Builds an example for every candidate like ``build_examples``, and scores the examples like ``evaluate``."""
    index, plan = load_search_index(case.index), SplitPlan(None, 2**60, 2**60, (1.0, 1.0, 1.0))
    tasks = list(case.ranker.shape.tasks)
    made = []
    for rows in case.users:
        is_event = rows["item_id"].is_null()
        past, asked = rows.filter(is_event), rows.filter(pa.compute.invert(is_event))
        none = np.zeros(past.num_rows, bool), np.zeros(past.num_rows, np.uint64)
        events = UserEvents(past["item_row"].to_numpy(), past["time"].to_numpy(), ~none[0][:, None], *none)
        n = asked.num_rows
        targets = Targets(
            asked["item_row"].to_numpy(), asked["time"].to_numpy(), np.zeros((n, 1), bool), np.zeros(n, np.uint64)
        )
        histories = histories_of(events, targets, index, case.parameters)
        batch = to_arrow([(rows["user_id"][0].as_py(), targets, histories)], plan, tasks=tasks)
        table = pa.Table.from_batches([batch])
        for name in COUNTED:
            table = table.append_column(name, asked[name])
        made.append(table)
    batches = pa.concat_tables(made).combine_chunks().to_batches(max_chunksize=BATCH)
    scored = pa.Table.from_batches(score(str(case.rankers), [RANKER], ["user_id"])(batches))
    return scored.rename_columns([name.replace(f"{RANKER}_", "score_") for name in scored.column_names])


@contextmanager
def timed_features() -> Iterator[list[float]]:
    """Collects the CPU seconds of the features of candidates, the search of their histories included."""
    seconds: list[float] = []

    def timed(*arguments: Any) -> Any:
        start = time.thread_time()
        found = target_columns(*arguments)
        seconds.append(time.thread_time() - start)
        return found

    with (
        patch("models.ranker.serving.user_candidates.target_columns", timed),
        patch.object(_events_by_index, "target_columns", timed),
    ):
        yield seconds


def in_turns(ways: dict[str, Way], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """CPU seconds of each way, and of the features in it: medians over rounds in which the ways take turns."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    of_features: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            with timed_features() as features:
                start = time.thread_time()
                run()
                spent[name].append(time.thread_time() - start)
            of_features[name].append(sum(features))
    return (
        {name: float(np.median(seconds)) for name, seconds in spent.items()},
        {name: float(np.median(seconds)) for name, seconds in of_features.items()},
    )


def differences(case: Scored, ways: dict[str, Way]) -> tuple[float, int]:
    """The largest difference of scores, and the users for whom some rank differs though the scores are not equal."""
    ranker = case.ranker
    scores = {name: way()[f"score_{ranker.shape.tasks[0]}"].to_numpy() for name, way in ways.items()}
    worst = max(float(np.abs(scores["now"] - other).max()) for other in scores.values())
    moved = start = 0
    for user in case.users:
        stop = start + user["labels"].null_count
        now, before = (scores[name][start:stop] for name in ("now", "before"))
        apart = before[np.argsort(-now, kind="stable")] - before[np.argsort(-before, kind="stable")]
        moved += bool(np.abs(apart).max() > EQUAL)
        start = stop
    return worst, moved


def measured(case: Scored, rounds: int) -> list[str]:
    """One row of the table."""
    ways = ways_of(case)
    worst, moved = differences(case, ways)
    assert worst < 1e-5, worst
    seconds, features = in_turns(ways, rounds)
    candidates = sum(user["labels"].null_count for user in case.users)
    speeds = {name: candidates / spent for name, spent in seconds.items()}
    shares = {name: features[name] / seconds[name] for name in ("now", "before")}
    return [
        case.name, f"{candidates // len(case.users):,}", case.events, f"{speeds['now']:,.0f}",
        f"{speeds['before']:,.0f}", f"{speeds['examples']:,.0f}", f"{speeds['now'] / speeds['before']:.2f}",
        f"{speeds['now'] / speeds['examples']:.2f}", f"{shares['now']:.0%}", f"{shares['before']:.0%}",
        f"{(seconds['before'] - features['before']) / (seconds['now'] - features['now']):.2f}", f"{worst:.1e}",
        f"{moved} of {len(case.users)}",
    ]  # fmt: skip


def _cases(options: argparse.Namespace, folder: Path, other: Path) -> Iterator[Scored]:
    if options.warehouse:
        yield complete_journey(options.warehouse.resolve(), other, 1_000, options.candidates // 1_000)
    for number in options.cases:
        candidates, events = CASES[number]
        yield generated(folder, candidates, events, options.candidates // candidates)


def main() -> int:
    """Measures every case and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path, help="warehouse of make demo, for Complete Journey")
    parser.add_argument("--candidates", type=int, default=20_000, help="candidates of all users of a case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs="*", choices=range(len(CASES)), default=range(len(CASES)))
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="qarm-") as name, tempfile.TemporaryDirectory(prefix="qarm-") as other:
        for case in _cases(options, Path(name), Path(other)):
            rows.append(measured(case, options.rounds))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    if options.print:
        print(" | ".join(HEADER), *(" | ".join(row) for row in rows), sep="\n")
    else:
        note = NOTE.format(rounds=options.rounds, candidates=options.candidates)
        write_table("Scoring candidates", COMMAND, HEADER, rows, note=note)
    return 0


HEADER = [
    "users", "candidates a user", "events", "now, candidates a second", "before", "as examples", "now / before",
    "now / as examples", "search and counts, share of the time now", "share before", "network, times faster",
    "largest difference of scores", "users whose ranks differ",
]  # fmt: skip
NOTE = (
    "Candidates per second of CPU time on one core, median of {rounds} turns in which all ways take turns, over"
    " {candidates:,} candidates; all candidates of a user have the same time. All ways include the features and the"
    " search of the history for every candidate; the time of these is 'search and counts'. Now: keys and values of a"
    " user's events made once, what is an item's alone from the table of the night, the head rewritten by the pass of"
    " models/reparameterise. Before: every candidate reads the user's events by index with four heads' folded queries."
    f" As examples: an example is built for every candidate, and `udfs/scoring.score` scores them in batches of"
    f" {BATCH:,}, as in `evaluate`. Ranks differ: where scores are further apart than {EQUAL:.0e}. Spark's own work is"
    " not included."
)


if __name__ == "__main__":
    raise SystemExit(main())
