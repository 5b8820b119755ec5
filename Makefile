# Everything here works from a fresh clone with Python 3.11 or later, make and git.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The action endpoints are also tried under StateZero; it is optional, and so is its installation.
STATEZERO := statezero==0.1.0b91
# The newest Python on PATH that can make an environment; PYTHON=… overrides it.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
ARGS ?=
# How many processes share the tests; of those that start servers and browsers of their own, whole files.
JOBS ?= 2

.PHONY: help venv test matrix lint format demo docs links bench chaos races wheel clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(STAMP) ## Make the environment in .venv

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev --editable '.[redis,postgres,drf,testing,demo]'
	-$(BIN)/python -m pip install --quiet --no-deps '$(STATEZERO)'
	@touch $@

test: $(STAMP) ## Run the tests and measure the quick ones' coverage; ARGS="-k name" runs some, unmeasured
ifeq ($(ARGS),)
	@mkdir -p .cache/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(JOBS) --dist loadgroup --ignore tests/acceptance --ignore tests/browser
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests/acceptance tests/browser
else
	$(BIN)/python -m pytest $(ARGS)
endif

matrix: $(STAMP) ## Run the tests on every supported Python and Django that is here
	$(BIN)/tox

lint: $(STAMP) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd example_project && ../$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/import-linter

format: $(STAMP) ## Put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(STAMP) ## Watch workflows run; ONCE=1 without a terminal, PORT=8001
	@$(BIN)/python example_project/demo.py $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

docs: $(STAMP) ## Build the documentation into docs/_build/html; warnings are errors
	$(BIN)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -d .cache/doctrees docs docs/_build/html

bench: $(STAMP) ## Measure; QUICK=1, ONLY=steps,idle, PEERS=absurd, REPEATS=3, SCALE=1, EVENTS=1, DOCS=1
	$(BIN)/python -m benchmarks $(if $(SCALE),scale,$(if $(EVENTS),events,compare)) $(if $(QUICK),--quick) \
		$(if $(ONLY),--only $(ONLY)) $(if $(PEERS),--peers $(PEERS)) $(if $(REPEATS),--repeats $(REPEATS)) \
		$(if $(DOCS),--docs)

chaos: $(STAMP) ## Kill everything at random times under load and judge; MINUTES=30, SEED=7, RATE=3 starts a second
	$(BIN)/python -m tests.acceptance.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE))

races: $(STAMP) ## Let 10,000 pairs race for a run, which one of each must win; RACES=700 for fewer
	RACES=$(or $(RACES),10000) $(BIN)/python -m pytest -q tests/integration/workflows/races

links: $(STAMP) ## Ask the addresses that the documentation links to whether they are there
	$(BIN)/sphinx-build --quiet --builder linkcheck -d .cache/doctrees docs docs/_build/links

wheel: $(STAMP) ## Build the wheel and try it in an environment of its own
	rm -rf dist .cache/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m venv .cache/wheel
	.cache/wheel/bin/python -m pip install --quiet dist/*.whl
	cd .cache/wheel && bin/python -W error -I $(CURDIR)/.ci/check_wheel.py

clean: ## Remove what was made here
	rm -rf $(VENV) .cache .tox build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
