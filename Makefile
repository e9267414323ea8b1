# Two commands: make quickstart, make test. Each makes what it needs in .venv.
PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
# What is installed depends on pyproject.toml alone; when that changes, so do these names.
SUM := $(shell cksum < pyproject.toml | cut -d' ' -f1)
RUN := $(VENV)/.run-$(SUM)
DEV := $(VENV)/.dev-$(SUM)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help quickstart test test-all check format tutorials bench docs clean
help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(VENV)/bin/python:
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Penjing needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made; on Debian and Ubuntu install the package python3-venv."; exit 2; }

$(RUN): pyproject.toml | $(VENV)/bin/python
	@echo "Installing Penjing and what it needs into $(VENV) (some minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --editable '.[quickstart]'
	@rm -f $(VENV)/.run-* && touch $@

$(DEV): $(RUN)
	@echo "Installing what the tests and checks need …"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --no-deps 'tensorflow-serving-api>=2.21,<3'  # stubs; not its TensorFlow
	@rm -f $(VENV)/.dev-* && touch $@

quickstart: $(RUN) ## fine-tune, quantise, measure and serve on real text
	@$(BIN)/penjing quickstart $(ARGS)

test: $(DEV) ## the tests (a quarter of an hour on two cores)
	@$(BIN)/pytest -n $(JOBS) --maxprocesses 8 --dist loadfile $(ARGS)

test-all: $(DEV) ## the slow ones too
	@$(BIN)/pytest -m 'not gpu' $(ARGS)

check: $(DEV) ## format, lint, types, architecture
	@scripts/check

format: $(DEV) ## mend what can be mended
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

tutorials: $(DEV) ## the tutorials, command by command (a quarter of an hour or more)
	@$(BIN)/python scripts/tutorials.py $(ARGS)

bench: $(DEV) ## the benchmarks (half an hour on a quiet machine); tables follow from their results
	@scripts/bench

docs: $(DEV) ## the generated parts of the documentation
	@$(BIN)/python scripts/write_reference.py

clean: ## what can be made again; not the store
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
