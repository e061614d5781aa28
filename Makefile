# `make demo` and `make test` set all up on a machine that has Python 3.11 or later, make and git.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STORE ?= runs

TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo test check kernels kernels-short gpu format clean

# The constraint fixes PyTorch's version; pip resolves everything in one go.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/ready
	$(BIN)/frivolous run fig4d --store $(STORE)

test: $(VENV)/ready
	$(TESTS) -m "not slow"

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TESTS)
	$(MAKE) kernels-short

# The tests that depend on rounding, with the kernels of other processors: six sets, or two.
kernels: $(VENV)/ready
	$(BIN)/python tests/kernels.py

kernels-short: $(VENV)/ready
	$(BIN)/python tests/kernels.py --short

# On a machine that has a GPU and PyTorch already: python3 benchmarks/gpu.py
gpu: $(VENV)/ready
	$(BIN)/python benchmarks/gpu.py

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
