# `make demo` runs a real comparison, `make test` the quick tests; each sets up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Half as many workers again as cores: a quarter of the time tests wait for other processes.
WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores + cores / 2)))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: help demo test test-all soak lint env clean

help:
	@echo "make demo      install, compare SMI with Barlow Twins on digits, print the table (minutes)"
	@echo "make test      install, run the quick tests, on a SLURM of their own too where it is installed"
	@echo "make test-all  the slow ones too: real training, killed processes, LaTeX, a browser (each where installed)"
	@echo "make soak      what takes longer still"
	@echo "make lint      ruff and mypy"

demo: env
	$(BIN)/python -m bench run --methods smi,barlow,random --dataset digits --seeds 3

test: env
	$(PYTEST) -rs

test-all: env
	$(PYTEST) -rs -m "not soak"

soak: env
	$(PYTEST) -n 0 -m soak

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf .typing && mkdir -p .typing/bench
	for part in $$PWD/bench/* $$PWD/methods $$PWD/datasets $$PWD/reports $$PWD/slurm; do ln -sfn $$part .typing/bench/; done
	$(BIN)/mypy

env: .venv/ready

# solo-learn cannot be resolved beside a current torch; only its loss functions are used, as a reference in tests.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' || { echo "Python 3.11.4 or newer is needed; set PYTHON=python3.12, say"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --progress-bar off -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps solo-learn==1.0.2
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

clean:
	rm -rf .venv .typing build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
