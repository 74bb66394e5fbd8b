"""What a GPU gives: the same results as the processor, and how much faster, part by part. No Spark, no network.

    python -m benchmarks.gpu

Each device is a process of its own, and the processor's sees no GPU. The parts run the product's own code on generated
data: a language model of SmolLM2's shape with random weights, random texts, vectors and examples. Without a GPU it
measures the processor alone, and leaves docs/benchmarks.md as it is. It needs torch, transformers, tokenizers, peft,
numba, scipy, pyarrow, faiss-cpu, pydantic, safetensors and threadpoolctl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._gpu_parts import PARTS, Part, write_language_model
from benchmarks._table import write_table
from models.device import own_device

COMMAND = "python -m benchmarks.gpu"
CPU, SINGLE, HALF = "the processor", "the GPU in float32", "the GPU in bfloat16"
MODES = {CPU: False, SINGLE: False, HALF: True}
"""What is measured, and whether it computes in bfloat16."""
DTYPES = {False: torch.float32, True: torch.bfloat16}
PEAK_SIZE = {"cpu": 2_048, "cuda": 8_192}
PEAK_SECONDS = 0.5
Found = Mapping[str, Mapping[str, Any]]


def wait() -> None:
    """Waits until the GPU has computed what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matrix_peak(in_bfloat16: bool) -> float:
    """Operations a second of the product of two large square matrices."""
    device = own_device()
    size = PEAK_SIZE[device.type]
    one = torch.randn(size, size, device=device, dtype=DTYPES[in_bfloat16])
    one @ one
    wait()
    rounds, started = 0, time.perf_counter()
    while time.perf_counter() - started < PEAK_SECONDS:
        for _ in range(4):
            one @ one
        wait()
        rounds += 4
    return rounds * 2 * size**3 / (time.perf_counter() - started)


def measured(part: Part, folder: Path, in_bfloat16: bool) -> dict[str, Any]:
    """Speed, operations a row, memory and results of a part on this process's device."""
    on_gpu = own_device().type == "cuda"
    run = part.prepare(folder, in_bfloat16)
    with FlopCounterMode(display=False) as counter:
        values = run(part.checked)  # also warms up
    wait()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    rows, started = part.timed[on_gpu], time.perf_counter()
    run(rows)
    wait()
    return {
        "rate": rows / (time.perf_counter() - started),
        "operations": counter.get_total_flops() / part.checked,
        "memory": torch.cuda.max_memory_allocated() if on_gpu else 0,
        "values": list(values),
    }


def on_this_device(mode: str, model: Path, out: Path) -> None:
    """Measures all parts in this process, and writes what it found as JSON."""
    in_bfloat16 = MODES[mode]
    found: dict[str, Any] = {"peak": matrix_peak(in_bfloat16)}
    for part in PARTS:
        if part.in_bfloat16 or not in_bfloat16:
            found[part.name] = measured(part, model, in_bfloat16)
            print(f"{mode}: {part.name} {found[part.name]['rate']:,.0f} {part.rows} a second", file=sys.stderr)
    out.write_text(json.dumps(found), encoding="utf-8")


def in_a_process(mode: str, model: Path, out: Path) -> dict[str, Any]:
    """Measures all parts in a process of its own, which sees a GPU only if it is to use it."""
    seen = {"CUDA_VISIBLE_DEVICES": ""} if mode == CPU else {}
    options = ["--mode", mode, "--model", str(model), "--out", str(out)]
    subprocess.run([sys.executable, "-m", "benchmarks.gpu", *options], env=os.environ | seen, check=True)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def largest_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference between results, as a share of the largest of them."""
    a, b = np.array(one), np.array(other)
    return float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-12))


def rows_of(found: Mapping[str, Found]) -> tuple[list[list[str]], list[str]]:
    """A row of the table for each part and mode; and what differs in float32 by more than its part's tolerance."""
    rows, wrong = [], []
    for part in PARTS:
        base = found[CPU][part.name]
        for mode in (mode for mode in found if part.name in found[mode]):
            own = found[mode][part.name]
            apart = largest_difference(base["values"], own["values"])
            if mode == SINGLE and not apart <= part.tolerance:
                wrong.append(f"{part.name} differs by {apart:.1e}, and {part.tolerance:.0e} is allowed")
            share = own["operations"] * own["rate"] / found[mode]["peak"]
            rows.append(
                [
                    part.name, mode, f"{own['rate']:,.0f} {part.rows}", f"{own['rate'] / base['rate']:.1f}",
                    f"{share:.1%}", f"{own['memory'] / 2**30:.1f}" if own["memory"] else "", f"{apart:.0e}",
                ]
            )  # fmt: skip
    return rows, wrong


def main() -> int:
    """Measures every device in turn, and writes the table if there is a GPU; 1 if its results are others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        on_this_device(options.mode, options.model, options.out)
        return 0
    has_gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory(prefix="qarm-gpu-") as name:
        folder = Path(name)
        model = folder / "model"
        write_language_model(model)
        modes = [mode for mode in MODES if has_gpu or mode == CPU]
        found = {mode: in_a_process(mode, model, folder / "found.json") for mode in modes}
    rows, wrong = rows_of(found)
    if not has_gpu:
        print("torch finds no GPU here: the processor alone", *(" | ".join(row) for row in rows), sep="\n")
        return 0
    peaks = ", ".join(f"{mode} {of['peak'] / 1e12:,.1f}" for mode, of in found.items())
    note = NOTE.format(gpu=torch.cuda.get_device_name(0), peaks=peaks)
    write_table("On a GPU", COMMAND, HEADER, rows, note=note)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


HEADER = [
    "part", "computed by", "a second", "times the processor", "share of the matrix peak", "GPU memory, GiB",
    "largest difference of results",
]  # fmt: skip
NOTE = (
    "{gpu}. The product's own code on generated data, with the settings as they come, but texts are embedded in batches"
    " of 131,072 tokens on the GPU, and the ranker has no dropout. Matrix peak: products of large square matrices,"
    " tera-operations a second: {peaks}. Operations are those of matrix products; those of the processor's fused"
    " attention are not counted. Differences are relative to the largest result on the processor in float32; in"
    " float32 they are checked. Scores for serving (`score`), Swing, and the search of histories stay on the processor."
)


if __name__ == "__main__":
    raise SystemExit(main())
