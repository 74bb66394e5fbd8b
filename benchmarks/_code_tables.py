"""The tables of the benchmark of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks._table import write_table

COMMAND = "python -m benchmarks.codes"
COLUMNS = {
    "collision_rate": ".4f",
    "items_per_sid": ".3f",
    "unique_rate": ".4f",
    "reconstruction_error": ".4f",
    "hr@1": ".4f",
    "hr@10": ".4f",
    "behaviour_hr@50": ".4f",
}


def write_methods(title: str, result: Mapping[str, Any]) -> None:
    """One row a method, and the default beside plain residual k-means."""
    rows = []
    for row in result["rows"]:
        numbers = [f"{row[name]:{form}}" for name, form in COLUMNS.items()]
        used = " ".join(f"{u}" for u in row["used"])
        bits = " ".join(f"{b:.2f}" for b in row["entropy_bits"])
        rows.append(
            [row["name"], *numbers, used, bits, f"{row['fit_seconds']:.0f}", f"{row['assigned_per_second']:,.0f}"]
        )
    by_name = {row["name"]: row for row in result["rows"]}
    ours, plain = by_name["res_kmeans_fsq (default)"], by_name["res_kmeans"]
    note = (
        f"{result['what']} {result['contents']:,} distinct contents, {result['dimension']} dimensions, fitted on"
        f" {result['fitted_on']:,}; codes a level: {result['size']}, three levels. collision_rate, items_per_sid and"
        " unique_rate are over distinct contents. Behaviour HR@50: pairs of contents that one user took on one day of"
        f" the test period ({result['pairs']:,} of them, own content left out), share whose target is"
        " among the 50 contents of the same or the nearest SIDs by the distance of their reconstructions; where a SID's"
        " contents do not all fit, the expected share. Ranked by the embedding itself it is"
        f" {result['behaviour_of_embeddings']:.4f}. Throughputs are of one process on both cores, one run.\n\n"
        f"The default beside plain res_kmeans: collision_rate"
        f" {ours['collision_rate'] / plain['collision_rate']:.3f} times (target at most 0.62), HR@1 {ours['hr@1']:.4f}"
        f" against {plain['hr@1']:.4f}, behaviour HR@50 {ours['behaviour_hr@50']:.4f} against"
        f" {plain['behaviour_hr@50']:.4f}."
    )
    header = ["method", *COLUMNS, "codes used", "entropy, bits", "fit, s", "contents assigned a second"]
    write_table(title, COMMAND, header, rows, note=note)


def write_scale(spark: Mapping[str, Any], memory: Mapping[str, Any]) -> None:
    """Spark's assignment beside one process, and the memory of a fit on a million."""
    rows = [
        [
            "Spark job's stage: Delta to codes, 2 tasks",
            f"{spark['spark_seconds']:.1f}",
            f"{spark['spark_rate']:,.0f}",
            "1",
        ],
        *[
            [name, f"{seconds:.1f}", f"{spark['contents'] / seconds:,.0f}", f"{seconds / spark['spark_seconds']:.2f}"]
            for name, seconds in spark["bare"].items()
        ],
    ]
    note = (
        f"{spark['contents']:,} embeddings of {spark['dimension']} dimensions, the default codebook of {spark['sizes']}"
        " codes. The bare process calls the same codebook (faiss and torch, 2 threads) on a matrix in memory, or on one"
        " that it reads from the same Parquet files first. Target: at least 0.7 of the bare rate, in one run."
    )
    header = ["what", "seconds", "contents a second", "Spark's rate / this one"]
    write_table("Assigning codes at scale", COMMAND, header, rows, note=note)
    note = (
        "`fit_codebook`, the whole job with Spark (2 GB of driver memory), in one process tree; the peak is of its"
        " proportional set size, pages of the memory-mapped sample included. Target: 6 GB for a fit on a million"
        f" embeddings of 576 dimensions. The fit ran {memory['iterations']} k-means iterations and {memory['steps']}"
        " FSQ steps, which change its time and not its memory."
    )
    rows = [["fit_codebook", f"{memory['seconds']:.0f}", f"{memory['gigabytes'] * 2**30 / 1e9:.2f}"]]
    write_table("Memory of codes at a million contents", COMMAND, ["job", "seconds", "peak, GB"], rows, note=note)


def write_nights(nights: Sequence[Mapping[str, Any]]) -> None:
    """Ten nights under each way with collisions."""
    rows = [
        [
            str(row["collisions"]), str(row["night"]), f"{row['items']:,}", f"{row['new']:,}", f"{row['changed']:,}",
            f"{row['unchanged_moved']:,}", f"{row['moved']:,}", f"{row['told']:,}", f"{row['collision_rate']:.4f}",
            f"{row['seconds']:.0f}",
        ]
        for row in nights
    ]  # fmt: skip
    note = (
        "Complete Journey's contents, each night 1 % new and 1 % changed ones; `assign_semantic_ids` with a codebook"
        " that stands. Told: rows of `sid_changes` for items that were there before; they are the items that moved,"
        " checked one by one. Target: no SID of an unchanged item moves."
    )
    header = [
        "collisions", "night", "items", "new", "changed", "unchanged that moved", "moved", "told", "collision_rate",
        "seconds",
    ]  # fmt: skip
    write_table("Ten nights", COMMAND, header, rows, note=note)
