# SimCLR Lab. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup up lint format test benchmark clean

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed ## install everything into .venv

.venv/.installed: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { echo "SimCLR Lab needs Python 3.11, 3.12 or 3.13: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(BIN)/python -c 'import importlib.util as u, os, sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 14) and (u.find_spec("pip") or os.path.exists("$(BIN)/uv"))))' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv sync --frozen --all-extras --quiet --compile-bytecode --python $(BIN)/python
	@touch $@

up: setup ## start everything and print the page's address; Ctrl-C stops it
	@$(BIN)/python -m backend.up

lint: setup ## format check, lint, types, who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: setup ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: lint ## lint, then all tests
	@$(BIN)/pytest

benchmark: setup ## images/s beside lightly, a torchvision loop and the bare step; growth; augmentation; packs
	@$(BIN)/uv sync --frozen --all-extras --group benchmark --quiet --python $(BIN)/python
	@$(BIN)/python -m benchmarks.pretraining
	@$(BIN)/python -m benchmarks.scaling
	@$(BIN)/python -m benchmarks.augmentation
	@$(BIN)/python -m benchmarks.packs

clean: ## remove what make made; your data in .simclr-lab stays
	rm -rf .venv .pytest_cache .ruff_cache
