"""The script that spark-submit runs in cluster mode: ``run_job.py JOB [options]``.

If spark-submit ran a job's own file, the folder jobs/ would be first on Python's path, and modules such as ``evaluate``
or ``sql`` would hide other packages.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    runpy.run_module(f"jobs.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
