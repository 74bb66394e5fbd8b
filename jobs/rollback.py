"""Withdraws the published night, so that readers see the one before it."""

from __future__ import annotations

import argparse
from typing import Any

from jobs.night.views import show
from lake.command import Command, main
from lake.lake import Lake
from schemas.errors import UserError


def command(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
    """Withdraws the night that readers see; a second call goes back one night further.

    A call after one that was cut off shows the night that the first one went back to.

    Raises:
        UserError: no earlier night is published, or some of its files were removed.
    """
    nights = lake.published
    night = nights.current() if nights.is_withdrawn(nights.shown()) else nights.withdraw()
    if night is None:
        raise UserError("rollback: no night is published that readers could go back to")
    show(lake, night)
    return {"job": "rollback", "status": "done", "run_id": night.run_id, "outputs": dict(night.versions), "metrics": {}}


COMMAND = Command(name="rollback", description=__doc__ or "", run=command)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
