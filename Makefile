# A fresh machine needs Python >= 3.11, make and a package registry; nothing else.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test check fix conformance lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(STAMP)  ## set everything up and do the main job
	@$(BIN)/scones run $(ARGS)

test: $(STAMP)  ## set everything up and run the tests (a part: TESTS=tests/unit/data)
ifdef TESTS
	@$(BIN)/python -m pytest $(TESTS)
else
	@$(BIN)/python -m pytest -n auto --dist loadfile tests/unit
	@$(BIN)/python -m pytest tests/contract tests/e2e
endif

check: $(STAMP)  ## what CI runs: format, lint, types, all tests, docs checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

fix: $(STAMP)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

conformance: $(STAMP)  ## real clients (SageMaker SDK v2 and v3, AWS CLI, a notebook) against the local cloud; minutes
	@$(BIN)/python tests/conformance/run.py $(CLIENTS)

lock: $(STAMP)  ## write constraints.txt from what is installed
	@{ head -2 constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## remove the environment and caches
	rm -rf $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache

# Reinstalled only when the requirements change.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "scones needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing); install one and say: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV) (first time: a few minutes; later: nothing)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	  -c constraints.txt -e '.[local,train,report,dev]' | awk -v total=$$(grep -c == constraints.txt) \
	  '/^Collecting/ { printf "\r\033[K  %d of %d: %s", ++n, total, $$2; fflush() } \
	   /^Installing collected/ { printf "\r\033[K  installing %d packages", n; fflush() } END { print "" }'
	@touch $@
