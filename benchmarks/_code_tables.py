"""Writes the tables of ``benchmarks.codes``."""

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
    """Writes one row per method, and a note that compares the default with plain residual k-means."""
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
        f" {result['fitted_on']:,}; three levels of {result['size']} codes. collision_rate, items_per_sid and"
        " unique_rate are over distinct contents. Behaviour HR@50: a pair is two different contents that one user took"
        f" on the same day of the test period ({result['pairs']:,} pairs). The rate is the share of pairs whose target"
        " is among the 50 contents with the same or the nearest SIDs, by the distance of their reconstructions; if only"
        " some of a SID's contents fit into the 50, it counts their expected share. With a ranking by the embeddings"
        f" themselves the rate is {result['behaviour_of_embeddings']:.4f}. Throughput: one process on both cores, one"
        " run.\n\nThe default compared with plain res_kmeans: collision_rate"
        f" {ours['collision_rate'] / plain['collision_rate']:.3f} times (target at most 0.62), HR@1 {ours['hr@1']:.4f}"
        f" against {plain['hr@1']:.4f}, behaviour HR@50 {ours['behaviour_hr@50']:.4f} against"
        f" {plain['behaviour_hr@50']:.4f}."
    )
    header = ["method", *COLUMNS, "codes used", "entropy, bits", "fit, s", "contents assigned a second"]
    write_table(title, COMMAND, header, rows, note=note)


def write_scale(spark: Mapping[str, Any], memory: Mapping[str, Any]) -> None:
    """Writes the tables of assignment by Spark and by one process, and of the memory of a fit on a million."""
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
        " codes. The bare process calls the same codebook (faiss and torch, 2 threads) on a matrix in memory, or on a"
        " matrix that it first reads from the same Parquet files. Target: Spark's rate is at least 0.7 of the bare"
        " rate, measured in one run."
    )
    header = ["what", "seconds", "contents a second", "Spark's rate / this one"]
    write_table("Assigning codes at scale", COMMAND, header, rows, note=note)
    note = (
        "The whole `fit_codebook` job with Spark (2 GB of driver memory). The peak is that of the proportional set size"
        " of the process tree, including pages of the memory-mapped sample. Target: 6 GB for a fit on a million"
        f" embeddings of 576 dimensions. The fit ran {memory['iterations']} k-means iterations and {memory['steps']}"
        " FSQ steps; their numbers change the time but not the memory."
    )
    rows = [["fit_codebook", f"{memory['seconds']:.0f}", f"{memory['gigabytes'] * 2**30 / 1e9:.2f}"]]
    write_table("Memory of codes at a million contents", COMMAND, ["job", "seconds", "peak, GB"], rows, note=note)


def write_nights(nights: Sequence[Mapping[str, Any]]) -> None:
    """Writes the table of ten nights for each value of ``codebook.collisions``."""
    rows = [
        [
            str(row["collisions"]), str(row["night"]), f"{row['items']:,}", f"{row['new']:,}", f"{row['changed']:,}",
            f"{row['unchanged_moved']:,}", f"{row['moved']:,}", f"{row['reported']:,}", f"{row['collision_rate']:.4f}",
            f"{row['seconds']:.0f}",
        ]
        for row in nights
    ]  # fmt: skip
    note = (
        "Complete Journey's contents; each night 1 % are new and 1 % changed. `assign_semantic_ids` runs with an"
        " unchanged codebook. Moved: items whose SID changed. Reported: rows of `sid_changes` for items that existed"
        " before; they are checked to be exactly the moved items. Target: the SID of an unchanged item never changes."
    )
    header = [
        "collisions", "night", "items", "new", "changed", "unchanged that moved", "moved", "reported", "collision_rate",
        "seconds",
    ]  # fmt: skip
    write_table("Ten nights", COMMAND, header, rows, note=note)
