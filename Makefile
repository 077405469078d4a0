# Every target does its own set-up: a bare machine needs Python 3.11+ and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# One virtual environment, two stamps: what `demo` needs is a subset of what `test` needs.
$(BIN)/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Rollwatch needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/run.stamp: $(BIN)/uv requirements/run.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: help demo demo-kafka dashboards screenshots test test-fast lint types fmt bench bench-detectors lock faults
help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

demo: $(VENV)/run.stamp ## a simulated fleet and the status page; no Java, no Docker, no broker
	@$(BIN)/rollwatch demo

demo-kafka: $(VENV)/dev.stamp ## the same on real parts: Apache Kafka, PostgreSQL, Envoy
	@$(BIN)/rollwatch demo --kafka

dashboards: $(VENV)/dev.stamp ## Grafana's JSON from its source, checked against Grafana's own types, PostgreSQL and Prometheus
	$(BIN)/python dashboards/generate.py
	$(BIN)/python dashboards/alerts.py
	$(BIN)/python -m pytest -q tests/unit/dashboards tests/integration/dashboards

screenshots: $(VENV)/dev.stamp ## pictures of the demo's pages into docs/images (needs Debian's chromium)
	$(BIN)/python -m tests.e2e.screenshots

test: lint types $(VENV)/dev.stamp ## everything: lint, types, all tests against real parts
	$(BIN)/python -m pytest

test-fast: $(VENV)/dev.stamp ## unit tests only
	$(BIN)/python -m pytest tests/unit -q

lint: $(VENV)/dev.stamp ## ruff, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/dev.stamp ## mypy --strict
	$(BIN)/mypy

fmt: $(VENV)/dev.stamp ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(BIN)/uv ## renew the locked, hashed requirements
	$(BIN)/uv pip compile pyproject.toml --group build --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --extra parts --extra confluent --group dev --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements/dev.txt

faults: $(VENV)/dev.stamp ## kill -9 two hundred times, and everything else that the world does to a worker
	ROLLWATCH_TEST_KILLS=200 $(BIN)/python -m pytest tests/e2e/test_faults.py tests/e2e/test_changed_topics.py --timeout=1800

bench: $(VENV)/dev.stamp ## what ingest (beside the usual ways), decisions, replays, pages and panels cost; three quarters of an hour
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/decisions.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/pages.py
	$(BIN)/python benchmarks/dashboards.py

bench-detectors: $(VENV)/dev.stamp ## our detector beside usual tools, on simulated fleets that trained nobody
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/detectors.py --seeds report --fleets 2 --keys 100 --days 9 --busiest 0.6
