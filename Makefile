# Python 3.11 or 3.12 is all that must be there before: PYTHON names it, VENV says where the environment goes.
PYTHON ?= python3
VENV ?= .venv
# full is everything; quick is the smallest honest demo: four centres, for CI.
PROFILE ?= full
# Which tests run; slow ones, and those that need a browser or a GPU, are in test-all.
MARKS ?= not slow and not browser and not gpu
PORT ?= 3000
WHEELS ?= build/wheels

BIN := $(VENV)/bin
DEMO_HOME := $(CURDIR)/data/demo
export DAGSTER_HOME := $(CURDIR)
export TUMSYN_SAMPLES ?= $(abspath $(CURDIR)/../shared/data)
export DAGSTER_DISABLE_TELEMETRY := 1
# Hundreds of processes are started: without kept bytecode each of them compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo ui notebooks test journeys test-all wheel-check lint style types sql docs site clean
.DEFAULT_GOAL := demo

# Make the environment; again only when pyproject.toml or constraints.txt changed.
setup: $(VENV)/.installed

# Simulate the demonstration's centres, ingest, harmonise and publish them, and say what to try next.
demo: setup
	@TUMSYN_HOME="$(DEMO_HOME)" "$(BIN)/python" -m pipelines.cli demo --profile $(PROFILE)

# Show the demonstration in Dagster, on this machine only.
ui: setup
	@TUMSYN_HOME="$(DEMO_HOME)" "$(BIN)/python" -m pipelines.cli ui --port $(PORT)

# Open the notebooks on the demonstration's home in JupyterLab, on this machine only; JUPYTER holds further options.
notebooks: $(VENV)/.notebooks
	@TUMSYN_HOME="$(DEMO_HOME)" "$(BIN)/python" -m jupyterlab --ip=127.0.0.1 --notebook-dir="$(CURDIR)/notebooks" $(JUPYTER)

# Check everything that takes minutes at most: style, types, layers, SQL, then the tests.
test: lint
	@"$(BIN)/python" -m pytest -q -n 2 --dist worksteal -m "$(MARKS)"

# Of the slow tests those that do what a newcomer does: every command of the README, and every notebook.
journeys: setup
	@"$(BIN)/python" -m pytest -q -m slow tests/test_readme.py tests/notebooks

# The same as `test`, with the slow tests and those in a browser.
test-all:
	@$(MAKE) --no-print-directory test MARKS="not install"

# Build the wheel, install it and what it needs into VENV, which must be new, and use it there from outside the checkout.
wheel-check:
	@test ! -e "$(VENV)" || { echo "$(VENV) exists: name a new folder, e.g. make wheel-check VENV=build/wheel" >&2; exit 1; }
	@"$(PYTHON)" -m venv "$(VENV)"
	@"$(BIN)/python" -m pip wheel --quiet --disable-pip-version-check -c constraints.txt --no-deps -w "$(WHEELS)" .
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$(WHEELS)"/tumsyn-*.whl
	@env -u DAGSTER_HOME -u TUMSYN_HOME -u PYTHONPATH "$(BIN)/python" -I tests/installed.py

# Style, types, who may import whom, SQL: two at a time.
lint: setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target types sql style

style:
	@"$(BIN)/ruff" check . && "$(BIN)/ruff" format --check .
	@"$(BIN)/lint-imports"

types:
	@"$(BIN)/mypy"

sql:
	@"$(BIN)/sqlfluff" lint warehouse model

# Write the generated pages anew: data dictionary, centres, commands.
docs: setup
	@"$(BIN)/python" -m warehouse.catalog.dictionary
	@"$(BIN)/python" -m warehouse.centers.overview
	@"$(BIN)/python" -m pipelines.reference

# Build the documentation into build/site, which opens without a server or a network. Any warning is an error, but not
# with --quiet, which hides warnings from the count.
site: setup
	@NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" build --strict
	@echo "open build/site/index.html"

# Remove the environment and every cache; the data stay.
clean:
	rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -not -path "./data/*" -prune -exec rm -rf {} +

$(VENV)/.notebooks: $(VENV)/.installed
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks]"
	@"$(BIN)/jupytext-config" --settings-file "$(VENV)/etc/jupyter/labconfig/default_setting_overrides.json" \
	  set-default-viewer python
	@touch "$@"

$(VENV)/.installed: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { \
	  echo "$(PYTHON) is not Python 3.11 or 3.12: install one and name it, e.g. make demo PYTHON=python3.11" >&2; exit 1; }
	@test -x "$(BIN)/pip" || "$(PYTHON)" -m venv "$(VENV)" || { \
	  echo "$(PYTHON) cannot make an environment: install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing into $(VENV), which takes some minutes the first time …"
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs,fast,ui]"
	@"$(BIN)/python" -c 'import torch; print("torch", torch.__version__)'
	@touch "$@"
