"""The GSU: qarm's search compared with faiss, the whole function that builds examples, and the memory of its workers.

    python -m benchmarks.search

Histories are sampled by popularity from clustered items. A user has two examples per event, as with one sampled
negative per positive. Times are CPU times on one core, as in a Spark task; searches take turns, medians are reported.
"""

from __future__ import annotations

import cProfile
import multiprocessing
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks._histories import DAY, DIMENSION, ITEMS, batch_of, item_vectors, users_of, write_search_index
from benchmarks._memory import PeakMemory
from benchmarks._table import write_table
from jobs.build_examples import parameters_of
from models.ranker.examples.search import search
from models.ranker.examples.search_index import ARRAYS
from schemas.settings import load_settings
from udfs.examples import SplitPlan, build_examples, load_search_index

COMMAND = "python -m benchmarks.search"
K = 50
EXAMPLES = {1_000: 100_000, 10_000: 100_000, 100_000: 20_000}
"""Number of examples by length of the history."""
ROUNDS = 3


def in_turns(sides: dict[str, Callable[[], object]], count: int) -> dict[str, float]:
    """Microseconds of CPU time per example for each side, median over rounds in which the sides take turns."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            start = time.thread_time()
            run()
            spent[name].append((time.thread_time() - start) / count * 1e6)
    return {name: float(np.median(seconds)) for name, seconds in spent.items()}


def core(length: int, vectors: NDArray[np.float32]) -> dict[str, float]:
    """Times of the search alone: qarm's over visible events and over all events, and faiss's over all events."""
    users = users_of(length, EXAMPLES[length])
    data = [(vectors[u.targets], u.visible, np.full(len(u.visible), length), vectors[u.history]) for u in users]

    def index() -> None:
        for targets, _, _, history in data:
            flat = faiss.IndexFlatIP(DIMENSION)
            flat.add(history)
            flat.search(targets, K)

    times = in_turns(
        {
            "ours": lambda: [search(targets, visible, history, K) for targets, visible, _, history in data],
            "ours, all visible": lambda: [search(targets, every, history, K) for targets, _, every, history in data],
            "faiss.knn": lambda: [faiss.knn(t, h, K, metric=faiss.METRIC_INNER_PRODUCT) for t, _, _, h in data],
            "IndexFlatIP": index,
        },
        sum(len(u.targets) for u in users),
    )
    targets, _, every, history = data[0]
    scores, _ = faiss.knn(targets, history, K, metric=faiss.METRIC_INNER_PRODUCT)
    difference = np.abs(search(targets, every, history, K)[1] - scores).max()
    assert difference < 1e-5, difference
    return times


def write_core(vectors: NDArray[np.float32]) -> None:
    """Writes the table of the search alone."""
    times = {length: core(length, vectors) for length in EXAMPLES}
    rows = []
    for name in times[1_000]:
        by_length = [times[length][name] for length in EXAMPLES]
        bounds = [min(times[length]["faiss.knn"], times[length]["IndexFlatIP"]) for length in EXAMPLES]
        ratios = [f"{ours / bound:.2f}" for ours, bound in zip(by_length, bounds, strict=True)]
        growth = [f"{b / a:.1f}" for a, b in pairwise(by_length)]
        rows.append([name, *(f"{t:.1f}" for t in by_length), *growth, " ".join(ratios)])
    header = ["search", *(f"µs an example, history of {length:,}" for length in EXAMPLES)]
    header += ["growth to 10,000", "growth to 100,000", "this / the faster faiss, by length"]
    sizes = ", ".join(f"{examples:,} examples over {length:,} events" for length, examples in EXAMPLES.items())
    note = (
        f"k = {K}, {DIMENSION} dimensions; {sizes}; one core, CPU time, median of {ROUNDS} turns. faiss cannot restrict"
        " a target to earlier events: it searches all of a user's history, which is twice the events visible to a"
        " target on average, and it does not break ties. The bound is the faster of two faiss searches: one call per"
        " user, and one index per user. Targets: at most 1.5 times the bound, and at most 10 times the time for 10"
        " times the history. With all events visible, the scores were checked to equal faiss's to 1e-5."
    )
    write_table("Search of histories", COMMAND, header, rows, note=note)


def partition(length: int, folder: Path, examples: int) -> Callable[[], int]:
    """A function that builds the examples of one partition and returns their number."""
    settings = load_settings().examples
    assert settings.found_length == K
    batches = [batch_of(number, user) for number, user in enumerate(users_of(length, examples))]
    plan = SplitPlan(train_from=None, valid_from=300 * DAY, test_from=330 * DAY, shares=(1.0, 1.0, 1.0))
    make = build_examples(str(folder), parameters_of(settings, has_impressions=False), plan, ["click"])
    return lambda: sum(batch.num_rows for batch in make(iter(batches)))


def whole(length: int, folder: Path) -> dict[str, float]:
    """Time per example of the whole Arrow function over one partition, and the shares of its parts."""
    run = partition(length, folder, 100_000)
    count = run()
    taken = in_turns({"all": run}, count)
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(run)
    spent = {name: seconds for (_, _, name), (_, _, _, seconds, _) in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    parts = {name: spent[name] / spent["run"] for name in ("search", "fields", "exclusive", "draw_negatives")}
    parts["to_arrow"] = spent["to_arrow"] / spent["run"]
    return {**taken, "examples": count, **parts}


def memory_of(length: int, folder: Path) -> float:
    """Peak memory of the Arrow function beyond its input, in MB; must run in its own process."""
    warm, cold = (partition(n, folder, examples) for n, examples in ((100, 200), (length, 4 * length)))
    warm()
    before = psutil.Process().memory_full_info().pss
    with PeakMemory(0.005) as memory:
        cold()
    return (memory.peak - before) / 2**20


def write_whole(folder: Path) -> None:
    """Writes the table of the function that builds examples."""
    lengths = (1_000, 10_000)
    found = [whole(length, folder) for length in lengths]
    rows = [["all", *(f"{f['all']:.1f}" for f in found), f"{found[1]['all'] / found[0]['all']:.1f}"]]
    names = {"search": "search", "fields": "fields of the events", "exclusive": "exclusive events"}
    names |= {"draw_negatives": "negatives", "to_arrow": "to Arrow"}
    for part, name in names.items():
        shares = [f"{f['all'] * f[part]:.1f} ({f[part]:.0%})" for f in found]
        rows.append([name, *shares, f"{found[1]['all'] * found[1][part] / (found[0]['all'] * found[0][part]):.1f}"])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        memory = [pool.submit(memory_of, length, folder).result() for length in lengths]
    rows.append(["peak memory, MB", *(f"{m:.0f}" for m in memory), f"{memory[1] / memory[0]:.1f}"])
    header = ["part", *(f"µs an example, history of {length:,}" for length in lengths), "growth"]
    note = (
        "The Arrow function of `build_examples` over one partition of users whose histories have this length;"
        f" {found[0]['examples']:,.0f} and {found[1]['examples']:,.0f} examples, default settings; one core, CPU time,"
        " without Spark's own work. The parts are from a profile of one run. Memory: peak beyond the input in a"
        " separate process that builds one user's examples at a time."
    )
    write_table("Making examples", COMMAND, header, rows, note=note)


def _hold(folder: str, ready: Any, done: Any) -> None:
    """Body of a worker process: maps the search index, reads all of it, and waits."""
    index = load_search_index(Path(folder))
    sum(float(np.asarray(getattr(index, name)).sum()) for name in ARRAYS)
    ready.release()
    done.wait()


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[psutil.Process]]:
    """Starts ``count`` processes that have read all of the search index."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Semaphore(0), context.Event()
    started = [context.Process(target=_hold, args=(str(folder), ready, done)) for _ in range(count)]
    for process in started:
        process.start()
    try:
        for _ in started:
            ready.acquire(timeout=120)
        yield [psutil.Process(process.pid) for process in started]
    finally:
        done.set()
        for process in started:
            process.join()


