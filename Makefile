# Everything here works on a fresh clone: it needs Python 3.10 or later with venv, and make.
# What else is needed is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Of pytest. Many tests wait for servers, so that there may be more than processors.
PROCESSES ?= 2
RUN := $(BIN)/python
# Not all that lies in the checkout: readers of the pages keep their files there, too.
CODE := benchmarks docs examples src tests noxfile.py README.md CONTRIBUTING.md CHANGELOG.md

.DEFAULT_GOAL := help
# Two pips at once would write to the same .venv.
.NOTPARALLEL:
.PHONY: help demo serve test test-servers test-pages compatibility conformance coverage docs lint \
    format typecheck tests bench bench-translation clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## serve a Flask app on Uvicorn, ask it, show what was asked and answered
	$(RUN) examples/demo.py

serve: $(VENV)/.demo ## the same server, left running
	$(RUN) examples/demo.py --serve

docs: $(VENV)/.dev ## the documentation as a site, in build/docs; a warning is an error
	$(RUN) -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs
	@echo "built: build/docs/index.html"

test: lint typecheck docs tests ## everything: linters, type checkers, site, tests, clauses

test-servers: $(VENV)/.dev ## every framework on every server; `make test` has each of them once
	$(RUN) -m pytest -n $(PROCESSES) --dist loadgroup --all-servers tests/servers

test-pages: $(VENV)/.dev ## every page of the documentation, typed in; `make test` has the first ones
	$(RUN) -m pytest -n $(PROCESSES) --dist loadgroup --all-pages tests/pages

compatibility: $(VENV)/.dev ## test-servers, and docs/reference/compatibility.md from its results
	$(RUN) -m pytest -n $(PROCESSES) --dist loadgroup --all-servers tests/servers \
	    --compatibility-file=docs/reference/compatibility.md

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

typecheck: $(VENV)/.dev ## mypy --strict and pyright
	$(BIN)/mypy --strict src
	$(BIN)/basedpyright src

tests: $(VENV)/.dev ## pytest and the table of clauses
	$(RUN) -m pytest -n $(PROCESSES) --dist loadgroup --conformance $(PYTEST_OPTIONS)

coverage: ## the tests, with branch coverage
	$(MAKE) tests PYTEST_OPTIONS=--cov

conformance: ## the tests, and docs/reference/conformance.md from their results
	$(MAKE) tests PYTEST_OPTIONS=--conformance-file=docs/reference/conformance.md

format: $(VENV)/.dev ## put the code into form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(VENV)/.bench ## gatebridge beside its peers: tables and charts in benchmarks/results
	$(RUN) -m benchmarks

bench-stages: $(VENV)/.bench ## what each stage of a request costs
	$(RUN) -m benchmarks stages --output build/benchmarks

clean: ## remove what was installed and built
	rm -rf $(VENV) .nox .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# A stamp for each group of packages, older than pyproject.toml when that has changed.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or later is needed; name one by make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# Dependency groups need pip 25.1, which is newer than what venv brings.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.bench $(VENV)/.demo $(VENV)/.dev $(VENV)/.ci: $(VENV)/.%: pyproject.toml | $(VENV)/.python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@
