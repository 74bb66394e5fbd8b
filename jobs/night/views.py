"""Shows readers a night: the SQL views and functions, and the file for readers outside Spark."""

from __future__ import annotations

import logging

from lake.lake import Lake
from lake.logs import first_line
from lake.published import Night
from lake.views import full_names, publish_function, publish_view
from schemas.contract import sql_literal
from schemas.errors import QarmError
from schemas.explaining import SEARCHES
from schemas.functions import FUNCTIONS
from schemas.tables import all_contracts
from schemas.views import VIEWS

log = logging.getLogger("qarm")


def show(lake: Lake, night: Night) -> None:
    """Creates or replaces all views and functions, and writes ``published.json``.

    Args:
        lake: Spark and the warehouse.
        night: the night that ``published`` says readers see.
    """
    tables = [contract.name for contract in all_contracts(lake.settings.ranking.task_names)]
    texts = full_names(lake.warehouse, tables=tables, views=VIEWS, versions=night.versions) | texts_of(lake, night)
    for name, view in VIEWS.items():
        publish_view(lake.warehouse, name, view.query.format_map(texts), comment=view.comment)
    for name, function in FUNCTIONS.items():
        publish_function(lake.warehouse, name, function.definition(function.query.format_map(texts)))
    lake.published.write_pointer(night, lake.artifacts.root)


def show_again(lake: Lake) -> None:
    """Shows the night that ``published`` says readers see, if the command that published it was cut off before that."""
    night = lake.published.current()
    if night is None or lake.published.shown() == night.run_id:
        return
    log.info("night %s was published, but not shown to readers; shows it", night.run_id)
    try:
        show(lake, night)
    except QarmError as error:  # an artifact of it is gone; tonight's night takes its place
        log.warning("night %s cannot be shown: %s", night.run_id, first_line(error))


def texts_of(lake: Lake, night: Night) -> dict[str, str]:
    """What queries say of a night beside its tables: the positive actions, the first task, and the kind of search.

    They are those that the night's examples were built with; without examples, those of the settings.
    """
    tasks, search = lake.settings.ranking.tasks, lake.settings.examples.search
    if version := night.versions.get("search_index"):
        card = lake.artifacts.get("search_index", version).card
        tasks, search = card["ranking"]["tasks"], card["examples"]["search"]
    condition, order = SEARCHES[search]
    actions = sorted({action for actions in tasks.values() for action in actions})
    return {
        "positive_actions": ", ".join(map(sql_literal, actions)),
        "task": next(iter(tasks)),
        "search_condition": condition,
        "search_order": order,
    }
