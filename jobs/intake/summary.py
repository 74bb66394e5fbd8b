"""What ingest took, folded, rejected and did not read, as a short table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake.inputs.part import Part, lookalike

MOST = 8
"""Reasons, actions or columns named in one line of the table."""


FOLDED = {"interactions": "ingest.duplicates_folded", "items": "ingest.items_folded"}
"""The two inputs, and the number of their rows that were folded."""


@dataclass(frozen=True)
class Intake:
    """What became of the rows of an input.

    Attributes:
        rows: number of all rows.
        folded: number of rows that repeat one that was taken.
        rejected: number of rejected rows by reason.
    """

    rows: float
    folded: float
    rejected: Mapping[str, float]

    @property
    def taken(self) -> float:
        """Number of rows that were taken."""
        return self.rows - self.folded - sum(self.rejected.values())


def intake_of(metrics: Mapping[str, float], source: str) -> Intake:
    """What became of the rows of an input.

    Args:
        metrics: numbers of one run of ingest, by ``name`` or ``name/slice``.
        source: ``interactions`` or ``items``.
    """
    rejected = {
        key.removeprefix("ingest.rejected.").rsplit("/", 1)[0]: count
        for key, count in metrics.items()
        if key.startswith("ingest.rejected.") and key.endswith(f"/{source}") and count
    }
    return Intake(metrics[f"ingest.rows/{source}"], metrics.get(FOLDED[source], 0), rejected)


def intake_table(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """The lines of the table: what, and the numbers.

    Args:
        metrics: numbers of one run of ingest, by ``name`` or ``name/slice``.

    Returns:
        Pairs of texts; empty if the run was of an earlier qarm, which did not count rows.
    """
    if "ingest.rows/interactions" not in metrics:
        return []
    table = [(source, _told(intake_of(metrics, source))) for source in FOLDED]
    actions = _slices(metrics, "ingest.events_by_action")
    total = metrics["ingest.interactions"]
    shares = [f"{name} {count:,.0f} ({count / max(total, 1):.1%})" for name, count in _largest_first(actions)]
    table.append(("actions", _some(shares)))
    if without := metrics.get("ingest.without_action", 0):
        table.append(("without an action", f"{without:,.0f} rows took ingest.default_action"))
    log_items, unknown = (metrics.get(f"ingest.{name}", 0) for name in ("items_of_log", "items_not_in_catalogue"))
    if log_items:
        table.append(
            ("not in the catalogue", f"{unknown:,.0f} of the log's {log_items:,.0f} items ({unknown / log_items:.1%})")
        )
    for source in FOLDED:
        slices = _slices(metrics, f"ingest.unread_column/{source}")
        if slices:
            table.append((f"not read, {source}", _some(sorted(slices))))
    return table


def intake_text(metrics: Mapping[str, float]) -> str:
    """The table as text."""
    return "\n".join(f"{what:<26}{numbers}" for what, numbers in intake_table(metrics))


def unread_columns(parts: Sequence[Part], known: Sequence[str], are_attributes: bool) -> list[str]:
    """Columns of an input that are not read, with the name of ours that one of them probably means.

    Args:
        parts: the input, with our names.
        known: columns that are read.
        are_attributes: whether other columns are attributes, so that only those are told that look like ours.
    """
    there = {name for part in parts for name in part.names}
    missing = [name for name in known if name not in there]
    unread = sorted(name for name in there if name not in known and name.strip())
    hints = {name: lookalike(name, missing) for name in unread}
    texts = [f"{name} (is it {own}? --rename {name}={own})" if own else name for name, own in hints.items()]
    return [text for name, text in zip(hints, texts, strict=True) if hints[name] or not are_attributes]


def _told(intake: Intake) -> str:
    reasons = _some([f"{count:,.0f} {reason}" for reason, count in _largest_first(intake.rejected)])
    return (
        f"{intake.rows:,.0f} rows: {intake.taken:,.0f} taken,"
        f" {intake.folded:,.0f} folded as duplicates, {sum(intake.rejected.values()):,.0f} rejected"
        + (f" ({reasons})" if reasons else "")
    )


def _slices(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    return {key.removeprefix(f"{name}/"): value for key, value in metrics.items() if key.startswith(f"{name}/")}


def _largest_first(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return ", ".join(texts[:MOST]) + more
