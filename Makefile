# `make demo` and `make test` each do all the set-up they need, and nothing twice.
PYTHON ?= python3
VENV ?= .venv
# test processes side by side
WORKERS ?= 2
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Networks are small, and threads that fight over a busy machine are many times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test check check-slow clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "cellflow needs Python 3.11 or newer, found " + sys.version.split()[0] + ". Choose one with `make PYTHON=python3.11 ...`.")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch comes first and pinned, so that nothing below pulls another build of it.
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## train, predict an unseen patient and evaluate on the example data
	PATH="$(abspath $(BIN)):$$PATH" bash example_data/demo.sh demo

test: $(VENV)/.installed-dev ## run the quick test suite
	$(BIN)/python -m pytest -n $(WORKERS)

check: $(VENV)/.installed-dev ## format, lint, import direction, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

check-slow: $(VENV)/.installed-dev ## the slower tests
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

clean: ## remove the environment and what the demo made
	rm -rf $(VENV) demo
