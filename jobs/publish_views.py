"""Publishes the SQL views for analysts."""

from __future__ import annotations

from lake.command import main
from lake.declaration import Job
from lake.run import Run
from lake.views import publish_view
from schemas.tables import all_contracts
from schemas.views import VIEWS


def steps(run: Run) -> None:
    """Creates or replaces all views."""
    tables = [contract.name for contract in all_contracts(run.settings.ranking.task_names)]
    for table in JOB.reads:
        run.version(table)
    for name, query in VIEWS.items():
        with run.step(f"publish {name}"):
            publish_view(run.lake.warehouse, name, query, tables)
    run.measure("views.published", len(VIEWS))


JOB = Job(
    name="publish_views",
    steps=steps,
    reads=("items", "semantic_ids", "sid_changes", "item_pairs"),
    after=("evaluate",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
