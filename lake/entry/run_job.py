"""What spark-submit runs where the driver lives in the cluster: ``run_job.py JOB [options]``.

A job's own file would put its folder first on Python's path, where ``evaluate`` or ``sql`` hide other packages.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    runpy.run_module(f"jobs.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
