"""Publishes a night by hand: one that the gate held back, or an earlier one."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from jobs.night.views import show
from lake.command import Command, main
from lake.declaration import Option
from lake.lake import Lake
from schemas.errors import UserError


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Makes the night RUN_ID the one that readers see.

    Raises:
        UserError: no night is named, there is no such night, or some of its files were removed.
    """
    if options.run_id is None:
        known = ", ".join(f"{night.run_id} ({night.verdict})" for night in lake.published.nights()[-5:]) or "none yet"
        raise UserError(f"name the night: publish RUN_ID; the newest are {known}")
    night = lake.published.publish(options.run_id, datetime.now(UTC))
    show(lake, night)
    return {"job": "publish", "status": "done", "run_id": night.run_id, "outputs": dict(night.versions), "metrics": {}}


COMMAND = Command(
    name="publish",
    description=__doc__ or "",
    run=command,
    examples=("20250331T020000-1a2b3c",),
    options=(
        Option(flags=("run_id",), help="the night, as table published names it", metavar="RUN_ID", more={"nargs": "?"}),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
