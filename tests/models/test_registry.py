"""Classes that are found by being there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models.registry import classes_in

BASE = "class Base: pass\n"
ONE = "from base_of_tools import Base\nclass Hammer(Base):\n    name = 'hammer'\nclass Unnamed(Base): pass\n"
TWO = "from tools.one import Hammer\nclass Saw(Hammer):\n    name = 'saw'\nclass Other:\n    name = 'other'\n"
TWICE = "from base_of_tools import Base\nclass Another(Base):\n    name = 'saw'\n"


def test_a_class_is_found_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "base_of_tools.py").write_text(BASE)
    package = tmp_path / "tools"
    package.mkdir()
    for name, text in {"__init__": "", "one": ONE, "two": TWO}.items():
        (package / f"{name}.py").write_text(text)
    base = __import__("base_of_tools").Base
    try:
        found = classes_in("tools", [str(package)], base)
        assert {name: kind.__name__ for name, kind in found.items()} == {"hammer": "Hammer", "saw": "Saw"}
        (package / "twice.py").write_text(TWICE)
        with pytest.raises(ValueError, match="tools: two classes have the name saw"):
            classes_in("tools", [str(package)], base)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tools", "base_of_tools")]:
            del sys.modules[name]
