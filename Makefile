# Needs Python 3.11 to 3.13 and make; everything else is installed into .venv.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A process for each core, up to four of some 2 GB; the tests of a file share what they train.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv with charlstm and its development tools (cheap to repeat).

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "charlstm needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: setup ## Train on a text that comes with Python, by characters and by words; let both write.
	@echo; echo "Characters: one minute of training on the reference text of this Python."
	$(BIN)/charlstm train python-docs --minutes 1 -o checkpoints/demo --overwrite
	@echo; echo "Words: the same text, another minute."
	$(BIN)/charlstm train python-docs --level word --minutes 1 -o checkpoints/demo-words --overwrite
	@echo; echo "What they write:"
	$(BIN)/charlstm generate checkpoints/demo --prompt 'The ' --length 300 --seed 1
	@echo
	$(BIN)/charlstm generate checkpoints/demo-words --prompt 'The ' --length 80 --seed 1

.PHONY: test
test: setup ## Run the tests.
	$(PYTEST)

.PHONY: quick
quick: setup ## Run the fast tests, one to two minutes: no training, no TensorFlow.
	$(PYTEST) --quick

.PHONY: coverage
coverage: setup ## Run the tests and print which part of the code they reach, processes included.
	$(PYTEST) --cov --cov-report=term:skip-covered
	@$(BIN)/python -m coverage report --format=total | sed 's/.*/Coverage, lines and branches: & %/'

.PHONY: snapshots
snapshots: setup ## Write the snapshots of messages and help pages anew; review the diff.
	$(BIN)/python -m pytest --update-snapshots

.PHONY: check
check: setup ## Lint, format check, types and tests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

# About 20 minutes of two idle cores: 100,000 checkpoints, 20,000 corpora, 40 of them trained on.
.PHONY: fuzz
fuzz: setup ## Read 100,000 hostile checkpoints and 20,000 hostile corpora; no crash, no hang.
	$(BIN)/python -m tests.reliability.fuzz checkpoints --count 100000
	$(BIN)/python -m tests.reliability.fuzz corpora --count 20000
	$(BIN)/python -m tests.reliability.fuzz trainings --count 40 --workers 1

.PHONY: format
format: setup ## Format the code and sort its imports.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Other versions, each in a virtual environment of its own in .venvs, 2 GB, which is removed again.
.PHONY: versions
versions: setup ## Test on every Python of PYTHONS that is there, with the newest dependencies.
	$(BIN)/python -m tests.reliability.versions --end high $(PYTHONS)

.PHONY: newest
newest: setup ## Test with the newest dependencies that setup.cfg allows.
	$(BIN)/python -m tests.reliability.versions --end high $(PYTHON)

.PHONY: lowest
lowest: setup ## Test with the lowest dependencies that setup.cfg allows.
	$(BIN)/python -m tests.reliability.versions --end low $(PYTHON)

.PHONY: workers
workers: setup ## Show that 1, 2 and 4 workers train the same model, and what their talk costs.
	$(BIN)/python -m tests.reliability.workers

# PyTorch takes part if it is installed: .venv/bin/pip install --editable '.[bench]'. TEXT=file adds
# the loss on it by minutes. DATA=folder instead prints the rows by which a recipe is judged, for
# hours (benchmarks/recipe.py): CASES="words-10 names-1" are some, AGAINST=checkout another version.
# LONG="files" measures reading 10 MB to 3 GB of text that is like theirs (benchmarks/sizes.py).
.PHONY: bench
bench: setup ## Measure starts, generation, int8 and training here; TEXT=file, DATA=folder: time to quality.
	$(BIN)/python -m benchmarks$(if $(LONG),.sizes $(LONG),$(if $(DATA),.recipe $(DATA) $(CASES) $(if $(AGAINST),--against $(AGAINST)), $(TEXT)))

# DATA is a folder with tinyshakespeare.txt and novels/*.txt.xz; NAMES=english is one of the two.
.PHONY: models
models: setup ## Train the models that come with charlstm anew, two hours; DATA=folder with their texts.
	$(BIN)/python -m benchmarks.models $(DATA) $(NAMES)

.PHONY: figures
figures: setup ## Draw the pictures of the docs from real runs, three minutes.
	$(BIN)/python -m figures

.PHONY: kills
kills: setup ## Kill training runs 50 times each, resume them, compare how they end (an hour).
	$(BIN)/python -m tests.reliability.kills

.PHONY: faults
faults: setup ## Full disks, lost folders, signals and the like: what is said, what is left.
	$(BIN)/python -m tests.reliability.faults

.PHONY: readers
readers: setup ## Ten readers at once of a model that is being trained or replaced.
	$(BIN)/python -m tests.reliability.readers
