# Two commands, each doing all of its own set-up in .venv:
#   make demo    the main job with a trained network on drawn images; nothing is downloaded but packages
#   make test    ruff, mypy --strict and the tests; its set-up adds the test tools
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-ray lint bench torture torture-ray clean

demo: $(VENV)/ready
	$(BIN)/fc7 demo

# A file's tests share what is costly to make, so a file is never split between the two processes.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not apart"

# Clusters of two nodes: the faults, which `make test` runs too, and what takes longer.
test-ray: $(VENV)/ready-test
	$(BIN)/python -m pytest -m ray

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready-test
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.fitting

# 500 kills in place of the 20 that `make test` does; every output of every command in a process of its own.
torture: $(VENV)/ready-test
	FC7_TORTURE=500 $(BIN)/python -m pytest tests/extract -k "kill or sigkill" --no-header
	FC7_TORTURE=1 $(BIN)/python -m pytest tests/outputs --no-header

# Random faults on clusters of two and three nodes.
torture-ray: $(VENV)/ready-test
	FC7_TORTURE_RAY=20 $(BIN)/python -m pytest tests/extract/cluster/test_torture.py -s

# Two stages of one environment: what fc7 and a trained network need, then the test tools. A stamp comes last, so
# that an interrupted stage is done again and a finished one costs nothing; venv and pip mend what they had begun.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fc7 needs Python 3.11 or later; found ' + sys.version.split()[0] + '. Say which with: make PYTHON=python3.12 ...' or 0)"
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[starter]'
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(PIP_INSTALL) -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build .package/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
