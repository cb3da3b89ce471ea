# What a person types. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LLAMA_CPP = $(shell grep -i '^llama_cpp_python==' constraints.txt | sed 's/==/-/')
PROFILE ?=
DATA ?=

# the environment of the project, whatever else is activated; nothing phones home
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup pipeline repro test test-slow test-system check format bench study loop platform platform-test audit llama-cpp lock golden clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## the environment in .venv, from constraints.txt
$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (some minutes, once)"
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) is not installed; name another with PYTHON=..., it must be Python 3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "$$(grep -i '^torch==' constraints.txt)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@test -e .git || $(BIN)/dvc config --local core.no_scm true
	@touch $(READY)

pipeline: $(READY)  ## the whole chain, raw text to a registered model (PROFILE=real DATA=FOLDER for text and tasks of yours)
	@$(BIN)/fledgling run $(if $(PROFILE),--profile $(PROFILE)) $(if $(DATA),--data $(DATA))

repro: $(READY)  ## the same chain by `dvc repro`, no server of any kind
	@$(BIN)/dvc repro

test: $(READY)  ## every test, in two processes
	@$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations 15

test-slow: $(READY)  ## the tests that take a minute or more each, left out of `make test`
	@$(BIN)/python -m pytest -m slow

test-system:  ## Debian packages that some tests need (chromium, PostgreSQL)
	@.ci/system-packages

check: $(READY)  ## format, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY)  ## rewrites the code in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)  ## what is measured, beside its public peers
	@$(BIN)/python -m benchmarks

study: $(READY)  ## LoRA beside full fine-tuning, and what 100, 300, 1,000 examples of a task are worth (after pipeline)
	@$(BIN)/python -m benchmarks.finetuning

loop: $(READY)  ## two rounds of the loop on real servers, with simulated reviewers (an hour and more)
	@$(BIN)/python -m benchmarks.loop

platform-test: $(READY)  ## the platform's own tests: PostgreSQL, every route locked, outages (half an hour and more)
	@$(BIN)/python -m pytest -m "" tests/platform tests/apps/start tests/fledgling/test_platform.py tests/fledgling/test_logins.py

audit: $(READY)  ## the locked packages against published advisories (asks PyPI); waivers: .ci/audit-waivers.yaml
	@$(BIN)/python -m fledgling.audit

platform: $(READY)  ## Prefect, MLflow, review page, chat and a start page on this machine, until Ctrl+C
	@$(BIN)/fledgling platform

llama-cpp: $(READY)  ## the engine llama.cpp: compiles for some minutes, once (the wheel stays in var/wheels)
	@test -e var/wheels/$(LLAMA_CPP)-*.whl || \
		$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w var/wheels "$$(grep -i '^llama_cpp_python==' constraints.txt)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --find-links var/wheels -e ".[llama-cpp]"
	@$(BIN)/python -c "import llama_cpp; print('llama-cpp-python', llama_cpp.__version__)"

lock:  ## makes constraints.txt anew from pyproject.toml
	@rm -rf var/lock && $(PYTHON) -m venv var/lock
	@var/lock/bin/pip install --quiet "$$(grep -oE 'torch==[0-9.]+' pyproject.toml)"
	@var/lock/bin/pip install --quiet ".[dev,llama-cpp]"
	@var/lock/bin/pip freeze --exclude fledgling | sed -E 's/ @ .*//; s/\+cpu//' > constraints.txt
	@rm -rf var/lock build && echo "constraints.txt: $$(wc -l < constraints.txt) packages"

golden: $(READY)  ## regenerates the golden loss curve that the tests compare with
	@$(BIN)/python -m tests.model.golden

clean:  ## removes what the chain made; keeps the environment, what people said (data/feedback, var/review), and var/wheels
	@find data -mindepth 1 -maxdepth 1 ! -name feedback -exec rm -rf {} + 2> /dev/null || true
	@find var -mindepth 1 -maxdepth 1 ! -name review ! -name wheels -exec rm -rf {} + 2> /dev/null || true
	@rm -rf models metrics plots dvc.lock .dvc/tmp .dvc/cache