def write_shared(folder: Path) -> None:
    """Writes the table of the memory that workers share."""
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    rows = []
    for count in (1, 2):
        with workers(folder, count) as processes:
            maps = [m for p in processes for m in p.memory_maps() if m.path.startswith(str(folder))]
            sums = [sum(getattr(m, kind) for m in maps) / 2**20 for kind in ("rss", "pss")]
        rows.append([str(count), *(f"{number:.1f}" for number in sums)])
    header = ["workers", "resident, sum, MB", "proportional (PSS), sum, MB"]
    note = (
        f"All workers map the same search index of {size:.1f} MB ({ITEMS:,} items) and read all of it. The numbers"
        " count only the pages of the index."
    )
    write_table("The search index in several workers", COMMAND, header, rows, note=note)


def main() -> None:
    """Measures everything and writes the three tables."""
    faiss.omp_set_num_threads(1)
    vectors = item_vectors()
    search(vectors[:2], np.array([1, 2]), vectors[:2], 1)  # compiles the search
    write_core(vectors)
    with tempfile.TemporaryDirectory(prefix="qarm-") as name:
        write_search_index(Path(name), vectors)
        write_shared(Path(name))  # must run before this process maps the index itself
        write_whole(Path(name))


if __name__ == "__main__":
    main()
