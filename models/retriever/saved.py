"""Saves a retriever's network as one safetensors file and one JSON card, and loads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file

from models.retriever.network.network import Retriever
from models.retriever.network.shape import RetrieverShape
from models.retriever.tree import CodeTree

FORMAT = 1
WEIGHTS, CARD = "retriever.safetensors", "retriever.json"


def save_network(network: Retriever, folder: Path, actions: Sequence[str]) -> None:
    """Writes the weights, and a card with the shape and the names of the actions."""
    save_file(network.state_dict(), folder / WEIGHTS)
    card = {"format": FORMAT, "actions": list(actions), "shape": asdict(network.shape)}
    (folder / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")


def read_card(folder: Path) -> tuple[RetrieverShape, list[str]]:
    """The shape and the names of the actions.

    Raises:
        ValueError: another version of qarm wrote the files.
    """
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    if card.get("format") != FORMAT:
        raise ValueError(f"{folder / CARD} is not of format {FORMAT}: another qarm made it; run train_retriever again")
    return RetrieverShape(**card["shape"]), card["actions"]


def load_network(folder: Path, tree: CodeTree) -> Retriever:
    """Loads the network in evaluation mode.

    Args:
        folder: the folder that :func:`save_network` wrote to.
        tree: the codes that it writes.

    Raises:
        ValueError: another version of qarm wrote the files.
    """
    network = Retriever(read_card(folder)[0], tree)
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()
