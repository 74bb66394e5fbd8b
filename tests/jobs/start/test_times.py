"""How times are written, told from their texts."""

from __future__ import annotations

import pytest

from jobs.start.times import time_form


@pytest.mark.parametrize(
    ("values", "pattern", "zone"),
    [
        (("2024-05-01", "2024-05-02"), "", False),
        (("2024-05-01 10:00:00", "2024-05-02T10:00:00.5"), "", False),
        (("2024-05-01T10:00:00Z", "2024-05-02T10:00:00+02:00"), "", True),
        (("881250949", "891717742.5"), "", True),
        (("1714557600000",), "", True),
        (("20240501", "20240531"), "yyyyMMdd", False),
        (("31/05/2024 10:15", "01/06/2024 11:00"), "dd/MM/yyyy HH:mm", False),
        (("05/31/2024 10:15:01",), "MM/dd/yyyy HH:mm:ss", False),
        (("31.05.2024",), "dd.MM.yyyy", False),
        (("2024/05/31 10:15",), "yyyy/MM/dd HH:mm", False),
    ],
)
def test_forms_of_times(values: tuple[str, ...], pattern: str, zone: bool) -> None:
    form = time_form(values)
    assert form is not None
    assert (form.pattern, form.zone) == (pattern, zone)


@pytest.mark.parametrize("values", [(), ("10:30",), ("17", "18"), ("1995", "1996"), ("spring", "2024-05-01"), ("3.5",)])
def test_no_times(values: tuple[str, ...]) -> None:
    assert time_form(values) is None


def test_a_day_that_could_be_a_month_is_told() -> None:
    form = time_form(("01/02/2024",))
    assert form is not None
    assert form.words == "dd/MM/yyyy (MM/dd/yyyy would fit too)"
