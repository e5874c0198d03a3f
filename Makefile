# The commands of this repository. `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_ARGS ?=

.PHONY: demo test check e2e bench clean setup

$(STAMP): pyproject.toml
	@echo "==> setting up $(VENV) (the first time takes about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 " ) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[postgres,dev]'
	@touch $@

setup: $(STAMP)  ## create the virtual environment

demo: $(STAMP)  ## the whole login on this machine, then stays up (DEMO_ARGS=--once exits)
	@$(BIN)/mcp-broker demo $(DEMO_ARGS)

test: $(STAMP)  ## unit, contract, flow and property tests
	@echo "==> running the tests"
	@$(BIN)/python -m pytest -q -n auto --dist loadgroup -m "not e2e"

check: $(STAMP)  ## lint, format, types (sizes and layers are tests)
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> mypy"
	@$(BIN)/mypy

e2e: $(STAMP)  ## real identity providers, clients, browsers
	@echo "==> end to end"
	@$(BIN)/python -m pytest -q -m e2e tests

bench: $(STAMP)  ## ratios against the raw limit and against others
	@$(BIN)/python -m tests.load

clean:  ## remove what the other targets made
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache
