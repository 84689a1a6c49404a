# What a person types. Everything runs in .venv, made from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-servers lint types check bench fuzz docs lock clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

install: $(STAMP) ## Make the environment (.venv with bin/lasair)

$(STAMP): requirements.lock setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m lasair.warm
	@touch $(STAMP)

demo: $(STAMP) ## Simulate nights and take them through the whole chain
	$(BIN)/lasair demo

test: $(STAMP) ## Run the tests that need no server
	$(BIN)/python -m pytest -m "not server and not slow"

test-servers: $(STAMP) ## Run the tests against real servers (MariaDB from Debian's mariadb-server; Kafka by Maven)
	$(BIN)/python -m pytest -m "server and not slow"

lint: $(STAMP) ## Check style
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests

types: $(STAMP) ## Check types
	$(BIN)/mypy

check: lint types test ## Everything that needs no server

bench: $(STAMP) ## Measure the speed of every stage; writes bench-results.json
	$(BIN)/lasair bench --output bench-results.json

fuzz: $(STAMP) ## A long run of damaged packets through the decoder
	$(BIN)/python -m tests.fuzz.fuzz_packets --inputs 1000000

docs: $(STAMP) ## Write the generated pages of docs/
	$(BIN)/python -m lasair.docs

lock: ## Pin the newest allowed versions into requirements.lock
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate --allow-unsafe -o requirements.lock setup.cfg

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage build src/*.egg-info
