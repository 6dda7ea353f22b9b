# The targets that a newcomer guesses. Each that runs something sets up first; that is quick when
# there is nothing to do. ARGS goes to the command: make demo ARGS="--data FILE --prompt COLUMN"
.PHONY: help setup setup-tests demo up down status test test-fast faults soak bench-event-path lint format schemas docs
.DEFAULT_GOAL := help

BIN := .venv/bin
ARGS ?=

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: Java, Maven, uv, the locked environment, Kafka, the model
	@bash scripts/setup.sh

setup-tests:
	@bash scripts/setup.sh --tests

demo: setup ## Run the whole loop and watch it turn twice
	@$(BIN)/headrace demo $(ARGS)

up: setup ## Start the stack; Ctrl-C stops it
	@$(BIN)/headrace up $(ARGS)

down: ## Stop the stack and whatever a crash left of it
	@$(BIN)/headrace down

status: ## Show every part of the stack
	@$(BIN)/headrace status

test: setup-tests ## Run all tests but the long fault suite
	@$(BIN)/pytest -m "not faults_long" $(ARGS)

test-fast: setup ## Run the tests that need no engine, on all cores: under two minutes
	@$(BIN)/pytest -n auto -m "not integration and not e2e and not browser and not faults and not faults_long" $(ARGS)

faults: setup ## Kill and restart everything under load, count by id: one table
	@$(BIN)/python -P -m headrace_bench faults $(ARGS)

soak: setup ## An hour of good and hostile traffic, each service killed twice: one table
	@$(BIN)/python -P -m headrace_bench soak $(ARGS)

bench-event-path: setup ## Requests per second over Kafka, beside MLflow's gateway: one table
	@$(BIN)/python -P -m headrace_bench event-path $(ARGS)

lint: setup ## ruff, mypy strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## Write docs/cli.md anew from the commands' own help
	@$(BIN)/python -P -m headrace_stack.commands.reference docs/cli.md

schemas: setup ## Write the contracts, ACLs and Helm values anew from the event models
	@$(BIN)/headrace schemas export schemas
