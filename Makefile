# The verbs of this project. Each prepares what it needs first; a second time that takes no time.
# Arguments go in ARGS: make test ARGS="tests/core -x"

.DEFAULT_GOAL := help
.PHONY: help demo test bench storm lint format lock clean
BIN := .venv/bin

help: ## show the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run a gateway, a simulated M-Pesa and a page to pay on, with two merchants
	@tools/bootstrap demo
	@exec $(BIN)/milango demo $(ARGS)

test: ## run the tests, on SQLite and on PostgreSQL
	@tools/bootstrap test
	@exec $(BIN)/python tools/test $(ARGS)

bench: ## measure speed against the baselines (ARGS="--quick --json FILE")
	@tools/bootstrap bench
	@exec $(BIN)/python -m bench $(ARGS)

storm: ## kill processes and PostgreSQL under load, then compare the books (ARGS="--short --json FILE")
	@tools/bootstrap bench
	@exec $(BIN)/python -m storm $(ARGS)

lint: ## check style, types, import floors, dependencies and migrations
	@tools/bootstrap test
	@exec tools/lint

format: ## put the code in shape
	@tools/bootstrap test
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: ## write requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@exec tools/lock $(ARGS)

clean: ## remove what make made: .venv, build output, caches (never .milango, where data is)
	@rm -rf .venv build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
