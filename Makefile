# One name, one habit. `make` alone lists the recipes; everything a new machine needs is python3 (3.11 or newer) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(BIN)/uv
COMPILE := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --quiet
ARGS ?=
PEERS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test check fix kafka bench soak schemas migration ci lock

help: ## list the recipes
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the locked versions (instant when nothing changed)

run: setup ## everything in one process on the embedded log, at 127.0.0.1:8080 (PORT=… for another)
	@$(BIN)/prozess dev $(ARGS)

test: setup ## all tests, a file a core, with real brokers and databases (ARGS="-k word" for some, ARGS="-n 0" one by one)
	@$(BIN)/python -m pytest -n logical --dist loadfile $(ARGS)

check: setup ## format, lint, types, import contracts, schema drift, migration drift
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m infra.schemas --check
	@$(BIN)/python -m infra.migrations --check

fix: setup ## format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

kafka: setup ## a real Apache Kafka in the foreground, at 127.0.0.1:9092
	@$(BIN)/python -m infra.kafka.broker $(ARGS)

bench: setup ## the figures, on both logs, beside a raw baseline (PEERS=dbos,restate for others; ARGS="--write" keeps them)
	@PEERS="$(PEERS)" $(BIN)/python -m infra.bench $(ARGS)

soak: setup ## mixed runs under random kills for half an hour, judged by the log (ARGS="--minutes 3")
	@$(BIN)/python -m infra.bench.soak $(ARGS)

schemas: setup ## write events/schemas/ anew from the classes, and show the difference
	@$(BIN)/python -m infra.schemas $(ARGS)
	@git --no-pager diff --stat --patch -- events/schemas
	@git status --short -- events/schemas

migration: setup ## a new migration from the tables as they are: make migration NAME=what_changes
	@test -n "$(NAME)" || { echo "make migration needs a name: make migration NAME=what_changes" >&2; exit 2; }
	@$(BIN)/python -m infra.migrations --new "$(NAME)"
	@$(BIN)/ruff format --quiet alembic

ci: check test ## what must pass before anything lands

lock: setup ## solve the versions of pyproject.toml anew into requirements/
	@$(COMPILE) --output-file requirements/runtime.txt
	@$(COMPILE) --group dev --group build --constraint requirements/runtime.txt --no-annotate --output-file requirements/dev.txt
	@echo uv | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --quiet --output-file requirements/uv.txt
	@echo 'moto[server]>=5' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --quiet --output-file requirements/s3.txt

$(READY): pyproject.toml requirements/uv.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Prozess needs Python 3.11 or newer as $(PYTHON); say make PYTHON=/path/to/python3.11 …" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module with pip; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip install --quiet --system-certs --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	@touch $@
