from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.retriever.catalogue import Catalogue
from models.retriever.saved import CARD, save_network
from models.retriever.serving import Retriever
from tests.models.retriever.networks import catalogue, histories, network


def saved(folder: Path) -> tuple[Retriever, Catalogue]:
    torch.set_num_threads(1)
    known = catalogue()
    net = network(known)
    save_network(net, folder, ["click", "order"])
    known.save(folder)
    return Retriever(net, known, ["click", "order"]), known


def test_a_saved_retriever_writes_the_same_codes(tmp_path: Path) -> None:
    made, known = saved(tmp_path)
    loaded = Retriever.load(tmp_path)
    assert loaded.actions == ["click", "order"]
    for name in ("item_code", "codes", "content", "popularity"):
        assert np.array_equal(getattr(loaded.catalogue, name), getattr(known, name))
    assert loaded.catalogue.item_id.to_pylist() == known.item_id.to_pylist()
    one, other = (of.generate(histories(), beam=12) for of in (made, loaded))
    assert np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.log_prob, other.log_prob)


def test_another_nights_catalogue_is_written_and_new_codes_too(tmp_path: Path) -> None:
    made, known = saved(tmp_path)
    new = np.array([[5, 4, 6]], np.int32)
    more = Catalogue.of(known.item_id[:1], np.concatenate([known.codes[:20], new]))
    of = histories(items=20)
    wide = made.over(more).generate(of, beam=len(more.codes))
    assert np.array_equal(np.sort(wide.codes, axis=1), np.tile(np.arange(len(more.codes)), (of.users, 1)))
    assert np.exp(wide.log_prob).sum(1) == pytest.approx(np.ones(of.users), abs=1e-4)


def test_another_format_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | {"format": 0}))
    with pytest.raises(ValueError, match="run train_retriever again"):
        Retriever.load(tmp_path)
