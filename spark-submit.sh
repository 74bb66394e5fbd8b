#!/usr/bin/env bash
# Runs one job of qarm with spark-submit:  ./spark-submit.sh JOB [options of spark-submit and of the job]
# QARM_PYTHON names another Python than .venv's; QARM_SPARK_HOME another Spark than the installed wheel's.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
python=${QARM_PYTHON:-$here/.venv/bin/python}
if [ ! -x "$python" ]; then
  echo "spark-submit.sh: $python is missing; run 'make setup', or set QARM_PYTHON to a Python that has qarm's dependencies" >&2
  exit 2
fi
# The caller's folder may hold modules of our names or of Python's own: it is on no path.
export PYTHONSAFEPATH=1
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m lake.launch "$@"
