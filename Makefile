# Everything a newcomer needs: `make demo` to try the tool, `make test` to test it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGED := pyproject.toml
SOURCES := lti_tool tests migrations configs benchmarks
LOCK := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.ready ## Start the tool with a small local LMS and Badgr, and say where to click
	$(BIN)/lti-badges demo

demo-check: $(VENV)/.ready ## Walk the whole journey without a person; fails unless the badge is really there
	$(BIN)/lti-badges demo --check

test: $(VENV)/.ready chromium ## Run every test: on SQLite, then on a private PostgreSQL
	$(BIN)/pytest -n 3 --dist worksteal --database=sqlite
	LTI_BADGES_TEST_LEARNERS=300 $(BIN)/pytest -n 3 --dist worksteal --database=postgresql tests/functional tests/chaos tests/simulation

bench: $(VENV)/.ready ## Measure what must stay fast, beside what the machine can do at best
	$(BIN)/python benchmarks/standings.py
	$(BIN)/python benchmarks/standings.py --postgresql

check: $(VENV)/.ready ## Format, lint and types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lti-badges --help >/dev/null

lock: $(VENV)/.ready ## Pin the newest versions of the dependencies, with hashes and without addresses
	$(LOCK) --group build -o requirements.lock pyproject.toml >/dev/null
	$(LOCK) --extra demo --group build --group test -o requirements-test.lock pyproject.toml >/dev/null

clean: ## Remove what the other targets made
	rm -rf $(VENV) var artifacts .mypy_cache .ruff_cache .pytest_cache .coverage

chromium:
	@command -v chromium >/dev/null 2>&1 || { \
	  echo "The browser tests need Debian's chromium; installing it."; \
	  if [ "$$(id -u)" = 0 ]; then as=; else as="sudo -n"; fi; \
	  $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core \
	  || { echo "That did not work. Install it by hand: apt-get install chromium"; exit 1; }; }

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian: apt-get install python3-venv"; exit 1; }

# requirements.lock (what runs in production) is a part of it; here everything is installed, to try and to test.
$(VENV)/.ready: requirements-test.lock $(PACKAGED) | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-test.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help demo demo-check test bench check lock clean chromium
