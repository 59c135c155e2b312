# Needs Python 3.11 or newer with pip, and make; everything else is fetched into .venv by the first target that needs it.
# `make help` says what there is.

PYTHON ?= python3
PORT ?= 8000
DATA ?= ./.data
BACKENDS ?=
PROCESSES ?=
API ?=
ARGS ?=
PYTEST_ARGS ?= -n 2 --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MANIFESTS := pyproject.toml uv.lock $(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml)
SOURCES := conftest.py src plugins examples tests scripts
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml))

# The environment is .venv whatever else is active, on the interpreter that made it.
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
export UV_PYTHON_DOWNLOADS := never
export COVERAGE_FILE := $(CURDIR)/.coverage
export NO_MKDOCS_2_WARNING := 1
unexport VIRTUAL_ENV
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install run dev services web ops list embedded demo bench test proof check lint format types layers docs docs-generate docs-serve screenshots first-purchase contracts wheels matrix clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## make .venv with everything in it (other targets do this by themselves)

$(INSTALLED): $(MANIFESTS)
	@echo "== install into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ticketkit needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ": say make PYTHON=python3.13, for one")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv sync --quiet --all-packages --all-groups --locked
	@touch $@

run: install ## all five services on http://127.0.0.1:$PORT, data in $DATA, on $BACKENDS
	@exec $(BIN)/ticketkit-marketplace run --port $(PORT) --data "$(DATA)" $(if $(BACKENDS),--backends $(BACKENDS)) $(ARGS)

dev: install ## the same, started anew whenever a file is saved
	@exec $(BIN)/ticketkit-marketplace run --reload --port $(PORT) --data "$(DATA)" $(ARGS)

services: install ## each service and the web client a process of its own, on PostgreSQL, NATS and Redis, behind http://127.0.0.1:$PORT
	@exec $(BIN)/ticketkit-marketplace services --port $(PORT) --data "$(DATA)/services" $(ARGS)

web: install ## the web client alone on http://127.0.0.1:8080, over the services at $API
	@exec $(BIN)/ticketkit-marketplace web $(if $(API),--api $(API)) $(ARGS)

ops: install ## the operations page alone on http://127.0.0.1:8001/ops, beside the services at $API
	@exec $(BIN)/ticketkit-marketplace ops $(if $(API),--api $(API)) $(ARGS)

list: install ## the Broadway week on the backends of the settings, for services that run elsewhere
	@exec $(BIN)/ticketkit-marketplace list $(ARGS)

embedded: install ## the other example: ticketkit inside a FastAPI app, on http://127.0.0.1:8200
	@exec $(BIN)/ticketkit-embedded $(ARGS)

demo: install ## 1,000 buyers go for 200 Hamilton seats on $BACKENDS in $PROCESSES, then the books are checked
	@exec $(BIN)/ticketkit-marketplace demo $(if $(BACKENDS),--backends $(BACKENDS)) $(if $(PROCESSES),--processes $(PROCESSES)) $(ARGS)

bench: install ## locks a second, requests a second, memory of 500 streams, beside their limits
	@exec $(BIN)/ticketkit-marketplace bench $(ARGS)

test: install ## the tests, with coverage (what CI runs)
	@echo "== tests"
	@$(BIN)/coverage erase
	@status=0; $(BIN)/coverage run -m pytest -m "not proof" $(PYTEST_ARGS) || status=$$?; \
	echo "== coverage"; $(BIN)/coverage combine --quiet && $(BIN)/coverage report || status=1; exit $$status

proof: install ## the proofs that take longer
	@echo "== proofs"
	@$(BIN)/python -m pytest -m proof $(PYTEST_ARGS)

check: lint types layers contracts docs wheels ## everything that a machine can say without running the tests

lint: install
	@echo "== ruff"
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES)

format: install ## put the code into its form
	@$(BIN)/ruff check --quiet --fix-only $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

types: install
	@echo "== mypy"
	@$(BIN)/mypy --no-error-summary conftest.py src tests scripts
	@for member in $(MEMBERS); do MYPYPATH=$$member/src:$$member/tests $(BIN)/mypy --no-error-summary $$member || exit; done

layers: install
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo

contracts: install
	@echo "== contracts"
	@$(BIN)/ticketkit events check docs/contracts

docs: install ## build the documentation into site/
	@echo "== documentation"
	@$(BIN)/python scripts/generate_docs.py --check
	@$(BIN)/mkdocs build --quiet --strict

docs-generate: install ## write what the documentation takes from the code: events, routes, AsyncAPI
	@$(BIN)/python scripts/generate_docs.py

screenshots: install ## take pictures of the web client and the operations page into docs/images
	@PYTHONPATH=examples/marketplace/tests $(BIN)/python -m web.screenshots docs/images/web
	@PYTHONPATH=examples/marketplace/tests $(BIN)/python -m ops.screenshots docs/images/ops

first-purchase: install ## times a newcomer: from a fresh clone to a ticket bought in a browser
	@PYTHONPATH=examples/marketplace/tests $(BIN)/python -m web.first_purchase $(ARGS)

accessibility: install ## ask axe about every page of the web client, and write docs/accessibility.md
	@PYTHONPATH=examples/marketplace/tests $(BIN)/python -m web.accessibility docs/accessibility.md

docs-serve: install ## show the documentation on http://127.0.0.1:8001
	@exec $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

wheels: install ## build every wheel and try each one alone in an empty environment
	@echo "== wheels"
	@$(BIN)/python scripts/check_wheels.py

matrix: install ## run each plugin's conformance tests, and write the matrix into its README
	@$(BIN)/python scripts/write_matrix.py

clean: ## remove what the other targets made, except data
	rm -rf $(VENV) site dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
