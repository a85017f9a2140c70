# Needs Python 3.11 to 3.13 and make. Everything else is installed into .venv.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One process per core, up to four of about 2 GB each. Tests of a file share what they train.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Install charlstm and its development tools into .venv (quick to repeat).

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "charlstm needs Python 3.11 to 3.13. Choose one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: setup ## Train two models on a text that comes with Python, and let both write.
	@echo; echo "Characters: one minute of training on the documentation that comes with Python."
	$(BIN)/charlstm train python-docs --minutes 1 -o checkpoints/demo --overwrite
	@echo; echo "Words: another minute on the same text."
	$(BIN)/charlstm train python-docs --level word --minutes 1 -o checkpoints/demo-words --overwrite
	@echo; echo "Samples of both models:"
	$(BIN)/charlstm generate checkpoints/demo --prompt 'The ' --length 300 --seed 1
	@echo
	$(BIN)/charlstm generate checkpoints/demo-words --prompt 'The ' --length 80 --seed 1

.PHONY: test
test: setup ## Run the tests.
	$(PYTEST)

.PHONY: quick
quick: setup ## Run the fast tests in one to two minutes: no training, no TensorFlow.
	$(PYTEST) --quick

.PHONY: coverage
coverage: setup ## Run the tests and print their coverage, subprocesses included.
	$(PYTEST) --cov --cov-report=term:skip-covered
	@$(BIN)/python -m coverage report --format=total | sed 's/.*/Coverage, lines and branches: & %/'

.PHONY: snapshots
snapshots: setup ## Rewrite the snapshots of messages and help pages; review the diff.
	$(BIN)/python -m pytest --update-snapshots

.PHONY: check
check: setup ## Lint, check formatting and types, and run the tests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

# About 20 minutes on two idle cores.
.PHONY: fuzz
fuzz: setup ## Read 100,000 hostile checkpoints and 20,000 hostile corpora, and train on 40.
	$(BIN)/python -m tests.reliability.fuzz checkpoints --count 100000
	$(BIN)/python -m tests.reliability.fuzz corpora --count 20000
	$(BIN)/python -m tests.reliability.fuzz trainings --count 40 --workers 1

.PHONY: format
format: setup ## Format the code and sort imports.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each version is tested in a virtual environment in .venvs (2 GB), which is removed afterwards.
.PHONY: versions
versions: setup ## Test with every installed Python of PYTHONS and the newest dependencies.
	$(BIN)/python -m tests.reliability.versions --end high $(PYTHONS)

.PHONY: newest
newest: setup ## Test with the newest dependencies that setup.cfg allows.
	$(BIN)/python -m tests.reliability.versions --end high $(PYTHON)

.PHONY: lowest
lowest: setup ## Test with the lowest dependencies that setup.cfg allows.
	$(BIN)/python -m tests.reliability.versions --end low $(PYTHON)

.PHONY: workers
workers: setup ## Train one model with 1, 2 and 4 workers, compare, and measure the cost.
	$(BIN)/python -m tests.reliability.workers

# PyTorch is included if it is installed: .venv/bin/pip install --editable '.[bench]'.
#   TEXT=file      also measure the loss on this text by minutes of training
#   DATA=folder    instead measure all that a recipe is judged by, for hours (benchmarks/recipe.py);
#                  CASES="words-10 names-1" chooses some, AGAINST=checkout compares a version
#   LONG="files"   instead measure reading 10 MB to 3 GB of similar text (benchmarks/sizes.py)
.PHONY: bench
bench: setup ## Measure start-up, generation, int8 and training; options are in the Makefile.
	$(BIN)/python -m benchmarks$(if $(LONG),.sizes $(LONG),$(if $(DATA),.recipe $(DATA) $(CASES) $(if $(AGAINST),--against $(AGAINST)), $(TEXT)))

# DATA is a folder with tinyshakespeare.txt and novels/*.txt.xz. NAMES=english trains only that one.
.PHONY: models
models: setup ## Train the shipped models again (two hours); DATA=folder has their texts.
	$(BIN)/python -m benchmarks.models $(DATA) $(NAMES)

.PHONY: figures
figures: setup ## Draw the pictures of the docs from real runs, three minutes.
	$(BIN)/python -m figures

.PHONY: kills
kills: setup ## Kill training runs 50 times each, resume them, and compare the results (an hour).
	$(BIN)/python -m tests.reliability.kills

.PHONY: faults
faults: setup ## Provoke full disks, lost folders, signals and other faults.
	$(BIN)/python -m tests.reliability.faults

.PHONY: readers
readers: setup ## Read a model with ten processes while it is trained or replaced.
	$(BIN)/python -m tests.reliability.readers
