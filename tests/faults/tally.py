"""What the fault suite did and found, counted over all of its tests."""

from __future__ import annotations

from collections import Counter

DONE: Counter[str] = Counter()
"""Faults, starts, comparisons and polls, by what they are called in the tally."""


def text(passed: bool) -> str:
    """The tally in two lines.

    Args:
        passed: whether every test ran to its end and passed.
    """
    counts = ", ".join(f"{count} {what}" for what, count in DONE.items())
    proven = passed and DONE["nights compared with an undisturbed one"] and DONE["polls by readers"]
    verdict = "nothing lost, nothing half-published" if proven else "NOT proven that nothing was lost or half-published"
    return f"{counts}\n{verdict}"
