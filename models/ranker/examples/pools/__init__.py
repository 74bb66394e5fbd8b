"""The pools of negatives, one file each; a new file with a subclass of ``Pool`` adds one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.ranker.examples.pool import Pool
from models.registry import classes_in

POOLS: Mapping[str, type[Pool]] = classes_in(__name__, __path__, Pool)  # type: ignore[type-abstract]
"""All pools by name."""


def pools_of(names: Sequence[str]) -> list[type[Pool]]:
    """The pools that ``examples.negatives_from`` names.

    Raises:
        ValueError: there is no pool of a name.
    """
    if unknown := [name for name in names if name not in POOLS]:
        raise ValueError(
            f"examples.negatives_from: there is no pool {unknown[0]}; name some of {', '.join(sorted(POOLS))}"
        )
    return [POOLS[name] for name in names]
