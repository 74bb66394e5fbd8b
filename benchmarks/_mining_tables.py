"""The tables that benchmarks.mine_pairs writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._table import write_table
from schemas.names import PAIR_SOURCES

COMMAND = "python -m benchmarks.mine_pairs"
CORES = 2


def write_tables(results: dict[str, Any], sizes: Sequence[int]) -> None:
    """Writes the tables."""
    sql = results["against_sql"]
    write_table(
        "Swing against SQL joins",
        COMMAND,
        ["events", "ours, s", "SQL joins, s", "times faster", "pairs", "pairs of both", "largest relative difference"],
        [[
            f"{sizes[0]:,}", f"{sql['ours']:.1f}", f"{sql['sql']:.1f}", f"{sql['sql'] / sql['ours']:.1f}",
            f"{sql['pairs']:,}", f"{sql['matched']:,}", f"{sql['difference']:.1e}",
        ]],
        "Plain Swing (`mine.significance = 0`), 500 events a user; both from the same capped and sampled histories,"
        " cached in Spark. Pairs of both can be fewer where the 100th and 101st target score the same: the two break"
        " ties differently.",
    )  # fmt: skip
    rows = [_against_bare(f"generated, {events:,}", results[f"growth_{events}"]) for events in sizes]
    journey = results["complete_journey"]
    rows.append(_against_bare(f"Complete Journey, {journey['events']:,}", journey))
    times = [results[f"growth_{events}"]["seconds"] for events in sizes]
    exponents = np.diff(np.log(times)) / np.diff(np.log(sizes))
    write_table(
        "Swing: growth, and the bare kernel",
        COMMAND,
        ["log, events", "job, first run, s", "second run, s", "peak GiB", "pairs", "bare, 1 thread: kernel, s",
         "all, s", "first / bare", "second / bare", "bare, 2 threads: all, s", "second / bare",
         "pairs within clusters", "HR@20", "HR@20 of implicit's cosine"],
        rows,
        "Generated: 500 events a user, 100 an item, Zipf 1, 10 % stray events. Settings as they come, without"
        " user2item. The job: `interactions` to `item_pairs`, contract checks and commit included; in a JVM"
        " (`-XX:+UseParallelGC`) that has mined 100,000 events, and once more. Bare: one process that reads the"
        " same files by pyarrow, codes and caps by numpy, scores by the same kernel, writes Parquet;"
        " it knows no contents, so on Complete Journey it keeps pairs of one content that the job leaves out."
        f" Growth exponents of the second run's time from size to size: {', '.join(f'{e:.2f}' for e in exponents)}.",
    )  # fmt: skip
    both = results["both_sources"]
    write_table(
        "Both sources of pairs",
        COMMAND,
        ["events", "job, s", "peak GiB", "item2item pairs", "within clusters", "user2item pairs", "within clusters"],
        [[
            f"{sizes[-1]:,}", f"{both['seconds']:.1f}", f"{both['memory']:.1f}",
            *(cell for source in PAIR_SOURCES
              for cell in (f"{both['pairs'][source]:,}", f"{both['in_cluster'][source]:.4f}")),
        ]],
        "All settings as they come: Swing, and the two-tower model trained on 500,000 positives.",
    )  # fmt: skip
    stages = results["skew"]["stages"]
    write_table(
        "Swing under skew",
        COMMAND,
        ["tasks of the stage", "median task, s", "longest task, s", "longest / median"],
        [[str(n), f"{median:.2f}", f"{longest:.2f}", f"{ratio:.1f}"] for ratio, n, median, longest in stages[:5]],
        f"{sizes[1]:,} events, Zipf 1.2, one item in half of all histories. Run times of the tasks as Spark's own"
        " service reports them; stages whose longest task took a second or more, the five most uneven. Of an"
        " even number of tasks the median is the shorter in the middle.",
    )
    journey_table(journey)


def journey_table(journey: dict[str, Any]) -> None:
    """Hit rates on Complete Journey's last month."""
    others = journey["hits_other_contents"]
    write_table(
        "Item pairs of Complete Journey's last month",
        COMMAND,
        ["", "HR@20, own content left out", "HR@20, all pairs"],
        [
            [name, f"{others[name]:.4f}" if name in others else "", f"{rate:.4f}"]
            for name, rate in journey["hits"].items()
        ],
        f"Share of pairs, of items one household bought on one day from {journey['from']} on, whose target is among the"
        f" trigger's first 20. All households; settings as they come; the others are the `implicit` package's, with its"
        " defaults, on the same households' distinct items. Own content left out: pairs of items with the same text are"
        " neither asked for nor counted among anyone's 20, as a pair hit rate is defined here; the job leaves them out"
        " by default, which costs it where all pairs are asked for. Own content mined: by"
        " `mine.exclude_same_content = false`, as the others do.",
    )


def _against_bare(name: str, one: dict[str, Any]) -> list[str]:
    bare = {int(threads): value for threads, value in one["bare"].items()}
    in_cluster = f"{one['in_cluster']:.4f}" if "in_cluster" in one else ""
    return [
        name, f"{one['first']:.1f}", f"{one['seconds']:.1f}", f"{one['memory']:.1f}", f"{one['pairs']:,}",
        f"{bare[1]['kernel']:.1f}",
        f"{bare[1]['all']:.1f}", f"{one['first'] / bare[1]['all']:.2f}", f"{one['seconds'] / bare[1]['all']:.2f}",
        f"{bare[CORES]['all']:.1f}",
        f"{one['seconds'] / bare[CORES]['all']:.2f}", in_cluster, f"{one['hits']['qarm']:.4f}",
        f"{one['hits']['cosine']:.4f}",
    ]  # fmt: skip
