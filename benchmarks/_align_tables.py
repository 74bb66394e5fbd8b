"""Writes the tables of ``benchmarks.align_encoder``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks._table import write_table
from schemas.names import PAIR_SOURCES

COMMAND = "python -m benchmarks.align_encoder"


def write_alignment(results: Mapping[str, Any]) -> None:
    """Writes the hit rates of every encoder on the pairs of the period after the fit."""
    rows, base = [], {}
    for name, rates in results["unaligned"].items():
        model = name.split(",")[0]
        base[model] = max(base.get(model, 0.0), rates["all"]["hr@10"])
        rows.append([name, "unaligned", *_cells(rates), "", ""])
    for part, result in results.items():
        model, _, which = part.partition("-")
        if which:
            gain = result["rates"]["all"]["hr@10"] / base[model]
            seconds = result["run"].get("align.seconds")
            minutes = f"{seconds / 60:.0f}" if seconds else "(reused)"
            rows.append([model, f"aligned, {which}", *_cells(result["rates"]), f"{gain:.2f}", minutes])
    some = next(iter(results["unaligned"].values()))
    counts = ", ".join(f"{some[name]['pairs']:,} {name}" for name in ("all", "new", "cold"))
    judged = results["prepare"]["judge_pairs"]
    kept = ", ".join(
        f"{source} {judged.get(f'pairs.keep/{source}', 0):,.0f} kept, {judged.get(f'pairs.reject/{source}', 0):,.0f}"
        " rejected"
        for source in PAIR_SOURCES
    )
    note = (
        "Complete Journey, all households. HR@k is the share of the test period's pairs whose target is among the k"
        " contents nearest to the trigger, of all contents. The pairs are mined by the job's Swing on contents"
        f" ({counts}). New: pairs that do not occur in the fit's period. Cold: pairs of a content without events in the"
        " fit's period and a content that the same user took on the same day."
        f" The encoders are fitted on the train period's pairs: {kept}."
        " Unaligned vectors are centred, aligned vectors are not. Gain: HR@10 divided by that of the best layer of the"
        " same model without alignment. Targets: a gain of 1.6 for SmolLM2, and an HR@10 above that of unaligned"
        " MiniLM; a gain of 1.3 for MiniLM; 45 minutes each."
    )
    header = ["model", "pairs fitted on", "HR@1", "HR@10", "HR@50", "HR@10, new", "HR@10, cold", "gain", "minutes"]
    write_table("Alignment", COMMAND, header, rows, note=note)


def _cells(rates: Mapping[str, Any]) -> list[str]:
    every = rates["all"]
    wanted = [every["hr@1"], every["hr@10"], every["hr@50"], rates["new"]["hr@10"], rates["cold"]["hr@10"]]
    return ["–" if value is None else f"{value:.4f}" for value in wanted]


def write_judges(result: Mapping[str, Any]) -> None:
    """Writes the AUC of every judge."""
    rows = [
        [
            row["judge"],
            row["model"],
            f"{row['auc']:.3f}",
            "{:.3f} to {:.3f}".format(*row["interval"]),
            f"{row['seconds']:.0f}",
        ]
        for row in result["judges"]
    ]
    note = (
        f"Positives: {result['together']} of the test period's mined pairs of contents, one per trigger, that share no"
        f" word except words of nearly every product. Negatives: {result['apart']} pairs of the same triggers with"
        " targets of other triggers, that share no word and that no user took both of in that period. 95 %: bootstrap"
        " interval."
    )
    write_table("Judges", COMMAND, ["judge", "model", "AUC", "95 %", "seconds"], rows, note=note)


def write_throughput(result: Mapping[str, Any]) -> None:
    """Writes the times of embedding by Spark and in other ways, measured in one run."""
    ways = (
        ("Spark stage, 2 tasks", "spark"), ("bare loop, 2 threads", "bare"),
        ("sentence-transformers' encode", "sentence_transformers"),
    )  # fmt: skip
    rows = [[name, f"{result[key]:.1f}", f"{result['spark'] / result[key]:.2f}"] for name, key in ways]
    note = (
        f"MiniLM in float32 on {result['contents']:,} contents. Targets: the stage takes at most 1.15 times as long as"
        " the bare loop, and at most as long as sentence-transformers."
    )
    write_table("Embedding contents", COMMAND, ["way", "seconds", "stage / this"], rows, note=note)
