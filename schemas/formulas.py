"""SQL for what several views and functions compute."""

from __future__ import annotations

SHARED = "array_position(zip_with(split({a}, '-'), split({b}, '-'), (x, y) -> x <=> y), false)"
COSINE = "aggregate(zip_with({a}, {b}, (x, y) -> CAST(x AS DOUBLE) * y), 0D, (sum, x) -> sum + x)"


def shared_levels(a: str, b: str) -> str:
    """SQL for the number of leading codes that two semantic IDs have in common.

    Args:
        a: SQL for the first semantic ID.
        b: SQL for the second one.
    """
    differs_at = SHARED.format(a=a, b=b)
    return f"CAST(CASE {differs_at} WHEN 0 THEN size(split({a}, '-')) ELSE {differs_at} - 1 END AS INT)"


def prefix(sid: str, levels: str) -> str:
    """SQL for the first codes of a semantic ID.

    Args:
        sid: SQL for the semantic ID.
        levels: SQL for the number of codes.
    """
    return f"array_join(slice(split({sid}, '-'), 1, {levels}), '-')"


def cosine(a: str, b: str) -> str:
    """SQL for the inner product of two vectors, which is the cosine of vectors of norm 1.

    Args:
        a: SQL for the first vector.
        b: SQL for the second one.
    """
    return COSINE.format(a=a, b=b)
