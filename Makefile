# Everything that a newcomer and CI need. `make help` explains.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := requirements/install $(BIN)/python
INSTALL_SELF := $(INSTALL) --no-deps --no-build-isolation --editable .
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header
# BENCH_SECONDS=1 makes a measurement short; BENCH_OPTIONS are those of its module.
BENCH = $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(BENCH_OPTIONS)
SERVICE := pyproject.toml --extra server --extra embedded

##@ Start here

run: $(VENV)/.run ## Install what is needed into .venv and run the service on 127.0.0.1:8080
	@exec $(BIN)/tokensvc serve

demo: $(VENV)/.run ## Run a service with a month of made-up use behind it, to look at
	@exec $(BIN)/python -m demo

test: $(VENV)/.dev ## Run the tests, with the coverage that they demand (5 minutes)
	@$(BIN)/python -m tests

##@ Working on it

setup: $(VENV)/.dev ## Make .venv with everything that development needs

test-fast: $(VENV)/.dev ## Run the tests that need neither a process nor a service (1 minute)
	@$(BIN)/python -m tests fast

soak: $(VENV)/.deploy ## Run the long tests: crashes, failovers, installations (30 minutes at most)
	@$(BIN)/python -m tests soak

check: $(VENV)/.dev ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(VENV)/.dev ## Write docs/openapi.json anew, from the table of operations
	@$(BIN)/python -m tokensvc.operations.openapi docs/openapi.json

metrics-page: $(VENV)/.dev ## Write docs/metrics.md anew, from the metrics and the alerts
	@$(BIN)/python -m testbed.metrics_page docs/metrics.md

fuzz-api: $(VENV)/.dev ## Try the whole API with made-up requests for 10 minutes
	@FUZZ_SECONDS=600 $(BIN)/python -m tests tests/soak/test_api.py

fuzz-rights: $(VENV)/.dev ## Try 10,000 sequences of calls that ask for too much (long)
	@ESCALATION_SEQUENCES=10000 $(BIN)/python -m tests tests/soak/test_escalation.py

screenshots: $(VENV)/.dev ## Take the pictures of the docs anew, of the demo (needs Chromium)
	@mkdir -p docs/screenshots
	@SCREENSHOTS=docs/screenshots BROWSER_TESTS=required \
	  $(BIN)/python -m tests tests/browser/test_pictures.py -q

