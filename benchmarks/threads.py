"""Speed of torch on all cores by the way OpenMP's threads wait, alone and beside other busy processes.

    python -m benchmarks.threads

Each measurement is a new process that trains a small network for some seconds. The settings take turns for several
rounds, so that other load on the machine affects all settings alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

from benchmarks._table import write_table
from lake.environment import THREAD_CHOICES, THREADS

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "OpenMP's own default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=100": {"GOMP_SPINCOUNT": "100"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
}
LOADS = ("alone", "beside a training", "beside two busy processes")


def steps_a_second(seconds: float) -> float:
    """Steps per second of training a network of the size of the ranker's head, on all cores."""
    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(512, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    optimiser = torch.optim.AdamW(network.parameters())
    batch, labels = torch.randn(256, 512), torch.rand(256, 1).round()

    def step() -> None:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(batch), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    for _ in range(20):
        step()
    start, done = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        step()
        done += 1
    return done / (time.monotonic() - start)


def measured(setting: Mapping[str, str], load: str, seconds: float) -> float:
    """Steps per second of a new process with a setting, beside a load."""
    clean = {name: value for name, value in os.environ.items() if name not in THREAD_CHOICES}
    train = [sys.executable, "-m", "benchmarks.threads", "--child", str(seconds)]
    longer = [sys.executable, "-m", "benchmarks.threads", "--child", str(3 * seconds + 20)]
    spin = [sys.executable, "-c", "while True: pass"]
    others = {"alone": [], "beside a training": [longer], "beside two busy processes": [spin, spin]}[load]
    running = [subprocess.Popen(command, env={**clean, **setting}, stdout=subprocess.DEVNULL) for command in others]
    try:
        if running:
            time.sleep(5)  # until the other training has imported torch
        done = subprocess.run(train, env={**clean, **setting}, capture_output=True, text=True, check=True)
        return float(done.stdout.strip().splitlines()[-1])
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> int:
    """Measures every setting under every load and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each training")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.child:
        print(steps_a_second(options.child))
        return 0
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for load in LOADS:
            for name, setting in SETTINGS.items():
                found.setdefault((name, load), []).append(measured(setting, load, options.seconds))
                print(load, name, f"{found[name, load][-1]:.0f}", file=sys.stderr, flush=True)
    best = {key: statistics.median(values) for key, values in found.items()}
    default = next(iter(SETTINGS))
    rows = [
        [f"**{name}**" if setting == THREADS else name]
        + [f"{best[name, load]:.0f} ({best[name, load] / best[default, load]:.2f}x)" for load in LOADS]
        for name, setting in SETTINGS.items()
    ]
    write_table(
        title="Torch beside other busy processes",
        command="python -m benchmarks.threads",
        header=["OpenMP's threads wait by", *(f"steps a second, {load}" for load in LOADS)],
        rows=rows,
        note="Training of a small network on all cores: median over rounds, each in a new process; in parentheses, the"
        " ratio to OpenMP's default. Every Python process that qarm starts uses the setting in bold, unless the user"
        " set another one.",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
