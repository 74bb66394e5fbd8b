"""The arrays of behaviour vectors: those of one fit, and those of all fits as a search index holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.periods import Periods
from models.ranker.examples.shrinkage import Neighbourhood, shrink
from schemas.ranking_sections import BehaviourSettings

LAST_FIT = "last_fit_"
"""Prefix of the files that hold the last fit without shrinkage."""


@dataclass(frozen=True)
class Fit:
    """Behaviour vectors of one fit, without shrinkage, which depends on the other items of the night.

    Attributes:
        coarse, fine: short and long vectors, of length 1, or 0 for an item without events before the fit; shape
            (items, d).
        audience: mean taste, in long vectors, of the users who took each item, 0 if there are none; shape (items, d).
        mean: the mean user, in long vectors, shape (d,).
        takers: number of users who took each item, shape (items,).
    """

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]
    audience: NDArray[np.float32]
    mean: NDArray[np.float32]
    takers: NDArray[np.int64]

    def shrunk(self, towards: Neighbourhood | None, strength: float) -> Fit:
        """The fit with vectors shrunk toward those of similar items; as it is if there are no neighbourhoods."""
        if towards is None:
            return self
        coarse, fine = (shrink(vectors, self.takers, towards, strength) for vectors in (self.coarse, self.fine))
        return replace(self, coarse=coarse, fine=fine)

    def for_items(self, count: int) -> Fit:
        """The fit for more items, of which the new ones have no vectors."""
        return Fit(
            *(
                _longer(array, count) if array.ndim > 1 or name == "takers" else array
                for name, array in vars(self).items()
            )
        )

    def save(self, folder: Path) -> None:
        """Writes the arrays, for a later night."""
        for name, array in vars(self).items():
            np.save(folder / f"{LAST_FIT}{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Fit:
        """Reads the arrays that :meth:`save` wrote."""
        return cls(*(np.load(folder / f"{LAST_FIT}{field.name}.npy") for field in fields(cls)))


@dataclass(frozen=True)
class Behaviours:
    """Behaviour vectors of all fits, shrunk.

    Attributes:
        behaviour_coarse, behaviour_fine, behaviour_audience: see :class:`Fit`, shape (fits, items, d).
        behaviour_mean: the mean user, in long vectors, shape (fits, d).
        behaviour_until: exclusive end of the log of each fit, in microseconds since 1970, shape (fits,).
    """

    behaviour_coarse: NDArray[np.float32]
    behaviour_fine: NDArray[np.float32]
    behaviour_audience: NDArray[np.float32]
    behaviour_mean: NDArray[np.float32]
    behaviour_until: NDArray[np.int64]

    @classmethod
    def of(cls, fits: Sequence[Fit], days: Sequence[date], count: int, settings: BehaviourSettings) -> Behaviours:
        """The vectors of some fits, with the days before whose beginning their logs end."""
        dims = {"coarse": settings.coarse_dim, "fine": settings.fine_dim, "audience": settings.fine_dim}
        shapes: dict[str, tuple[int, ...]] = {name: (len(fits), count, dim) for name, dim in dims.items()}
        shapes |= {"mean": (len(fits), settings.fine_dim)}
        arrays = {
            f"behaviour_{name}": np.array([getattr(fit, name) for fit in fits], np.float32).reshape(shape)
            for name, shape in shapes.items()
        }
        return cls(**arrays, behaviour_until=np.array([Periods.microseconds(day) for day in days], np.int64))

    @classmethod
    def load(cls, folder: Path) -> Behaviours:
        """Reads the vectors of a search index."""
        return cls(*(np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(cls)))

    def for_items(self, count: int) -> Behaviours:
        """The vectors for more items, of which the new ones have none."""
        of_items = ("behaviour_coarse", "behaviour_fine", "behaviour_audience")
        return replace(self, **{name: _longer(getattr(self, name), count, axis=1) for name in of_items})

    def replacing_last(self, fit: Fit) -> Behaviours:
        """The vectors with another last fit, of the same day."""
        firsts = Behaviours(**{name: array[:-1] for name, array in vars(self).items()})
        return replace(firsts._with(fit), behaviour_until=self.behaviour_until)

    def adding(self, fit: Fit, day: date) -> Behaviours:
        """The vectors with one more fit."""
        return replace(self._with(fit), behaviour_until=np.append(self.behaviour_until, Periods.microseconds(day)))

    def _with(self, fit: Fit) -> Behaviours:
        names = ("coarse", "fine", "audience", "mean")
        pairs = {name: (getattr(self, f"behaviour_{name}"), getattr(fit, name)[None]) for name in names}
        return replace(self, **{f"behaviour_{name}": np.concatenate(pair) for name, pair in pairs.items()})


def _longer(array: NDArray[Any], count: int, axis: int = 0) -> NDArray[Any]:
    more = [(0, count - array.shape[axis] if n == axis else 0) for n in range(array.ndim)]
    return np.pad(array, more)
