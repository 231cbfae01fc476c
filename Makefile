# Every development task. `make` lists the targets. Each can be repeated at any time and is quick when nothing has changed.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory --warn-undefined-variables
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
CYCLONEDX_VERSION := 7.5.0
PIP_AUDIT_VERSION := 2.10.1

VENV := .venv/bin
UV := $(VENV)/uv
STAMPS := .make
export UV_NO_PROGRESS := 1
# uv installs here, even if the caller has another environment active.
export VIRTUAL_ENV := $(CURDIR)/.venv
# protoc looks for its plugins there.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

LIBRARIES := protos/gen/python libs/chassis libs/bus libs/sendmany libs/client libs/stack
SERVICES := gateway messages presence media integrations
MEMBERS := $(LIBRARIES) $(SERVICES:%=services/%)
NAMES := protos chassis bus sendmany client stack $(SERVICES)
PROJECTS := $(MEMBERS:%=%/pyproject.toml)
NATIVE := $(wildcard libs/*/src/*/*.c)
SOURCES := $(wildcard libs/*/src libs/*/tests services/*/src services/*/tests protos/*.py tests bench)
WEB_SOURCES = $(shell find web -type f -not -path 'web/node_modules/*' -not -path '*/dist/*')

# Test processes at once. Tests wait for leases and for other processes, so two processors keep four of them busy.
TEST_PROCESSES ?= 4
PYTEST := $(VENV)/pytest --quiet --numprocesses $(TEST_PROCESSES)
# Options for make: two targets at a time, the output of each in one piece.
TOGETHER := --jobs 2 --output-sync=target

.PHONY: help run check test static soak unit flow browser random fuzz faults bench bench-quick fmt lint types contracts protos protos-check docs \
	lock web client web-test chromium clean sbom advisories

# Tests that load a gateway to its limits, and expect it to keep its lease: nothing else may run beside them.
ALONE := tests/faults tests/security/test_flood.py

##@ Use

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	echo
	echo "HUBBUB_PORT (8080), HUBBUB_DATA (.hubbub), GATEWAYS (1), WORKERS (1) and SEARCH (1) shape 'make run'; see docs/operations.md."

run: $(STAMPS)/python $(STAMPS)/web ## run the whole product on this machine until Ctrl-C
	@exec $(VENV)/python -m stack --end-with-parent

##@ Check

check: $(STAMPS)/python ## before each commit: format, lint, types, import contracts, unit tests; a few minutes
	@$(MAKE) $(TOGETHER) lint types contracts unit

test: $(STAMPS)/python $(STAMPS)/web $(STAMPS)/client chromium static ## everything that CI checks; a quarter of an hour on two processors
	$(PYTEST) $(ALONE:%=--ignore=%)
	$(VENV)/pytest --quiet $(ALONE)

static: $(STAMPS)/python $(STAMPS)/node ## the part of `make test` that starts no servers
	@$(MAKE) $(TOGETHER) lint types contracts protos-check web-test

soak: random fuzz faults ## random tests at length, on demand; SECONDS (60) for fuzz and for faults

unit: $(STAMPS)/python ## the tests of each library and service
	@$(PYTEST) libs services

flow: $(STAMPS)/python $(STAMPS)/web $(STAMPS)/client chromium ## tests of the whole product with two gateways
	@$(PYTEST) tests/flow

browser: $(STAMPS)/python $(STAMPS)/web chromium ## tests of the web app in Chromium
	@$(PYTEST) tests/browser

random: $(STAMPS)/python ## state machines and property tests with many random examples
	@BUILD_GO=1 $(PYTEST) -m soak --hypothesis-profile=soak

faults: $(STAMPS)/python ## kill, pause and cut off processes at random while clients chat, then check every delivery; SECONDS (60), SEED, PAUSE, FAULTS
	@$(VENV)/python -m tests.faults

SECONDS_OF_FUZZ = $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)

fuzz: $(STAMPS)/python ## coverage-guided fuzzing of every parser; continues where the last run stopped; SECONDS (60), TARGETS
	@targets="$${TARGETS:-$$($(VENV)/python -c 'from tests.fuzz import TARGETS; print(*TARGETS)')}"
	for target in $$targets; do
		$(VENV)/python -m tests.fuzz $$target --seconds $$(( $(SECONDS_OF_FUZZ) / $$(wc -w <<< "$$targets") + 1 ))
	done

lint: $(STAMPS)/python ## format and lint of the Python code
	$(VENV)/ruff format --check --quiet .
	$(VENV)/ruff check --quiet .

types: $(STAMPS)/python ## types of the Python code (mypy, strict)
	$(VENV)/mypy $(SOURCES)

contracts: $(STAMPS)/python ## which package may import which
	$(VENV)/lint-imports --no-cache

protos-check: $(STAMPS)/python ## lint the protos, compare them with the last release and with the committed stubs
	$(VENV)/python protos/generate.py --check

web-test: $(STAMPS)/node ## lint, types and tests of the web app
	cd web
	npm run --silent lint
	npm run --silent types
	npm run --silent test

##@ Dependencies

sbom: $(UV) ## write a CycloneDX bill of materials of each image into dist/sbom, from the lock files
	@mkdir -p dist/sbom
	for service in $(SERVICES); do
		$(VENV)/uvx --quiet --from cyclonedx-bom==$(CYCLONEDX_VERSION) cyclonedx-py requirements services/$$service/requirements.lock \
			--output-reproducible --output-file dist/sbom/$$service.json
	done
	npm sbom --prefix web --package-lock-only --omit dev --sbom-format cyclonedx > dist/sbom/web.json
	ls dist/sbom/*.json

advisories: $(UV) ## compare the lock files with the published advisories; needs the network
	@failed=
	for service in $(SERVICES); do
		$(VENV)/uvx --quiet pip-audit==$(PIP_AUDIT_VERSION) --strict --progress-spinner off --vulnerability-service osv \
			--disable-pip --require-hashes --requirement services/$$service/requirements.lock 2> >(tail -1 >&2) || failed+=" $$service"
	done
	npm audit --prefix web --package-lock-only --omit dev || failed+=" web"
	if [ -n "$$failed" ]; then
		echo "Not free of advisories, or not checked because the advisory service did not answer:$$failed" >&2
		exit 1
	fi

##@ Measure

bench: $(STAMPS)/python $(STAMPS)/web ## compare Hubbub with its rivals and with a bare C server; half an hour on an idle machine
	$(VENV)/python -m bench.run

bench-quick: $(STAMPS)/python $(STAMPS)/web ## the same with fewer and shorter rounds; under two minutes
	$(VENV)/python -m bench.run --quick

##@ Change

fmt: $(STAMPS)/python ## format the Python code
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix-only --quiet .

protos: $(STAMPS)/python ## generate the stubs from the protos
	$(VENV)/python protos/generate.py

docs: $(STAMPS)/python ## generate the pages that come from code
	$(VENV)/python -m messages permissions > docs/permissions.md
	$(VENV)/python -m gateway openapi > docs/openapi.json
	$(VENV)/python -m gateway asyncapi > docs/asyncapi.json

web: $(STAMPS)/web ## build the web app into web/dist

client: $(STAMPS)/client ## build the package @hubbub/client into web/client/dist

lock: $(UV) ## upgrade every lock file to the newest versions that the members allow
	@lock() { $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--upgrade --custom-compile-command "make lock" $(NAMES:%=--no-emit-package hubbub-%) "$$@"; }
	lock --group dev $(PROJECTS) --output-file requirements-dev.lock
	lock deploy/docker/build.in --output-file deploy/docker/build.lock
	for service in $(SERVICES); do
		lock services/$$service/pyproject.toml --constraint requirements-dev.lock --output-file services/$$service/requirements.lock
	done

clean: ## remove everything that the tools made, but not the data of 'make run'
	rm -rf .venv .make .mypy_cache .pytest_cache .ruff_cache .import_linter_cache web/node_modules web/dist web/client/dist
	find libs services protos tests -name __pycache__ -prune -exec rm -rf {} +

# Prerequisites of the targets above, rebuilt when a source is newer.

$(STAMPS):
	@mkdir -p $@

$(UV):
	@echo "Making .venv with $$($(PYTHON) --version) and uv $(UV_VERSION)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hubbub needs Python 3.11 or newer: set PYTHON to one.")'
	$(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMPS)/python: requirements-dev.lock pyproject.toml $(PROJECTS) $(NATIVE) $(UV) | $(STAMPS)
	@echo "Installing Python dependencies"
	$(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	$(UV) pip install --quiet --no-deps $(MEMBERS:%=--editable %)
	touch $@

$(STAMPS)/node: web/package.json web/package-lock.json | $(STAMPS)
	@echo "Installing web dependencies"
	(cd web; npm ci --loglevel=error)
	touch $@

$(STAMPS)/web: $(STAMPS)/node $(WEB_SOURCES)
	@echo "Building the web app"
	npm --prefix web run --silent build
	touch $@

$(STAMPS)/client: $(STAMPS)/node $(WEB_SOURCES)
	@echo "Building the web client's package"
	npm --prefix web run --silent build:client
	touch $@

chromium:
	@command -v chromium > /dev/null && exit
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
		echo "Installing Chromium"
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium > /dev/null
	else
		echo "The browser tests need Chromium at /usr/bin/chromium: install your system's package 'chromium'." >&2
		exit 1
	fi
