"""The GSU: our search beside a faiss flat search, the whole function that makes examples, and what its workers share.

    python -m benchmarks.search

Histories are drawn by popularity from items in clusters; a user has two examples an event, as with one sampled negative
a positive. Times are CPU time of one core, which is what a Spark task has; the sides take turns, and medians count.
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
from schemas.settings import load_settings
from udfs.examples import SplitPlan, build_examples, load_search_index

COMMAND = "python -m benchmarks.search"
K = 50
EXAMPLES = {1_000: 100_000, 10_000: 100_000, 100_000: 20_000}
"""History length to examples."""
ROUNDS = 3


def in_turns(sides: dict[str, Callable[[], object]], count: int) -> dict[str, float]:
    """Microseconds of CPU time for each of ``count`` examples, median of the rounds."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            start = time.thread_time()
            run()
            spent[name].append((time.thread_time() - start) / count * 1e6)
    return {name: float(np.median(seconds)) for name, seconds in spent.items()}


def core(length: int, vectors: NDArray[np.float32]) -> dict[str, float]:
    """The search alone: ours to each target's own time and over all of the history, and faiss over all of it."""
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
    """The table of the search alone."""
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
        f"k = {K}, {DIMENSION} dimensions; {sizes}; one core, CPU time, median of {ROUNDS} turns. faiss cannot keep a"
        " target from what came after it: it searches all of a user's history, twice what a target sees on average, and"
        " does not break ties. It is the bare bound, the faster of one call and one index a user. Targets: at most 1.5"
        " times the bound, and growth of at most 10 for 10 times the history. Where all is visible, our scores were"
        " compared with faiss's: equal to 1e-5."
    )
    write_table("Search of histories", COMMAND, header, rows, note=note)


def partition(length: int, folder: Path, examples: int) -> Callable[[], int]:
    """The Arrow function over one partition; it gives the number of examples made."""
    settings = load_settings().examples
    assert settings.found_length == K
    batches = [batch_of(number, user) for number, user in enumerate(users_of(length, examples))]
    plan = SplitPlan(train_from=None, valid_from=300 * DAY, test_from=330 * DAY, shares=(1.0, 1.0, 1.0))
    make = build_examples(str(folder), parameters_of(settings, has_impressions=False), plan, ["click"])
    return lambda: sum(batch.num_rows for batch in make(iter(batches)))


def whole(length: int, folder: Path) -> dict[str, float]:
    """The whole Arrow function over one partition: time an example, and the share of its parts."""
    run = partition(length, folder, 100_000)
    count = run()
    taken = in_turns({"all": run}, count)
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(run)
    spent = {name: seconds for (_, _, name), (_, _, _, seconds, _) in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    parts = {name: spent[name] / spent["run"] for name in ("search", "fields", "_exclusive", "draw_negatives")}
    parts["to_arrow"] = spent["to_arrow"] / spent["run"]
    return {**taken, "examples": count, **parts}


def memory_of(length: int, folder: Path) -> float:
    """Most memory of the function above its input's, MB; to be called in a process of its own."""
    warm, cold = (partition(n, folder, examples) for n, examples in ((100, 200), (length, 4 * length)))
    warm()
    before = psutil.Process().memory_full_info().pss
    with PeakMemory(0.005) as memory:
        cold()
    return (memory.peak - before) / 2**20


def write_whole(folder: Path) -> None:
    """The table of the function that makes examples."""
    lengths = (1_000, 10_000)
    found = [whole(length, folder) for length in lengths]
    rows = [["all", *(f"{f['all']:.1f}" for f in found), f"{found[1]['all'] / found[0]['all']:.1f}"]]
    names = {"search": "search", "fields": "fields of the events", "_exclusive": "exclusive events"}
    names |= {"draw_negatives": "negatives", "to_arrow": "to Arrow"}
    for part, name in names.items():
        shares = [f"{f['all'] * f[part]:.1f} ({f[part]:.0%})" for f in found]
        rows.append([name, *shares, f"{found[1]['all'] * found[1][part] / (found[0]['all'] * found[0][part]):.1f}"])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        memory = [pool.submit(memory_of, length, folder).result() for length in lengths]
    rows.append(["peak memory, MB", *(f"{m:.0f}" for m in memory), f"{memory[1] / memory[0]:.1f}"])
    header = ["part", *(f"µs an example, history of {length:,}" for length in lengths), "growth"]
    note = (
        f"`build_examples`' Arrow function over one partition of users with so many events each,"
        f" {found[0]['examples']:,.0f} and {found[1]['examples']:,.0f} examples, settings as they come; one core, CPU"
        " time, without Spark's own part. Parts by a profile of one run. Memory: above what a process"
        " of its own held before, for one user's examples at a time."
    )
    write_table("Making examples", COMMAND, header, rows, note=note)


def _hold(folder: str, ready: Any, done: Any) -> None:
    """A worker: maps the search index, reads all of it, and stays."""
    sum(float(np.asarray(array).sum()) for array in vars(load_search_index(Path(folder))).values())
    ready.release()
    done.wait()


@contextmanager
def workers(folder: Path, count: int) -> Iterator[list[psutil.Process]]:
    """So many processes that have read all of the search index."""
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
    """The table of the memory that workers share."""
    size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
    rows = []
    for count in (1, 2):
        with workers(folder, count) as processes:
            maps = [m for p in processes for m in p.memory_maps() if m.path.startswith(str(folder))]
            sums = [sum(getattr(m, kind) for m in maps) / 2**20 for kind in ("rss", "pss")]
        rows.append([str(count), *(f"{number:.1f}" for number in sums)])
    header = ["workers", "resident, sum, MB", "proportional (PSS), sum, MB"]
    note = f"Workers that map one search index of {size:.1f} MB ({ITEMS:,} items) and read all of it: its pages alone."
    write_table("The search index in several workers", COMMAND, header, rows, note=note)


def main() -> None:
    """Writes the three tables."""
    faiss.omp_set_num_threads(1)
    vectors = item_vectors()
    search(vectors[:2], np.array([1, 2]), vectors[:2], 1)  # compiled on first use
    write_core(vectors)
    with tempfile.TemporaryDirectory(prefix="qarm-") as name:
        write_search_index(Path(name), vectors)
        write_shared(Path(name))  # before this process maps it too
        write_whole(Path(name))


if __name__ == "__main__":
    main()
