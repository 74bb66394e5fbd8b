from __future__ import annotations

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[3] / "docs" / "mari.md"


def test_the_examples_of_the_page_run_and_save_multiplications() -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": "example"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3  # the third reads what export_ranker wrote: tests/models/ranker/serving/test_export.py
    for block in blocks[:2]:
        exec(block, names)
    card = names["once"].card  # type: ignore[attr-defined]
    assert card.before / card.after > 4
    assert card.refused == {}
    assert names["with_table"].card.with_table < card.after  # type: ignore[attr-defined]
