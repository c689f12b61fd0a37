# make demo    five organisations on this machine, one of them hostile; ARGS="--exit -o json" for the summary alone
# make check   lint, format, types, layers and the pure tests: what to run before every commit
# make test    every test
# make interop the second implementation, and clients of others, in JavaScript, for the tests that meet them (npm)
# make lock    compile the hashed requirements anew
#
# Everything but a command's own result goes to standard error.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
BUILD_LOCK := requirements/build.txt
# Wheels alone, but for four pure-Python sources that exist as nothing else; what builds them is in the lock too, so
# nothing is fetched without a hash (docs/adr/0002).
INSTALL := $(PIP) install --require-hashes --no-deps --only-binary :all:
INSTALL_SOURCES := $(INSTALL) --no-binary cpe,python-baseconv,varint,weakrefmethod --no-build-isolation --use-pep517
PURE_TESTS := $(wildcard tests/taxonomy tests/protocol $(addprefix tests/node/, \
    scoring trust reputation admission privacy filtering telemetry))

.PHONY: help demo test check interop lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/.run
	@$(BIN)/ioint demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 -m "not network and not data" $(PURE_TESTS)

# --- the environment ---

INTEROP := tests/interop/js
CLIENTS := tests/clients/js
interop: $(INTEROP)/node_modules/.package-lock.json $(CLIENTS)/node_modules/.package-lock.json

# npm writes this file last. Node.js itself is among what it installs; no package's own script runs.
%/node_modules/.package-lock.json: %/package-lock.json %/.npmrc
	@echo "ioint: installing what $* needs" >&2
	@cd $* && npm ci --loglevel=error >&2
	@touch $@

$(VENV)/.base: $(BUILD_LOCK) deploy/find-python
	@python="$$(deploy/find-python)"; \
	echo "ioint: making $(VENV) with $$python" >&2; \
	"$$python" -m venv --clear $(VENV) >&2; \
	$(INSTALL) -r $(BUILD_LOCK) >&2
	@touch $@

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/.base
	@echo "ioint: installing what the node needs" >&2
	@$(INSTALL_SOURCES) -r requirements/run.txt >&2
	@$(PIP) install --no-deps --no-build-isolation --editable . >&2
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "ioint: installing what the tests need" >&2
	@$(INSTALL_SOURCES) -r requirements/dev.txt >&2
	@touch $@

# dev first: the run lock takes the same versions, so the tests run on what the node runs on.
COMPILE = .lock/bin/uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes \
    --override requirements/overrides.txt --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock:
	@python="$$(deploy/find-python)"; "$$python" -m venv --clear .lock >&2
	@.lock/bin/python -m pip --quiet --disable-pip-version-check install uv >&2
	@$(COMPILE) --extra node --extra dev --extra lab -o requirements/dev.txt pyproject.toml >&2
	@$(COMPILE) --extra node -c requirements/dev.txt -o requirements/run.txt pyproject.toml >&2
	@$(COMPILE) -c requirements/dev.txt -o requirements/build.txt requirements/build.in >&2
	@rm -rf .lock

clean:
	rm -rf $(VENV) $(INTEROP)/node_modules $(CLIENTS)/node_modules .lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
