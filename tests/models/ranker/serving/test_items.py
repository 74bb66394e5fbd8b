from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.ranker.examples.search_index import SearchIndex
from models.ranker.serving.items import holds_table
from models.ranker.serving.scorer import Scorer
from schemas.names import SID_COLUMNS
from tests.models.ranker.serving.test_scorer import drawn, random_ranker
from tests.ranker_batches import NEIGHBOURS, SHAPE
from tests.search_indexes import random_index

CATALOGUE = 18


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(random_ranker(SHAPE), NEIGHBOURS)


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    """A catalogue whose rows and codes are those of the small ranker's tables."""
    draw, drawn_index = np.random.default_rng(0), random_index(CATALOGUE)
    arrays = {
        "item_index": np.arange(1, 1 + CATALOGUE, dtype=np.int32),
        "codes": draw.integers(0, 5, (CATALOGUE, 3)).astype(np.int32),
        "neighbours": draw.integers(0, 20, (CATALOGUE, NEIGHBOURS)).astype(np.int32),
    }
    return SearchIndex(**{**vars(drawn_index), **arrays})


@pytest.fixture(scope="module")
def folder(scorer: Scorer, index: SearchIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ranker")
    assert scorer.items is not None
    scorer.items.write(index, made, "qarm")
    return made


def test_a_table_gives_the_scores_that_are_computed_without_it(
    scorer: Scorer, index: SearchIndex, folder: Path
) -> None:
    user, candidates = drawn(40)
    rows = np.random.default_rng(1).integers(0, CATALOGUE, 40)
    of_index = {"item_index": index.item_index, "neighbour_item": index.neighbours}
    of_index |= {name: index.codes[:, level] for level, name in enumerate(SID_COLUMNS)}
    candidates |= {name: torch.from_numpy(values[rows]) for name, values in of_index.items()}
    few = candidates["item_events"] < SHAPE.id_events
    assert 0 < int(few.sum()) < 40  # some are read as the unknown item, whatever the table says
    assert scorer.items is not None
    table = scorer.items.mapped(index, folder, "qarm")
    assert isinstance(table, np.memmap)
    with torch.inference_mode():
        computed = scorer.reading(None).probabilities(user, candidates)
        read = scorer.reading(table).probabilities(user, candidates, rows)
        moved = scorer.probabilities(user, candidates, (rows + 1) % CATALOGUE)
    torch.testing.assert_close(read, computed, atol=1e-6, rtol=0)
    assert torch.equal(read.argsort(0), computed.argsort(0))
    assert not torch.allclose(moved[~few], computed[~few], atol=1e-3)  # it is the table that is read


def test_a_table_of_other_sums_is_not_read(
    scorer: Scorer, index: SearchIndex, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert scorer.items is not None
    assert scorer.items.mapped(index, tmp_path, "qarm") is None
    assert holds_table({path.name: "" for path in folder.iterdir()}, "qarm")
    assert not holds_table({"qarm.items.npy": "", "qarm.safetensors": ""}, "qarm")
    turned = SearchIndex(**{**vars(index), "neighbours": np.roll(index.neighbours, 1, axis=0)})
    shorter = SearchIndex(**{**vars(index), "item_index": index.item_index[:-1]})
    for other in (turned, shorter):
        assert scorer.items.mapped(other, folder, "qarm") is None
    numbers, names = (next(folder.glob(pattern)) for pattern in ("*.npy", "*.json"))
    (tmp_path / names.name).write_bytes(names.read_bytes())
    np.save(tmp_path / numbers.name, np.load(numbers) + np.float32(0.01))
    assert scorer.items.mapped(index, tmp_path, "qarm") is None, "of other weights"
    (tmp_path / numbers.name).write_bytes(numbers.read_bytes())
    assert scorer.items.mapped(index, tmp_path, "qarm") is not None
    (tmp_path / names.name).write_bytes(names.read_bytes().replace(b"query_found", b"query_other"))
    assert scorer.items.mapped(index, tmp_path, "qarm") is None
    assert caplog.text.count("holds other sums; each candidate's part is computed") == 4
