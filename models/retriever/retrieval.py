"""Retrieval as it is saved: what is known of all users, the sources' constants, and the fitted fusion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.pairs.two_tower import load_two_tower
from models.retriever.background import Asked, Background
from models.retriever.candidates import Candidates, best_by
from models.retriever.fusion import Fusion
from models.retriever.histories import UserHistories
from models.retriever.items import ItemRule
from models.retriever.lists import Lists
from models.retriever.pool import Pool
from models.retriever.serving import Retriever
from models.retriever.source import SourceParameters
from models.retriever.towers import Towers
from models.retriever.writer import Writer

FORMAT = 2
"""Raised when a saved retrieval of an earlier version cannot be read."""
SMOOTHING = 60
"""Added to ranks in reciprocal rank fusion (Cormack et al., SIGIR 2009)."""
OF_ITEMS = ("content", "title", "category")
NUMBERS = "writer.npz"
"""File of the numbers of the retriever's items and actions."""
OF_TOWERS = ("number", "vectors")
OF_EVENTS = ("offsets", "item", "time", "action", "count")


@dataclass(frozen=True)
class Ranked:
    """Lists of a batch of users.

    Attributes:
        user: place of each row's user, shape (n,).
        item: number of its item, shape (n,).
        rank: rank in the list, from 1, shape (n,).
        score: score in the list, shape (n,).
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rank: NDArray[np.int64]
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Retrieval:
    """Everything that makes the lists of a user from the user's history.

    Attributes:
        background: what is known of all users.
        parameters: constants of the sources.
        most: number of candidates by source.
        fusion: the fitted fusion; None fuses by the sum of reciprocal ranks.
    """

    background: Background
    parameters: SourceParameters
    most: Mapping[str, int]
    fusion: Fusion | None

    @cached_property
    def pool(self) -> Pool:
        """The sources."""
        return Pool(self.background, self.parameters, self.most)

    def fused(self, candidates: Candidates, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """The score of each candidate in the fused list, shape (n,).

        Raises:
            ValueError: the fusion reads other numbers than the sources give.
        """
        if self.fusion is None:
            return reciprocal_ranks(candidates.rank)
        if self.fusion.names != self.pool.names:
            raise ValueError("the fusion was fitted on other sources; fit it again")
        return self.fusion.scores(numbers, Lists.of(candidates.user))

    def lists(self, asked: Asked, *, written: int, fused: int) -> Iterator[tuple[NDArray[np.int64], dict[str, Ranked]]]:
        """The lists of users, a batch of users at a time: one of each source, and the fused one under the name "".

        Args:
            asked: the users.
            written: most items of a source's list.
            fused: most items of the fused list.
        """
        for users, candidates, numbers in self.pool.batches(asked):
            found = {}
            for place, name in enumerate(candidates.sources):
                rank = candidates.rank[:, place]
                rows = np.flatnonzero((rank > 0) & (rank <= written))
                score = candidates.score[rows, place].astype(np.float64)
                found[name] = Ranked(candidates.user[rows], candidates.item[rows], rank[rows].astype(np.int64), score)
            score = self.fused(candidates, numbers)
            rows, place_in_list = best_by(candidates, score, fused, len(users))
            found[""] = Ranked(candidates.user[rows], candidates.item[rows], place_in_list, score[rows])
            yield users, found

    def save(self, folder: Path) -> None:
        """Writes everything to a folder, where the files of the retriever and of the two towers lie already."""
        own, background = self.background.histories, self.background
        card = {"format": FORMAT, "moment": background.moment, "most": dict(self.most)}
        card |= {"parameters": asdict(self.parameters), "fused_by": "fusion" if self.fusion else "ranks"}
        if background.writer is not None:
            own_writer = background.writer
            card["writer"] = {"beam": own_writer.beam, "most": own_writer.most, "rule": asdict(own_writer.rule)}
        if background.towers is not None:
            card["towers"] = {name: getattr(background.towers, name) for name in ("recent_length", "most")}
        (folder / "retrieval.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        for name in OF_ITEMS:
            np.save(folder / f"{name}.npy", getattr(background, name))
        for name in OF_EVENTS:
            np.save(folder / f"events_{name}.npy", getattr(own, name))
        if background.towers is not None:
            for name in OF_TOWERS:
                np.save(folder / f"towers_{name}.npy", getattr(background.towers, name))
        if background.writer is not None:
            np.savez(folder / NUMBERS, number=background.writer.number, action=background.writer.action)
        if background.pairs is not None:
            sparse.save_npz(folder / "pairs.npz", background.pairs)
        if self.fusion is not None:
            self.fusion.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Retrieval:
        """Reads what :meth:`save` wrote; the arrays are mapped into memory.

        Raises:
            ValueError: another version of qarm wrote it.
        """
        card = json.loads((folder / "retrieval.json").read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"{folder} was made by another version of qarm; run retrieve again")
        content, title, category = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in OF_ITEMS)
        events = {name: np.load(folder / f"events_{name}.npy", mmap_mode="r") for name in OF_EVENTS}
        now = np.full(len(events["offsets"]) - 1, card["moment"], np.int64)
        histories = UserHistories(**events, now=now)
        pairs = sparse.load_npz(folder / "pairs.npz") if (folder / "pairs.npz").exists() else None
        background = Background(card["moment"], content, title, category, histories, pairs)
        background = replace(background, writer=read_writer(folder, card), towers=read_towers(folder, card))
        fusion = Fusion.load(folder) if card["fused_by"] == "fusion" else None
        return cls(background, SourceParameters(**card["parameters"]), card["most"], fusion)


def read_writer(folder: Path, card: Mapping[str, Any]) -> Writer | None:
    """The retriever over the catalogue that lies in the folder; None if the retrieval has none."""
    if "writer" not in card:
        return None
    with np.load(folder / NUMBERS, allow_pickle=False) as numbers:
        given = {"number": numbers["number"], "action": numbers["action"], **card["writer"]}
    return Writer(Retriever.load(folder), **(given | {"rule": ItemRule(**card["writer"]["rule"])}))


def read_towers(folder: Path, card: Mapping[str, Any]) -> Towers | None:
    """The two-tower model and the items' vectors that lie in the folder; None if the retrieval has none."""
    if "towers" not in card:
        return None
    arrays = {name: np.load(folder / f"towers_{name}.npy", mmap_mode="r") for name in OF_TOWERS}
    return Towers(load_two_tower(folder), **arrays, **card["towers"])


def reciprocal_ranks(rank: NDArray[np.int32]) -> NDArray[np.float64]:
    """The sum over the sources of ``1 / (60 + rank)``, shape (n,).

    Args:
        rank: rank of each candidate in each source, 0 for none, shape (n, sources).
    """
    found: NDArray[np.float64] = np.where(rank > 0, 1.0 / (SMOOTHING + rank), 0.0).sum(1)
    return found
