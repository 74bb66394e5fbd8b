"""A damaged artifact is refused by name, and made again in the way that the message says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.faults.nightly import Nightly
from tests.faults.same import assert_same
from tests.faults.tally import DONE


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_damaged_artifact_is_named_and_made_again(undisturbed: Nightly, tmp_path: Path) -> None:
    night = undisturbed.copy(tmp_path)
    codebooks = night.warehouse / "_artifacts" / "codebook"
    file = codebooks / (codebooks / "CURRENT").read_text().strip() / "codebook.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    DONE["artifacts truncated"] += 1
    refused = night.start("--only", "assign_semantic_ids").end(code=1)
    told = re.search(
        r"codebook\.safetensors is damaged \(its checksum differs\); restore the file, or remove the folder"
        r" file:(/\S+): the next nightly then makes it anew",
        refused,
    )
    assert told is not None, refused[-2000:]
    assert Path(told[1]) == file.parent
    shutil.rmtree(told[1])
    log = night.to_its_end("--until", "assign_semantic_ids")
    assert "fit_codebook: codebook is gone" in log
    assert_same(night, undisturbed, but=["ranker_examples", "predictions"])