freeze-sql: ## Note the checksums of new SQL files; from then on they are never edited
	@cd sql && for file in migrations/*.sql functions/*.sql; do \
	  grep -q "  $$file$$" checksums.txt || sha256sum "$$file" >> checksums.txt; done

bench: $(VENV)/.dev ## Measure exchanges, beside handlers that do less, and revocation (12 min)
	@$(BIN)/python -m bench.throughput $(BENCH)
	@$(BIN)/python -m bench.revocation

bench-peers: $(VENV)/.dev ## Measure exchanges beside other issuers, a dex at DEX=path too (8 min)
	@$(BIN)/python -m bench.peers $(BENCH)

bench-compare: $(VENV)/.dev ## Compare what this tree costs with BASE=folder, a checkout (3 minutes)
	@test -n "$(BASE)" || { echo "say which checkout: make bench-compare BASE=folder"; exit 1; }
	@$(BIN)/python -m bench.compare $(BASE)

bench-rotation: $(VENV)/.dev ## Prove 60 rotations under load and the end of a stolen key (5 min)
	@$(BIN)/python -m bench.rotation

bench-feed: $(VENV)/.dev ## Prove the feed: 200 followers, 5,000 idle polls, sizes (4 minutes)
	@$(BIN)/python -m bench.feed

bench-long-denylist: $(VENV)/.dev ## Measure a denylist of a million entries (5 minutes)
	@$(BIN)/python -m bench.long_denylist

bench-ledger: $(VENV)/.dev ## Prove the ledger: exact limits, a million keys, a flood (15 minutes)
	@$(BIN)/python -m bench.ledger

bench-neighbours: $(VENV)/.dev ## Prove that floods leave other clients alone (6 minutes)
	@$(BIN)/python -m bench.neighbours

bench-timing: $(VENV)/.dev ## Prove that the time of a refusal tells nothing (2 minutes)
	@$(BIN)/python -m bench.timing

bench-black-hole: $(VENV)/.dev ## Prove that a Postgres that has vanished is not waited for (1 min)
	@$(BIN)/python -m bench.black_hole

bench-stalls: $(VENV)/.dev ## Measure what holds the event loop of a busy service (2 minutes)
	@$(BIN)/python -m bench.stalls

bench-failover: $(VENV)/.dev ## Prove that 40 failovers lose no acknowledged revocation (5 minutes)
	@$(BIN)/python -m bench.failover
	@$(BIN)/python -m bench.failover --sync

bench-acts: $(VENV)/.dev ## Measure revocations per second, Postgres near and far (1 minute)
	@$(BIN)/python -m bench.acts

bench-clock: $(VENV)/.dev ## Prove that revocations hold while clocks are moved (15 minutes)
	@for turn in 1 2; do $(BIN)/python -m bench.clock || exit 1; done
	@for turn in 1 2; do $(BIN)/python -m bench.clock --failover || exit 1; done

bench-restore: $(VENV)/.dev ## Prove that 80 restores under load lose no revocation (11 minutes)
	@$(BIN)/python -m bench.restore

soak-patroni: $(VENV)/.dev ## Prove that 40 failovers by Patroni lose no revocation (40 minutes)
	@$(BIN)/python -m bench.patroni

soak-upgrade: $(VENV)/.dev ## Prove that no request fails in a rolling upgrade and back (3 minutes)
	@$(BIN)/python -m bench.upgrade

bench-lists: $(VENV)/.dev ## Measure lists of keys: 100,000 of an account, and a million (6 minutes)
	@$(BIN)/python -m bench.lists

bench-pages: $(VENV)/.dev ## Measure the dashboard with 110,000 keys and a year of use (6 minutes)
	@$(BIN)/python -m bench.pages

bench-traces: $(VENV)/.dev ## Measure what an exchange costs that is traced (3 minutes)
	@$(BIN)/python -m bench.traces

bench-notices: $(VENV)/.dev ## Measure what notices cost an exchange (3 minutes)
	@$(BIN)/python -m bench.notices

bench-verify: $(VENV)/.dev ## Measure a verification beside other libraries, and a large denylist
	@$(BIN)/python -m bench.verify

site: $(VENV)/.deploy ## Build the pages as a site, in build/site; each link must lead somewhere
	@$(BIN)/python deploy/site.py

release: $(VENV)/.deploy ## Make what a release consists of, in dist/ (asks PyPI for weaknesses)
	@$(BIN)/python deploy/release.py

build: $(VENV)/.dev ## Build the source distribution, and the wheel from it
	$(BIN)/python -m hatchling build -t sdist -t wheel

lock: ## Compile the hash-pinned requirement files again (needs uv)
	$(COMPILE) $(SERVICE) --group build -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra otel -c requirements/run.txt -o requirements/otel.txt
	$(COMPILE) $(SERVICE) --extra otel --group dev -c requirements/run.txt \
	  -c requirements/otel.txt -o requirements/dev.txt
	$(COMPILE) --group deploy -c requirements/dev.txt -o requirements/deploy.txt

clean: ## Remove what was built and installed; data (.tokensvc) and keys stay
	rm -rf $(VENV) build dist .coverage* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run demo test setup test-fast soak check fmt openapi metrics-page fuzz-api fuzz-rights
.PHONY: screenshots freeze-sql bench bench-peers bench-compare bench-rotation bench-feed
.PHONY: bench-long-denylist bench-ledger bench-neighbours bench-timing bench-black-hole
.PHONY: bench-stalls bench-failover bench-acts bench-clock bench-restore soak-patroni soak-upgrade
.PHONY: bench-lists bench-pages bench-traces bench-notices bench-verify site release build lock
.PHONY: clean help

##@

# A folder without this mark, or an installed one, was left half-made by a Ctrl-C: it is made anew.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is older:"; \
	       echo "make PYTHON=python3.12 ..."; exit 1; }
	@test -e $(VENV)/.run || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) > /dev/null; } \
	  || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment;"; \
	       echo "on Debian: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/.made
	@echo "installing into $(VENV) ..."
	@test -e $(VENV)/.dev || $(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL_SELF)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.made
	@echo "installing into $(VENV) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL_SELF)
	@touch $@ $(VENV)/.run

$(VENV)/.deploy: requirements/deploy.txt $(VENV)/.dev
	@$(INSTALL) --require-hashes -r requirements/deploy.txt
	@touch $@
