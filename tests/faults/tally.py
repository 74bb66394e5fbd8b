"""What the fault suite did and found, counted over all of its tests."""

from __future__ import annotations

from collections import Counter

DONE: Counter[str] = Counter()
"""Faults, starts, comparisons and polls, by what they are called in the tally."""


def text(failed: int) -> str:
    """The tally in two lines.

    Args:
        failed: tests that failed.
    """
    counts = ", ".join(f"{count} {what}" for what, count in DONE.items())
    proven = not failed and DONE["nights compared with an undisturbed one"] and DONE["polls by readers"]
    verdict = "nothing lost, nothing half-published" if proven else f"NOT proven, {failed} tests failed"
    return f"{counts}\n{verdict}"
