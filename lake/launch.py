"""What spark-submit.sh starts: checks the machine, then builds and starts the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lake.health import DOCTOR, check_machine
from lake.surroundings import check_surroundings
from schemas.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Runs :func:`lake.submit.main`, which imports pyspark, after the check that it is the right one.

    ``doctor`` tells all that it finds, before the first thing that fails keeps Spark from starting.
    """
    if arguments[:1] == [DOCTOR] and not {"-h", "--help"} & {*arguments} and not check_machine():
        return 2
    try:
        check_surroundings()
    except UserError as error:
        print(f"spark-submit.sh: {error}", file=sys.stderr)
        return 2
    from lake.submit import main as submit

    return submit(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
