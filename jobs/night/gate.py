"""The gate: compares the numbers of a night with those of the published night, by the limits of section ``gate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from schemas.sections import GateSettings

ROWS, NULLS, COLLISIONS, MOVED = "night.rows", "night.nulls", "night.collision_rate", "night.moved_sids"
AUC, AUC_LOW, AUC_HIGH = "night.auc", "night.auc_low", "night.auc_high"


@dataclass(frozen=True)
class Compared:
    """One number of the night beside that of the published night.

    Attributes:
        of: the table, column or task that it is of.
        now: tonight's value.
        before: the published night's value.
        low: lower end of the interval of tonight's value, if it has one.
        high: upper end.
    """

    of: str
    now: float
    before: float
    low: float
    high: float


def reasons_to_hold_back(
    now: Mapping[str, float], before: Mapping[str, float], limits: GateSettings, *, unknown: Collection[str] = ()
) -> list[str]:
    """Why a night must not be published; empty if it may.

    Args:
        now: numbers of the night, by ``name`` or ``name/slice``.
        before: the same numbers of the published night; empty if no night is published.
        limits: the limits.
        unknown: numbers that were to be measured tonight and could not be.
    """
    return [*_gone(now, before), *_unmeasured(unknown, before), *_complaints(now, before, limits)]


def _gone(now: Mapping[str, float], before: Mapping[str, float]) -> Iterator[str]:
    for key in sorted(before.keys() - now.keys()):
        name, _, table = key.partition("/")
        if name == ROWS:
            yield f"table {table}, which the published night has, is gone"


def _unmeasured(unknown: Collection[str], before: Mapping[str, float]) -> Iterator[str]:
    for key in sorted(before.keys() & {*unknown}):
        name, _, of = key.partition("/")
        if name == AUC:
            yield (
                f"test AUC of {of}, which the published night has, cannot be measured: the test examples have one class"
                " only, or there are none"
            )
        if name == COLLISIONS:
            yield "the collision rate, which the published night has, was not measured"


def _complaints(now: Mapping[str, float], before: Mapping[str, float], limits: GateSettings) -> Iterator[str]:
    known = {MOVED: 0.0, **before}  # moved semantic IDs are already measured against the published night
    for key in sorted(now.keys() & known.keys()):
        name, _, of = key.partition("/")
        low, high = (now.get(f"{bound}/{of}", now[key]) for bound in (AUC_LOW, AUC_HIGH))
        complaint = CHECKS[name](Compared(of, now[key], known[key], low, high), limits) if name in CHECKS else None
        if complaint is not None:
            yield complaint


def _rows(table: Compared, limits: GateSettings) -> str | None:
    counted = f"table {table.of} has {table.now:,.0f} rows, and {table.before:,.0f} in the published night"
    if table.now < limits.least_rows * table.before:
        return f"{counted}: less than gate.least_rows = {limits.least_rows:g} of them"
    if table.before and table.now > limits.most_rows * table.before:
        return f"{counted}: more than gate.most_rows = {limits.most_rows:g} times them"
    return None


def _nulls(column: Compared, limits: GateSettings) -> str | None:
    if column.now - column.before <= limits.most_new_nulls:
        return None
    return (
        f"{column.now:.1%} of column {column.of} are null, and {column.before:.1%} in the published night: a rise of"
        f" more than gate.most_new_nulls = {limits.most_new_nulls:g}"
    )


def _collisions(rate: Compared, limits: GateSettings) -> str | None:
    if rate.now - rate.before <= limits.most_new_collisions:
        return None
    return (
        f"{rate.now:.1%} of the contents share their semantic ID, and {rate.before:.1%} in the published night: a rise"
        f" of more than gate.most_new_collisions = {limits.most_new_collisions:g}"
    )


def _moved(share: Compared, limits: GateSettings) -> str | None:
    if share.now <= limits.most_moved_sids:
        return None
    return (
        f"{share.now:.1%} of the items moved to another semantic ID: more than gate.most_moved_sids ="
        f" {limits.most_moved_sids:g}"
    )


def _auc(task: Compared, limits: GateSettings) -> str | None:
    if task.high >= task.before - limits.most_lost_auc:
        return None
    return (
        f"test AUC of {task.of} is {task.now:.4f} (95 % interval {task.low:.4f} to {task.high:.4f}), and"
        f" {task.before:.4f} in the published night: a fall of more than gate.most_lost_auc = {limits.most_lost_auc:g}"
    )


CHECKS: dict[str, Callable[[Compared, GateSettings], str | None]] = {
    ROWS: _rows,
    NULLS: _nulls,
    COLLISIONS: _collisions,
    MOVED: _moved,
    AUC: _auc,
}
"""The check of each kind of number; it returns the complaint, or None."""
