# Two commands set everything up on a machine with Python 3.11+, git and make: `make demo` and `make test`.
# Each makes the virtual environment .venv if it is missing and installs what it needs into it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Python compiles what it imports; pip would compile all of torch, which takes a minute.
# So it must be allowed to keep that: each process would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: demo docs test lint types contracts unit test-benchmarks skorch-suite mutation fuzz fuzz-quick kills clean clean-docs

demo: $(VENV)/installed-plots
	$(BIN)/python examples/demo_digits.py

# Pages and gallery into docs/_build/html; a warning is an error. What an example printed and drew is kept in
# docs/auto_examples, and only an example that changed is run again; `make clean-docs` forgets it.
docs: $(VENV)/installed-docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

clean-docs:
	rm -rf docs/_build docs/auto_examples docs/api/generated docs/generated

test: lint types contracts unit

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: $(VENV)/installed-dev
	$(BIN)/mypy

contracts: $(VENV)/installed-dev
	$(BIN)/lint-imports

unit: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# skorch's own tests on our class; no part of `make test`.
skorch-suite: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/skorch_suite.py

# Takes half an hour or more, and is no part of `make test`.
mutation: $(VENV)/installed-dev
	$(BIN)/python tests/mutation.py --report mutation.csv

# Half an hour on two cores, and no part of `make test`; the quick one takes a minute.
fuzz: $(VENV)/installed-dev
	$(BIN)/python tests/fuzz.py --cases 8000 --report fuzz.json

fuzz-quick: $(VENV)/installed-dev
	$(BIN)/python tests/fuzz.py --cases 500

# Kills trainings at random moments and starts them again: minutes, and no part of `make test`.
kills: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/kills.py --kills 50

# Only the benchmarks' own tests, which `make test` runs too.
test-benchmarks: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 benchmarks/tests

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable ".[$*]"
	touch $@

clean: clean-docs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
