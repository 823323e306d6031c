# `make demo` and `make test` need Python 3.11 to 3.13, for which there is TensorFlow, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo demo-model test test-long docs soak mutants format bench bench-long bench-gpu clean

demo: .venv/installed
	$(BIN)/python -m experiments.bags_shoes --config=configs/sample.py
	$(BIN)/discogan evaluate runs/sample

# Trains the model that the package carries, and writes it into discogan_jax/demo.
demo-model: .venv/installed
	$(BIN)/python -m experiments.demo_model

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

# Tests that take minutes: real runs that are killed, run out of disk space or use several processes.
test-long: .venv/installed-test
	$(BIN)/pytest -n auto --dist loadfile -m long

# Builds docs/_build/html/index.html and executes the tour; disabling LLVM's optimizations halves the time.
docs: .venv/installed-docs
	XLA_FLAGS=--xla_backend_optimization_level=0 JAX_PLATFORMS=cpu \
	  $(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "The pages begin at $(CURDIR)/docs/_build/html/index.html"

# Injects every kind of fault many times; prints one table of attempts and losses.
soak: .venv/installed-test
	PYTHONPATH=. $(BIN)/python tests/soak.py

# Puts faults into copies of the code, one at a time; prints which tests notice. Takes tens of minutes.
mutants: .venv/installed-test
	PYTHONPATH=. $(BIN)/python tests/mutants.py

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Speed on a CPU compared with PyTorch, about 12 minutes; meaningful only on an otherwise idle machine.
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks.train_step --recipe official --batch 16 --budget 120
	$(BIN)/python -m benchmarks.layers --budget 40
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.data --repeat 3 --budget 40

# The book's recipe, other batch and image sizes, start-up, whole runs: tens of minutes more.
bench-long: .venv/installed-bench
	$(BIN)/python -m benchmarks.train_step --recipe book --batch 8 --budget 90
	$(BIN)/python -m benchmarks.batch_sizes --budget 60
	$(BIN)/python -m benchmarks.startup --budget 60
	$(BIN)/python -m benchmarks.loop

# The same on a GPU, planned for 15 minutes and not yet run; uses the packages that $(PYTHON) has
# installed, needs no TensorFlow, saves after each command, and ends with a table.
bench-gpu:
	$(PYTHON) -m benchmarks.train_step --recipe best --batch 256 --budget 240
	$(PYTHON) -m benchmarks.train_step --recipe official --batch 256 --budget 240
	$(PYTHON) -m benchmarks.train_step --recipe book --batch 256 --budget 120
	$(PYTHON) -m benchmarks.memory --recipe best
	$(PYTHON) -m benchmarks.memory --recipe official
	$(PYTHON) -m benchmarks.memory --recipe book
	$(PYTHON) -m benchmarks.loop --config configs/gpu.py --steps 400 --feeds device --budget 60
	$(PYTHON) -m benchmarks.batch_sizes --budget 90
	$(PYTHON) -m benchmarks.layers --budget 40
	$(PYTHON) -m benchmarks.summary

# Removes what `make demo` made: the virtual environment, drawings and prepared data, the sample run.
clean:
	rm -rf .venv data/catalogue data/arrays runs/sample

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 14) or print("No TensorFlow is installed for Python", sys.version.split()[0] + ": no archives, no drawings (make demo), no TFDS, no TensorBoard. make PYTHON=/path/to/python3.13 has them.")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@
