"""Why a row is rejected, whatever the input: it is malformed, or it lacks an id."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.inputs.part import Part
from lake.inputs.values import lossy_id

MALFORMED_ROW = "malformed_row"
"""The number of fields is not that of the header, or the line is no JSON object."""


def unusable_row(part: Part, ids: Sequence[str]) -> Column:
    """Why a row cannot be used as it stands: it is malformed, or a float has rounded an id. Null for the others.

    Args:
        part: rows of an input, with our names; the result refers to them.
        ids: columns that hold ids.
    """
    rounded = [(name, field) for name in ids if (field := part.find(name)) is not None]
    return F.coalesce(
        F.when(part.malformed.isNotNull(), MALFORMED_ROW),
        *(F.when(lossy_id(field.column, field.kind), f"rounded_{name}") for name, field in rounded),
    )


def missing_id(ids: Sequence[str]) -> Column:
    """Which id a row lacks, as the reason for its rejection; null if none.

    Args:
        ids: columns that hold ids, after :func:`lake.inputs.values.as_id`.
    """
    return F.coalesce(*(F.when(F.col(name).isNull(), f"null_{name}") for name in ids))
