# Needs Python 3.11 or newer and make; everything else is installed into $(VENV).
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
# What `make conformance` runs: docker, local, kubernetes, cached (everything twice), or empty for all and the black box.
BACKEND ?=
# How long `make fuzz` tries odd data, and the first of its seeds.
FUZZ_SECONDS ?= 1800
FUZZ_SEED ?= 0
# What `make bench` measures (empty: everything) and how often.
ROWS ?=
REPEAT ?= 3
# How many runs `make chaos` kills, and the first of their seeds.
SEEDS ?= 200
FIRST_SEED ?= 0
# How many deployments `make soak` runs, in which time, where, and the seed of all that happens to them.
SOAK_RUNS ?= 200
SOAK_SECONDS ?= 1200
SOAK_POOLS ?= process docker kubernetes
SOAK_SEED ?= 0
# How many processes `make test` runs tests in, each file in one of them; 0 is this one alone.
PROCESSES ?= 2
# Which versions of its dependencies `make test-versions` takes.
VERSIONS ?= newest
# What `make wheel` demands of the wheel (empty: anything).
VERSION ?=
# More arguments for pytest, as in `make test ARGS="-k scatter"`.
ARGS ?=

PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n $(PROCESSES) --dist loadfile
NOW = date +%s

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- setting up: each stamp is made once, and again when pyproject.toml changes -------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module does not work here (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }

$(VENV)/.run-stamp: pyproject.toml | $(BIN)/python
	@echo "Installing cwl-prefect into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev-stamp: pyproject.toml | $(BIN)/python
	@echo "Installing cwl-prefect and its development tools into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.run-stamp

$(VENV)/.docs-stamp: pyproject.toml | $(BIN)/python
	@echo "Installing cwl-prefect and what its documentation needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.run-stamp

.PHONY: install
install: $(VENV)/.dev-stamp ## Set up .venv with cwl-prefect and all development tools
	@echo "Ready: $(BIN)/cwl-prefect --help"

# --- trying it ------------------------------------------------------------------------------------------------------------------------

DEMO := examples/cwl/vegetation/vegetation
DEMO_OUT := demo-output

.PHONY: demo
demo: ## Set up and run a real workflow on this machine: no Docker, no node, no server needed
	@begin=$$($(NOW)); $(MAKE) $(VENV)/.run-stamp || exit 1; ready=$$($(NOW)); \
	echo "Running $(DEMO).cwl as a Prefect flow (the first run also starts a local Prefect server)"; \
	rm -rf $(DEMO_OUT); \
	$(BIN)/cwl-prefect run --backend local --outdir $(DEMO_OUT) $(DEMO).cwl $(DEMO).yml > /dev/null || exit $$?; \
	end=$$($(NOW)); \
	echo; echo "What came out, in $(DEMO_OUT) ($$(ls $(DEMO_OUT) | wc -l | tr -d ' ') files):"; \
	$(BIN)/python -c 'import json, sys; value = json.load(open(sys.argv[1])); print("  greenest scene:", value["greenest_scene"], "with a mean index of", value["greenest_mean"])' $(DEMO_OUT)/cwl-prefect-outputs.json; \
	echo "  season.csv (scene, mean, least, greatest, share of dense vegetation):"; sed 's/^/    /' $(DEMO_OUT)/season.csv; \
	echo; $(BIN)/cwl-prefect server status || true; \
	echo "The server ends by itself when it is idle; to stop it now: $(BIN)/cwl-prefect server stop"; \
	echo "The demo took $$((end - begin)) s: $$((ready - begin)) s to set up, $$((end - ready)) s to run."

# --- tests ----------------------------------------------------------------------------------------------------------------------------

.PHONY: test
test: ## Set up and run all tests that can run here, with the coverage of the unit tests
	@begin=$$($(NOW)); $(MAKE) $(VENV)/.dev-stamp || exit 1; ready=$$($(NOW)); \
	$(PYTEST) tests/unit -q --no-header $(SIDE_BY_SIDE) --cov=cwl_prefect --cov-report= --cov-fail-under=90 $(ARGS); unit=$$?; \
	middle=$$($(NOW)); $(PYTEST) tests --ignore=tests/unit -m "not bench" $(SIDE_BY_SIDE) $(ARGS); all=$$?; \
	end=$$($(NOW)); echo "make test took $$((end - begin)) s: $$((ready - begin)) s to set up, $$((middle - ready)) s for unit tests, $$((end - middle)) s for all others."; \
	test $$unit -eq 0 || echo "The unit tests did not pass, or cover less than 90 %." >&2; \
	exit $$((unit ? unit : all))

