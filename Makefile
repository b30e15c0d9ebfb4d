# Thin targets. What takes time to set up leaves a stamp, so any target may come first on a
# bare machine that has python3 and make. `make help` lists them.

BIN := .venv/bin
SHELL := /bin/sh
PYTEST := $(BIN)/pytest
# Compiled for every platform and every Python that we support, with hashes and without the
# address of an index.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate

.PHONY: help demo test lint types layers tests conformance matrix drill bench image token openapi lock \
	clean format python-packages run-packages test-packages image-packages conformance-packages
.DEFAULT_GOAL := help

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

demo: .venv/.ok | run-packages ## Push a real image, sign it, verify it, tamper with it; prints PASS.
	@$(BIN)/python -m scripts.demo

test: lint types layers tests ## Lint, types, layers, every test.

lint: .venv/.ok ## Style (ruff) of code and tests.
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.ok ## Types (mypy, strict).
	$(BIN)/mypy

layers: .venv/.ok ## The layers of docs/architecture.md (import-linter).
	$(BIN)/lint-imports

tests: .venv/.ok | run-packages test-packages ## Every test, on real parts.
	$(PYTEST) --ignore=tests/conformance --ignore-glob='tests/drill/test_long_*' --numprocesses=2 --dist=loadgroup

conformance: .venv/.ok | run-packages conformance-packages ## Let foreign clients judge what we write (builds cosign the first time: 9 minutes).
	scripts/install-clients
	$(PYTEST) tests/conformance

matrix: .venv/.ok | run-packages conformance-packages ## Let every client judge every case, and write docs/compatibility.md.
	scripts/install-clients
	$(PYTEST) tests/conformance/test_matrix.py --matrix docs/compatibility.md

drill: .venv/.ok | run-packages test-packages ## Every fault, the slow ones on the whole product among them.
	SEALWRIGHT_STRESS_SECONDS=60 $(PYTEST) tests/drill tests/product/test_eight_threads.py

bench: .venv/.ok | run-packages ## Throughput, as ratios to ceilings measured in the same round.
	$(BIN)/python -m benchmarks

image: | image-packages run-packages ## Build the container image and get a signature from it.
	scripts/image build
	scripts/image check

token: .state/token.env ## A SoftHSM token to try the service with: .state/token.env.

openapi: .venv/.ok ## Write openapi.yaml from the code.
	$(BIN)/sealwright openapi >openapi.yaml.new && mv openapi.yaml.new openapi.yaml

format: .venv/.ok ## Format the code.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: .venv/.ok ## Resolve the dependencies anew into both lock files.
	$(COMPILE) --upgrade pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environment and every cache; .state (tokens, databases) stays.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build \
		dist *.egg-info

# setuptools comes from the lock, so that building ourselves asks no index for anything.
.venv/.ok: requirements-dev.lock pyproject.toml | python-packages
	@set -e; python=$$(scripts/find-python); \
	echo "making .venv with $$python" >&2; \
	rm -rf .venv; "$$python" -m venv .venv
	@$(BIN)/pip --disable-pip-version-check --quiet install --require-hashes -r requirements-dev.lock
	@$(BIN)/pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation -e .
	@touch $@

.state/token.env: softhsm-setup.sh | .venv/.ok run-packages
	./softhsm-setup.sh .state

# Order-only and silent where nothing is missing, so they cost a few milliseconds each time.
python-packages:
	@python=$$(scripts/find-python) && PYTHON="$$python" scripts/system-packages python

run-packages:
	@scripts/system-packages run

test-packages:
	@scripts/system-packages test

image-packages:
	@scripts/system-packages image

conformance-packages:
	@scripts/system-packages conformance
