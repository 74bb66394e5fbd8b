"""Prints the setting that fits this machine: the language model in bfloat16 where that is computed, else in float32.

    ./spark-submit.sh nightly --set "$(python -m demo.processor)" …

On a processor without bfloat16, and without a GPU, it takes three to four times as long as float32.
"""

from __future__ import annotations

from jobs.start.machine import Machine, this_machine


def setting(machine: Machine) -> str:
    """The setting as ``nightly --set`` takes it."""
    return f'language_model.dtype="{"bfloat16" if machine.computes_in_bfloat16 else "float32"}"'


if __name__ == "__main__":
    print(setting(this_machine()))
