"""Speed of torch on all cores by the way OpenMP's threads wait, alone and beside other busy processes.

    python -m benchmarks.threads

Each measurement is a new process that trains a small network for some seconds. The settings take turns for several
rounds. A measurement is repeated if the benchmark's own processes were not the only ones that used the cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

import psutil

from benchmarks._table import write_table
from lake.environment import THREAD_CHOICES, THREADS

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "OpenMP's own default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    **{f"GOMP_SPINCOUNT={spins}": {"GOMP_SPINCOUNT": str(spins)} for spins in (1000, 2000, 3000, 10_000)},
}
TRIES = 20
"""Measurements beside busy strangers before the benchmark gives up."""

LOADS = ("alone", "beside a training", "beside two busy processes")


def steps_a_second(setting: Mapping[str, str], seconds: float) -> float:
    """Steps per second of training a network of the size of the ranker's head, on all cores, with a setting.

    OpenMP reads the variables when torch is imported. The import of this package has set those of
    :mod:`lake.environment`, which would make the default another setting.
    """
    for name in THREAD_CHOICES:
        os.environ.pop(name, None)
    os.environ.update(setting)
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


def measured(name: str, load: str, seconds: float) -> float:
    """Steps per second of a new process with a setting, beside a load; another training has the same setting."""
    train = [sys.executable, "-m", "benchmarks.threads", "--child", name, "--seconds"]
    longer = [*train, str(3 * seconds + 20)]
    spin = [sys.executable, "-c", "while True: pass"]
    others = {"alone": [], "beside a training": [longer], "beside two busy processes": [spin, spin]}[load]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in others]
    try:
        if running:
            time.sleep(5)  # until the other training has imported torch
        done = subprocess.run([*train, str(seconds)], capture_output=True, text=True, check=True)
        return float(done.stdout.strip().splitlines()[-1])
    finally:
        for process in running:
            process.kill()
            process.wait()


def measured_in_quiet(name: str, load: str, seconds: float) -> float:
    """Repeats :func:`measured` until processes outside this benchmark have used less than a tenth of a core.

    Raises:
        SystemExit: the machine stays busy.
    """
    for _ in range(TRIES):
        start, before = time.monotonic(), _used_by_others()
        speed = measured(name, load, seconds)
        share = (_used_by_others() - before) / (time.monotonic() - start)
        if share < 0.1:
            return speed
        print(f"{load} {name}: repeated, as others used {share:.2f} cores", file=sys.stderr, flush=True)
        time.sleep(10)
    raise SystemExit("other processes keep the machine busy: no figure of this benchmark would hold; run it later")


def _used_by_others() -> float:
    """Seconds of all cores since the machine's start, without those of this process and its ended children."""
    times, own = psutil.cpu_times(), os.times()
    busy = times.user + times.nice + times.system
    return busy - (own.user + own.system + own.children_user + own.children_system)


def main() -> int:
    """Measures every setting under every load and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=SETTINGS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each training")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.child:
        print(steps_a_second(SETTINGS[options.child], options.seconds))
        return 0
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for load in LOADS:
            for name in SETTINGS:
                found.setdefault((name, load), []).append(measured_in_quiet(name, load, options.seconds))
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
