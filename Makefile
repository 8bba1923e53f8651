# Everything that a newcomer and CI need. `make help` explains.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

##@ Start here

run: $(VENV)/.run ## Install what is needed into .venv and run the service on 127.0.0.1:8080
	@exec $(BIN)/tokensvc serve

test: $(VENV)/.dev ## Run the whole test suite, with the coverage that it demands
	@$(BIN)/python -m tests

##@ Working on it

setup: $(VENV)/.dev ## Make .venv with everything that development needs

check: $(VENV)/.dev ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

freeze-sql: ## Note the checksums of new migrations and functions; from then on they are never edited
	@cd sql && for file in migrations/*.sql functions/*.sql; do \
	  grep -q "  $$file$$" checksums.txt || sha256sum "$$file" >> checksums.txt; done

bench: $(VENV)/.dev ## Measure on this machine: exchanges per second and what they cost, latency of revocation
	@$(BIN)/python -m bench

bench-rotation: $(VENV)/.dev ## Prove the rotation: 60 of them under load, no false rejection; a stolen signing key (5 minutes)
	@$(BIN)/python -m bench.rotation

bench-feed: $(VENV)/.dev ## Prove the feed: 200 followers, 1,000 revocations; 5,000 idle polls; sizes of pages (4 minutes)
	@$(BIN)/python -m bench.feed

bench-ledger: $(VENV)/.dev ## Prove the ledger: exact limits, no row per token, a million keys, a flood, memory (15 minutes)
	@$(BIN)/python -m bench.ledger

bench-failover: $(VENV)/.dev ## Prove that no acknowledged revocation is lost: 20 failovers, asynchronous, 20 synchronous (5 minutes)
	@$(BIN)/python -m bench.failover
	@$(BIN)/python -m bench.failover --sync

bench-acts: $(VENV)/.dev ## Measure: revocations per second when Postgres is near, and when it is far away (1 minute)
	@$(BIN)/python -m bench.acts

bench-verify: $(VENV)/.dev ## Measure: what a verification costs, beside other libraries, and a large denylist
	@$(BIN)/python -m bench.verify

build: $(VENV)/.dev ## Build the source distribution, and the wheel from it
	$(BIN)/python -m hatchling build -t sdist -t wheel

lock: ## Compile the hash-pinned requirement files again (needs uv)
	uv pip compile -q pyproject.toml --extra server --extra embedded --group build --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/run.txt
	uv pip compile -q pyproject.toml --extra server --extra embedded --group dev -c requirements/run.txt --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/dev.txt

clean: ## Remove what was built and installed; data (.tokensvc) and keys stay
	rm -rf $(VENV) build dist .coverage* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run test setup check fmt freeze-sql bench bench-feed bench-rotation bench-ledger bench-failover bench-acts bench-verify build lock clean help

##@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/bin/python
	@echo "installing into $(VENV) ..."
	@test -e $(VENV)/.dev || $(INSTALL) -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml $(VENV)/bin/python
	@echo "installing into $(VENV) ..."
	@$(INSTALL) -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run