.PHONY: coverage
coverage: $(VENV)/.dev-stamp ## Show which lines the unit tests of the last `make test` did not reach
	@$(BIN)/coverage report --skip-covered --show-missing

.PHONY: test-unit
test-unit: $(VENV)/.dev-stamp ## Run the unit tests only: seconds, no network, no engine
	@$(PYTEST) tests/unit $(ARGS)

.PHONY: test-versions
test-versions: $(BIN)/python ## Run the unit tests with other versions of all dependencies [VERSIONS=lowest|newest]
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@rm -rf .venv-$(VERSIONS) && $(PYTHON) -m venv .venv-$(VERSIONS)
	@$(BIN)/uv pip install --quiet --python .venv-$(VERSIONS)/bin/python --upgrade \
		--resolution $(if $(filter lowest,$(VERSIONS)),lowest-direct,highest) --editable '.[dev]'
	@.venv-$(VERSIONS)/bin/python -m pytest tests/unit -q --no-header $(SIDE_BY_SIDE) $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/.dev-stamp ## Make the screenshots of the documentation anew, by the tests that look at the pages
	@scratch=$$(mktemp -d) && mkdir "$$scratch/documented" && \
	CWL_PREFECT_REQUIRE_ENGINES=1 CWL_PREFECT_SCREENSHOTS="$$scratch" $(PYTEST) tests/deployments/test_report_page.py tests/deployments/test_form.py tests/deployments/test_run_pages.py && \
	cp "$$scratch"/documented/*.png docs/images/ && rm -r "$$scratch"

.PHONY: test-docker
test-docker: $(VENV)/.dev-stamp ## Run the tests that need a Docker engine
	@CWL_PREFECT_REQUIRE_ENGINES=1 $(PYTEST) tests -m "docker and not conformance and not bench" $(ARGS)

.PHONY: test-kubernetes
test-kubernetes: $(VENV)/.dev-stamp ## Run the tests that need a Kubernetes cluster (KUBECONFIG names it)
	@CWL_PREFECT_REQUIRE_ENGINES=1 $(PYTEST) tests -m "kubernetes and not conformance and not bench" $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev-stamp ## Kill runs at 200 random moments, resume, and compare [SEEDS=200] [FIRST_SEED=0]
	@CHAOS_SEEDS=$(SEEDS) CHAOS_FIRST_SEED=$(FIRST_SEED) $(PYTEST) tests/chaos $(ARGS)

.PHONY: soak
soak: $(VENV)/.dev-stamp ## Run 200 deployments in 20 minutes and kill workers, drivers and the server [SOAK_RUNS=200] [SOAK_SECONDS=1200] [SOAK_POOLS=process]
	@CWL_PREFECT_REQUIRE_ENGINES=1 SOAK_RUNS=$(SOAK_RUNS) SOAK_SECONDS=$(SOAK_SECONDS) SOAK_POOLS="$(SOAK_POOLS)" SOAK_SEED=$(SOAK_SEED) \
		$(PYTEST) tests/soak $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.dev-stamp ## Try odd documents, job orders and outputs for half an hour [FUZZ_SECONDS=1800] [FUZZ_SEED=0]
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) $(PYTEST) tests/security/fuzz $(ARGS)

.PHONY: conformance
conformance: $(VENV)/.dev-stamp ## Run the CWL v1.2 conformance suite [BACKEND=docker|local|kubernetes|cached] (CWL_CONFORMANCE_SUITE names its folder)
	@test -n "$$CWL_CONFORMANCE_SUITE" || { \
		echo "Set CWL_CONFORMANCE_SUITE to a clone of https://github.com/common-workflow-language/cwl-v1.2" >&2; exit 2; }
	@$(if $(BACKEND),CWL_CONFORMANCE_WHOLE=1) $(PYTEST) $(if $(BACKEND),tests/conformance/$(BACKEND).conformance.yml,tests/conformance) $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev-stamp ## Measure against cwltool and the project's bars [ROWS="chain-100 echo"] [REPEAT=3]
	@$(if $(ROWS),:,$(PYTEST) tests/bench -q --no-header)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m tests.bench --repeat $(REPEAT) $(ROWS)

# --- quality --------------------------------------------------------------------------------------------------------------------------

WORDS := cwl_prefect deployments docs examples templates tests Makefile README.md CHANGELOG.md CONTRIBUTING.md pyproject.toml

.PHONY: check
check: $(VENV)/.dev-stamp ## Lint, check format, types, import contracts and spelling, and check that these checks find faults
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell $(WORDS)
	$(BIN)/validate-pyproject pyproject.toml
	@$(MAKE) check-check

.PHONY: check-check
check-check: $(VENV)/.dev-stamp ## Write a wrong type, forbidden imports and a circle, and demand that the checks fail
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	cp -R cwl_prefect pyproject.toml "$$scratch" && \
	printf '"""Wrong on purpose."""\n\nfrom cwl_prefect.errors import CwlPrefectError\n\nwrong: int = CwlPrefectError("not a number")\n' > "$$scratch/wrong.py" && \
	printf '"""Wrong on purpose."""\n\nimport prefect\n\nfrom cwl_prefect import cli\n\n__all__ = ["cli", "prefect"]\n' > "$$scratch/cwl_prefect/model/wrong.py" && \
	printf '"""Wrong on purpose."""\n\nfrom cwl_prefect.model import another\n\n__all__ = ["another"]\n' > "$$scratch/cwl_prefect/model/one.py" && \
	printf '"""Wrong on purpose."""\n\nfrom cwl_prefect.model import one\n\n__all__ = ["one"]\n' > "$$scratch/cwl_prefect/model/another.py" && \
	{ $(BIN)/mypy "$$scratch/wrong.py" > "$$scratch/types" 2>&1 && { echo "mypy did not find a wrong type" >&2; exit 1; } || true; } && \
	{ grep -q 'Incompatible types in assignment' "$$scratch/types" || { cat "$$scratch/types" >&2; exit 1; }; } && \
	linter=$$(cd $(BIN) && pwd)/lint-imports && cd "$$scratch" && \
	{ PYTHONPATH="$$scratch" "$$linter" --no-cache > imports 2>&1 && { echo "lint-imports did not find forbidden imports and circles" >&2; exit 1; } || true; } && \
	{ grep -q 'cwl_prefect.model.wrong -> cwl_prefect.cli' imports && grep -q 'cwl_prefect.model.wrong -> prefect' imports && grep -q 'No cycles are allowed in cwl_prefect.model' imports || { cat imports >&2; exit 1; }; } && \
	echo "The checks find a wrong type, forbidden imports and a circle."

.PHONY: format
format: $(VENV)/.dev-stamp ## Mend what can be mended by itself: format and simple lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(VENV)/.docs-stamp ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: vscode-extension
vscode-extension: ## Package the extension for Visual Studio Code, with node and npm: editors/vscode/cwl-prefect.vsix
	@editors/vscode/package.sh

.PHONY: wheel
wheel: $(VENV)/.dev-stamp ## Build dist/, and try the wheel in an environment of its own [VERSION=1.2.3]
	@rm -rf dist && $(BIN)/python -m build --outdir dist .
	@test -z "$(VERSION)" || ls dist/cwl_prefect-$(VERSION)-py3-none-any.whl
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(PYTHON) -m venv "$$scratch/venv" && \
	"$$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check dist/*.whl && \
	cp -R $(dir $(DEMO)) "$$scratch/demo" && cd "$$scratch/demo" && export CWL_PREFECT_HOME="$$scratch/home" && \
	"$$scratch/venv/bin/cwl-prefect" run --backend local --outdir out $(notdir $(DEMO)).cwl $(notdir $(DEMO)).yml > /dev/null && \
	"$$scratch/venv/bin/cwl-prefect" server stop && test -s out/season.csv && echo "The wheel runs a workflow."

.PHONY: clean
clean: ## Remove what was built or measured, but not .venv
	rm -rf build dist site .venv-lowest .venv-newest $(DEMO_OUT) .coverage* .benchmarks .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
