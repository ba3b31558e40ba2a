# Thin names for plain commands. Everything runs in .venv, which holds what requirements.lock says and nothing else.

# Relative paths alone: make cannot cope with a space in one, and the folder of the clone may have one.
BIN := .venv/bin
STAMP := .venv/.requirements.lock
COMPILE := uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-config --universal --python-version 3.11

IMAGE ?= inventory-reservation
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)

SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test soak bench size image screenshots check fmt lock

help: ## Print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## Run everything here, with demonstration data, until Ctrl-C (PORT=8000, DATA_DIR=var)
	@exec $(BIN)/python -m config.demo

test: $(STAMP) ## Run all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

soak: $(STAMP) ## Kill processes and PostgreSQL under load, 100 times, and check the rest (ARGS='--faults 20 --seconds 300')
	$(BIN)/python -m tests.faults.soak $(ARGS)

bench: $(STAMP) ## Measure it beside plain Django and raw SQL (ARGS=--quick for two minutes)
	$(BIN)/python -m benchmarks $(ARGS)

size: $(STAMP) ## Fill a database with millions of rows and time every page and read (ARGS='--part 10' for a tenth)
	$(BIN)/python -m benchmarks.size --seed $(ARGS)

image: ## Build the container image, tagged with the release (IMAGE=inventory-reservation)
	docker build --build-arg VERSION=$(VERSION) --tag $(IMAGE):$(VERSION) .

screenshots: $(STAMP) ## Take the pictures of docs/guides/staff.md anew (needs a Chromium; ARGS=stock for one)
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

check: $(STAMP) ## Lint, types, imports, dependencies, migrations, links, generated documents, the OpenAPI document
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py lintmigrations
	$(BIN)/python -m config.documents --check
	$(BIN)/python -m tests.node.lint

fmt: $(STAMP) ## Format, fix what can be fixed, write the generated documents
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python -m config.documents

lock: ## Pin what pyproject.toml resolves to today (needs uv on the PATH)
	$(COMPILE) --quiet --upgrade --extra embedded --extra kafka --extra otel --extra dev --output-file requirements.lock
	$(COMPILE) --quiet --extra kafka --extra otel --constraints requirements.lock --output-file requirements-runtime.lock

# PYTHON may name another Python from 3.11 on. Where only the lock's date is new, the environment is kept.
$(STAMP): requirements.lock
	@if cmp -s requirements.lock $(STAMP); then touch $(STAMP); exit; fi; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
	done; \
	[ -n "$$python" ] || { echo 'Python 3.11 or later is needed: make PYTHON=/path/to/it' >&2; exit 1; }; \
	echo "Making .venv with $$python from requirements.lock: it downloads 165 MB, fills 660 MB, and takes one to two minutes" && "$$python" -m venv --clear .venv && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	cp requirements.lock $(STAMP)
