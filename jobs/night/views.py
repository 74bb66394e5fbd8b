"""Shows readers a night: the SQL views and the file for readers outside Spark."""

from __future__ import annotations

from lake.published import Night
from lake.run import Lake
from lake.views import publish_view
from schemas.tables import all_contracts
from schemas.views import VIEWS


def show(lake: Lake, night: Night) -> None:
    """Creates or replaces all views, and writes ``published.json``.

    Args:
        lake: Spark and the warehouse.
        night: the night that ``published`` says readers see.
    """
    tables = [contract.name for contract in all_contracts(lake.settings.ranking.task_names)]
    for name, query in VIEWS.items():
        publish_view(lake.warehouse, name, query, tables=tables, versions=night.versions)
    lake.published.write_pointer(night, lake.artifacts.root)
