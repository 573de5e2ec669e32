# `make run` and `make test` need nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help run test test-all bench check format migrate translations requirements screenshots chaos chaos-redis clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(STAMP): requirements.txt requirements-dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(STAMP)

run: $(STAMP) ## start everything on this machine
	@exec $(BIN)/python -m workers.launch

test: $(STAMP) ## the whole suite, in about eight minutes on two cores
	$(BIN)/python -m pytest -n 4 --dist loadgroup --durations 12 -m "not alone"
	$(BIN)/python -m pytest -m alone

test-all: $(STAMP) ## the suite with its large numbers and slow stories
	PROSA_TEST_SCALE=full $(BIN)/python -m pytest -n 3 --dist loadgroup --durations 12 -m "not alone"
	PROSA_TEST_SCALE=full $(BIN)/python -m pytest -m alone

bench: $(STAMP) ## measure performance beside minimal references (ten minutes)
	$(BIN)/python -m benchmarks

check: $(STAMP) ## run ruff, mypy and the architecture tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

format: $(STAMP) ## format and fix with ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: $(STAMP) ## send a campaign to 10,000 through kills, freezes and restarts, with both policies; 20,000 odd requests
	$(BIN)/python -m tests.chaos.chaos
	PROSA_FUZZ=20000 $(BIN)/python -m pytest tests/web/test_fuzz.py tests/webhooks/test_fuzz.py

migrate: $(STAMP) ## upgrade the schema of this machine's database
	$(BIN)/flask db upgrade

BABEL := $(BIN)/python -m babel.messages.frontend --quiet
CATALOGUE := chatbot/translations

translations: $(STAMP) ## extract new sentences and compile the catalogues
	$(BABEL) extract -F babel.cfg -k _l --no-location --sort-output -o $(VENV)/messages.pot chatbot
	$(BABEL) update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date -i $(VENV)/messages.pot -d $(CATALOGUE)
	$(BABEL) compile -d $(CATALOGUE)

PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --annotation-style line --no-header

requirements: $(STAMP) ## pin the direct dependencies of requirements*.in and all that they need
	for name in requirements requirements-dev; do \
	  $(PIN) $$name.in -o $$name.txt && \
	  sed -i "1i # Made by \`make requirements\` from $$name.in; every version is pinned." $$name.txt || exit 1; \
	done

screenshots: $(STAMP) ## screenshots of each page in both themes, at 1280 and 390 px, in var/screenshots
	$(BIN)/python -m tests.support.screenshots var/screenshots

chaos-redis: $(STAMP) ## kill and restart Redis twenty times under load
	PROSA_CHAOS_ROUNDS=20 $(BIN)/python -m pytest tests/flows/test_redis_chaos.py -s

clean: ## delete the virtual environment and caches, but no data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
