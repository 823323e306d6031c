# `make demo` and `make test` need Python 3.11 or later and nothing else.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test format bench clean

demo: .venv/installed
	$(BIN)/python -m experiments.bags_shoes --config=configs/sample.py

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --dist loadfile

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Speed on a CPU beside PyTorch, at most 15 minutes; only a machine that does nothing else tells.
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks.layers --budget 150
	$(BIN)/python -m benchmarks.train_step --recipe official --budget 400
	$(BIN)/python -m benchmarks.train_step --recipe book --budget 250

# What `make demo` made: pip's environment, drawings and prepared data, the sample run.
clean:
	rm -rf .venv data/catalogue data/archives data/arrays runs/sample

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@
