# Two commands, each doing all of its own set-up in .venv:
#   make demo    the main job on generated images; nothing is downloaded but packages
#   make test    ruff, mypy --strict and the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-ray lint bench torture torture-ray clean

demo: $(VENV)/ready
	$(BIN)/python cli.py demo

# A file's tests share what is costly to make, so a file is never split between the two processes.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not apart"

# Clusters of two nodes: the faults, which `make test` runs too, and what takes longer.
test-ray: $(VENV)/ready
	$(BIN)/python -m pytest -m ray

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.fitting

# 500 kills in place of the 20 that `make test` does; every output of every command in a process of its own.
torture: $(VENV)/ready
	FC7_TORTURE=500 $(BIN)/python -m pytest tests/extract -k "kill or sigkill" --no-header
	FC7_TORTURE=1 $(BIN)/python -m pytest tests/outputs --no-header

# Random faults on clusters of two and three nodes.
torture-ray: $(VENV)/ready
	FC7_TORTURE_RAY=20 $(BIN)/python -m pytest tests/extract/cluster/test_torture.py -s

# The stamp comes last, so that an interrupted set-up is done again and a finished one costs nothing.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fc7 needs Python 3.11 or later; found ' + sys.version.split()[0] + '. Say which with: make PYTHON=python3.12 ...' or 0)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
