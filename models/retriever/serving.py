"""A trained retriever that writes the semantic IDs that users take next; it knows no Spark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.retriever.beam import beam_search
from models.retriever.catalogue import Catalogue
from models.retriever.histories import UserHistories, behaviours_of
from models.retriever.network.network import Retriever as Network
from models.retriever.saved import load_network, read_card
from models.retriever.tree import CodeTree

USERS = 256
"""Users whose codes are searched at a time."""


@dataclass(frozen=True)
class GeneratedCodes:
    """Codes that a retriever wrote for a batch of users, the most probable first.

    Attributes:
        codes: numbers of the codes in :attr:`models.retriever.catalogue.Catalogue.codes`, padded with -1 where the
            catalogue has fewer codes than the beam, shape (users, beam).
        log_prob: logarithm of the probability of each code, -inf for padding, shape (users, beam).
    """

    codes: NDArray[np.int32]
    log_prob: NDArray[np.float32]


class Retriever:
    """A trained retriever with the catalogue that it writes codes of.

    Attributes:
        network: the network, in evaluation mode.
        catalogue: the items, whose numbers histories refer to, and the sorted table of their codes.
        actions: the positive actions, in the order of their numbers in histories.
    """

    def __init__(self, network: Network, catalogue: Catalogue, actions: list[str]) -> None:
        self.network = network
        self.catalogue = catalogue
        self.actions = actions

    @classmethod
    def load(cls, folder: Path) -> Retriever:
        """Loads the artifact ``retriever``; its popularity of items is that of the end of the train period.

        Args:
            folder: the artifact's files.

        Raises:
            ValueError: another version of qarm wrote them.
        """
        shape, actions = read_card(folder)
        catalogue = Catalogue.load(folder)
        return cls(load_network(folder, CodeTree.of(catalogue.codes, shape.prefix_rows)), catalogue, actions)

    def over(self, catalogue: Catalogue) -> Retriever:
        """The same retriever over another catalogue, e.g. tonight's with its new items; this one is used up.

        Args:
            catalogue: codes of the codebook that the retriever was trained with.
        """
        tree = CodeTree.of(catalogue.codes, self.network.shape.prefix_rows)
        return Retriever(self.network.over(tree), catalogue, self.actions)

    def generate(self, histories: UserHistories, *, beam: int) -> GeneratedCodes:
        """The codes that each user takes next, by beam search over the codes of the catalogue.

        The same histories give the same codes. Memory: the batch's users times ``beam`` times the widest level of the
        catalogue's tree of codes, 4 bytes each; :data:`USERS` users at a time.

        Args:
            histories: histories of the users, with the catalogue's numbers of items.
            beam: number of codes that are kept at each level, and returned.
        """
        found = []
        for start in range(0, histories.users, USERS):
            some = histories.take(np.arange(start, min(start + USERS, histories.users)))
            codes, log_prob = self._generated(some, beam)
            found.append((codes.cpu().numpy().astype(np.int32), log_prob.cpu().numpy().astype(np.float32)))
        empty = (np.zeros((0, beam), np.int32), np.zeros((0, beam), np.float32))
        return GeneratedCodes(*(np.concatenate(parts) for parts in zip(empty, *found, strict=True)))

    @torch.inference_mode()
    def _generated(self, histories: UserHistories, beam: int) -> tuple[Tensor, Tensor]:
        encoded = self.network.encode(self.batch_of(histories))
        return beam_search(self.network, encoded, histories.users, beam)

    def batch_of(self, histories: UserHistories) -> dict[str, Tensor]:
        """The columns of histories as tensors on the network's device."""
        columns = behaviours_of(histories, self.catalogue.item_code, self.network.shape.histories)
        return {name: torch.from_numpy(values).to(self.network.device) for name, values in columns.items()}
