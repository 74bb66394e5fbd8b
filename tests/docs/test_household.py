from __future__ import annotations

import pandas as pd
import pytest

from demo.household import lines_of

ITEMS = pd.DataFrame(
    {
        "item_id": ["1", "2"],
        "title": ["BREAD:WHITE ", "MILK"],
        "attributes": [[("brand", "Private"), ("package_size", "20 OZ ")], None],
    }
)
LISTED = pd.DataFrame(
    {"user_id": ["7", "7", "8"], "rank": [2, 1, 1], "item_id": ["1", "2", "2"], "reason": ["b", "a", "c"]}
)


def test_a_households_list_is_in_order_and_in_words() -> None:
    assert lines_of(LISTED, ITEMS, "7") == [
        "   1. milk                          a",
        "   2. bread:white (Private, 20 OZ)  b",
    ]
    with pytest.raises(SystemExit, match="--household 9: it has no list"):
        lines_of(LISTED, ITEMS, "9")
