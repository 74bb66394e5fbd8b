from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.ranker.network import shape as shapes
from models.ranker.serving import inputs, sources
from models.ranker.serving.export import export
from models.ranker.serving.inputs import Lengths, drawn, inputs_of
from schemas.feature import Feature, Reads
from schemas.features import FEATURES
from tests.models.ranker.serving.test_scorer import TWO_TASKS, random_ranker
from tests.ranker_batches import NEIGHBOURS, TEXT_SHAPE

LENGTHS = Lengths(recent=3, found=4, neighbours=NEIGHBOURS)
SHAPE = replace(TWO_TASKS, mixture="shared")
ALONE = """
import json, sys, torch
import os; os.chdir("exported")
example = torch.load("example.pt")
spec = json.load(open("ranker.json"))
as_trained, rewritten = (torch.export.load(name).module() for name in spec["forms"])
user, candidates, columns = (example[side] for side in ("user", "candidates", "columns"))
for name, shape in ((i["name"], i["shape"]) for i in spec["inputs"]):
    values = user[name] if name in user else candidates[name]
    rows = len(example["scores"]) if shape[0] == "candidates" else 1
    assert list(values.shape) == [rows, *shape[1:]], name
assert list(columns) == [i["name"] for i in spec["inputs"]]
for scores in (as_trained(columns), rewritten(user, candidates)):
    torch.testing.assert_close(scores, example["scores"], atol=1e-5, rtol=0)
one = {name: values[:1] for name, values in candidates.items()}
torch.testing.assert_close(rewritten(user, one), example["scores"][:1], atol=1e-5, rtol=0)
others = {"jobs", "udfs", "lake", "models", "schemas", "pyspark", "numba", "faiss"}
ours = others & {name.split(".")[0] for name in sys.modules}
assert not ours, ours
print("scored", len(example["scores"]))
os.chdir("..")
"""
PAGE = Path(__file__).parents[4] / "docs" / "mari.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export") / "exported"
    made.mkdir()
    found = export(random_ranker(SHAPE), LENGTHS, "ranker-1", candidates=100, folder=made)
    assert found["difference"] <= 1e-5
    assert found["fewer_multiplications"] > 1
    return made


def test_a_ranker_with_texts_is_exported_with_its_bank(tmp_path: Path) -> None:
    found = export(random_ranker(TEXT_SHAPE), LENGTHS, "ranker-1", candidates=100, folder=tmp_path)
    assert found["difference"] <= 1e-5
    spec = json.loads((tmp_path / "ranker.json").read_text())
    (row,) = (one for one in spec["inputs"] if one["name"] == "text_row")
    assert (row["source"], row["below"]) == ("item", TEXT_SHAPE.texts[4])


def test_both_forms_score_in_a_process_that_has_torch_alone(folder: Path) -> None:
    of_page = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[-1]
    assert "exported/reparameterised.pt2" in of_page
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-P", "-c", ALONE + of_page],
        cwd=folder.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "scored 100" in found.stdout


def test_the_spec_tells_of_every_input_where_it_is_from_and_what_it_means(folder: Path) -> None:
    spec = json.loads((folder / "ranker.json").read_text())
    card = json.loads((folder / "card.json").read_text())
    told = {i["name"]: i for i in spec["inputs"]}
    assert set(told) == {*SHAPE.columns} - {*SHAPE.taught_by}
    assert all(i["meaning"] and i["zero"] and i["dtype"] in {"int32", "float32"} for i in told.values())
    sources = {name: i["source"] for name, i in told.items()}
    assert [sources[name] for name in ("hour", "recent_gap", "item_index", "item_events", "found_gap")] == [
        "moment", "user", "item", "item", "pair",
    ]  # fmt: skip
    assert told["sid_2"]["below"] == SHAPE.codes[1]
    assert told["neighbour_item"]["shape"] == ["candidates", NEIGHBOURS]
    assert [part["name"] for part in told["category_interval"]["parts"]] == ["days", "of_usual"]
    assert spec["ranker"] == "ranker-1"
    assert spec["output"]["tasks"] == list(SHAPE.tasks)
    assert card["multiplications"]["after"] < card["multiplications"]["before"]
    assert {node["colour"] for node in card["nodes"]} >= {"moment", "item", "pair"}


def test_a_feature_that_is_declared_is_an_input_without_further_ado(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Feature(name="mood", type="FLOAT", reads=Reads.AS_IS, comment="How the user feels", of_user=True)
    for module in (shapes, sources, inputs):
        monkeypatch.setattr(module, "FEATURES", (*FEATURES, new))
    monkeypatch.setattr(sources, "OF_USER", (*sources.OF_USER, "mood"))
    found = inputs_of(SHAPE, LENGTHS)
    mood = next(i for i in found if i.name == "mood")
    assert mood.spec == {
        "name": "mood", "source": "user", "dtype": "float32", "meaning": "How the user feels",
        "zero": "a measure of 0, also where there is nothing to measure", "shape": [1],
    }  # fmt: skip
    user, candidates = drawn(found, 5, seed=0)
    assert user["mood"].shape == (1,)
    with torch.inference_mode():
        columns = {name: values.expand(5, *values.shape[1:]) for name, values in user.items()} | candidates
        scores = random_ranker(SHAPE).probabilities(columns)
        moved = random_ranker(SHAPE).probabilities({**columns, "mood": columns["mood"] + 1})
    assert not torch.equal(scores, moved)
