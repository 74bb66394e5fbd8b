"""Tables of the alignment benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks._table import write_table
from schemas.names import PAIR_SOURCES

COMMAND = "python -m benchmarks.align_encoder"


def write_alignment(results: Mapping[str, Any]) -> None:
    """Hit rates of every encoder on the pairs of the period after the fit."""
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
            minutes = f"{seconds / 60:.0f}" if seconds else "(stood)"
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
        "Complete Journey, all households. Pairs of the test period, mined by content with the job's Swing"
        f" ({counts}; new: not among the fit period's pairs), among"
        " all contents. Cold: contents without an event in the fit's period, with what a user took on the same day."
        f" Fitted on the train period's pairs: {kept}."
        " Unaligned vectors are centred, an aligned encoder's are as they are. Gain: HR@10 over the best layer of the"
        " same model unaligned. Targets: 1.6 for SmolLM2, and above MiniLM unaligned; 1.3 for MiniLM; 45 minutes each."
    )
    header = ["model", "pairs fitted on", "HR@1", "HR@10", "HR@50", "HR@10, new", "HR@10, cold", "gain", "minutes"]
    write_table("Alignment", COMMAND, header, rows, note=note)


def _cells(rates: Mapping[str, Any]) -> list[str]:
    every = rates["all"]
    wanted = [every["hr@1"], every["hr@10"], every["hr@50"], rates["new"]["hr@10"], rates["cold"]["hr@10"]]
    return ["–" if value is None else f"{value:.4f}" for value in wanted]


def write_judges(result: Mapping[str, Any]) -> None:
    """AUC of every judge."""
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
        f"{result['together']} pairs of contents out of the test period's mined pairs, one a trigger and no word shared"
        f" but those of nearly every product, against {result['apart']} pairs of the same triggers with targets of the"
        " others, that no user of that period took both of and that share no word. 95 %: the bootstrap's interval."
    )
    write_table("Judges", COMMAND, ["judge", "model", "AUC", "95 %", "seconds"], rows, note=note)


def write_throughput(result: Mapping[str, Any]) -> None:
    """Embedding through Spark beside other ways, in one run."""
    ways = (
        ("Spark stage, 2 tasks", "spark"), ("bare loop, 2 threads", "bare"),
        ("sentence-transformers' encode", "sentence_transformers"),
    )  # fmt: skip
    rows = [[name, f"{result[key]:.1f}", f"{result['spark'] / result[key]:.2f}"] for name, key in ways]
    note = (
        f"MiniLM in float32 on {result['contents']:,} contents. Targets: the stage at most 1.15 times the bare loop and"
        " at most sentence-transformers' time."
    )
    write_table("Embedding contents", COMMAND, ["way", "seconds", "stage / this"], rows, note=note)
