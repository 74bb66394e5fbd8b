"""The tables that ``benchmarks.mine_pairs`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._table import write_table
from schemas.names import PAIR_SOURCES

COMMAND = "python -m benchmarks.mine_pairs"
CORES = 2


def write_tables(results: dict[str, Any], sizes: Sequence[int]) -> None:
    """Writes every table of the mining benchmark."""
    sql = results["against_sql"]
    write_table(
        "Swing against SQL joins",
        COMMAND,
        ["events", "ours, s", "SQL joins, s", "times faster", "pairs", "pairs of both", "largest relative difference"],
        [[
            f"{sizes[0]:,}", f"{sql['ours']:.1f}", f"{sql['sql']:.1f}", f"{sql['sql'] / sql['ours']:.1f}",
            f"{sql['pairs']:,}", f"{sql['matched']:,}", f"{sql['difference']:.1e}",
        ]],
        note="Plain Swing (`mine.significance = 0`), 500 events a user. Both ways start from the same capped and"
        " sampled histories, cached in Spark. The column 'pairs of both' can be smaller than 'pairs' where the 100th"
        " and the 101st target have equal scores, because the two ways break ties differently.",
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
        note="Generated: 500 events a user, 100 an item, Zipf 1, 10 % stray events. Default settings, without"
        " user2item. The job: `interactions` to `item_pairs`, contract checks and commit included; it runs"
        " twice in a JVM (`-XX:+UseParallelGC`) that has already mined 100,000 events. Bare: one process that reads the"
        " same files by pyarrow, codes and caps by numpy, scores by the same kernel and writes Parquet."
        " It does not know which items have the same text, so on Complete Journey it keeps pairs that the job drops."
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
        note="Default settings: Swing, and the two-tower model trained on 500,000 positives.",
    )  # fmt: skip
    stages = results["skew"]["stages"]
    write_table(
        "Swing under skew",
        COMMAND,
        ["tasks of the stage", "median task, s", "longest task, s", "longest / median"],
        [[str(n), f"{median:.2f}", f"{longest:.2f}", f"{ratio:.1f}"] for ratio, n, median, longest in stages[:5]],
        note=f"{sizes[1]:,} events, Zipf 1.2, one item in half of all histories. Task times are those that Spark's REST"
        " API reports. The table shows the five most uneven of the stages whose longest task took at least a second."
        " For an even number of tasks, the median is the lower of the two middle times.",
    )
    journey_table(journey)


def journey_table(journey: dict[str, Any]) -> None:
    """Writes the table of hit rates on Complete Journey's last month."""
    others = journey["hits_other_contents"]
    write_table(
        "Item pairs of Complete Journey's last month",
        COMMAND,
        ["", "HR@20, own content left out", "HR@20, all pairs"],
        [
            [name, f"{others[name]:.4f}" if name in others else "", f"{rate:.4f}"]
            for name, rate in journey["hits"].items()
        ],
        note="A pair is two items that one household bought on the same day, from"
        f" {journey['from']} on; HR@20 is the share of pairs whose target is among the trigger's 20 best mined targets."
        " All households; default settings. The other miners come from the `implicit` package, with its defaults, on"
        " the same households' distinct items. 'Own content left out': pairs of items with the same text are not in the"
        " test and do not take a place among the 20; this is qarm's definition of a pair's hit rate. The job does not"
        " mine such pairs by default, which lowers its rate over all pairs. 'Own content mined' is the job with"
        " `mine.exclude_same_content = false`, which mines such pairs as the other miners do.",
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
