# `make help` lists what can be done. Every target prepares its own environment, in seconds when nothing changed.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

# Everything below runs in the environment that `make setup` writes.
ENV := . ./.setup/env.sh &&

SOURCE ?= demo
ARGS ?=

.PHONY: help setup test lint format docs demo bench race soak model train clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r target text; do printf '  make %-8s %s\n' "$$target" "$$text"; done

setup: ## .venv, ROS 2 wheels when no ROS is sourced (ROS_DISTRO=jazzy: Jazzy's), colcon build; afterwards: . .setup/env.sh
	@bash scripts/setup.sh

lint: setup ## ruff, mypy and the order of the layers (import-linter)
	@$(ENV) ruff check .
	@$(ENV) ruff format --check .
	@$(ENV) mypy
	@$(ENV) lint-imports --no-logo

format: setup ## let ruff sort imports and lay out the code
	@$(ENV) ruff check --fix . && ruff format .

test: lint ## lint, then pytest; ARGS="test/geometry -k pose" chooses
	@$(ENV) python -m pytest $(ARGS)

docs: ## docs/ as a web site -> site/index.html (installs the extra [docs]); a warning is an error
	@TDDFA_EXTRAS="docs $(TDDFA_EXTRAS)" bash scripts/setup.sh
	@$(ENV) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet $(ARGS)
	@echo "docs: site/index.html"

demo: setup ## the ROS graph on a photograph -> out/demo.mp4, out/face.obj, out/report.txt; SOURCE=/dev/video0, a video, a folder
	@$(ENV) python -m tddfa_ros.demo --source "$(SOURCE)" $(ARGS)

bench: setup ## speed of every stage, then latency of the graph; ARGS go to the first
	@$(ENV) python benchmarks/bench.py $(ARGS)
	@$(ENV) python benchmarks/latency.py

race: setup ## side by side with MediaPipe, if ARGS="--mediapipe DIR --model FILE" says where it is, and imported 3DDFA_V2
	@$(ENV) python benchmarks/race.py $(ARGS)

soak: setup ## the graph for 30 minutes with faces that come and go, then with faults; ARGS="--minutes 5"
	@$(ENV) python benchmarks/soak.py $(ARGS)

model: ## rebuild the default morphable model (installs the extra [model], some minutes)
	@TDDFA_EXTRAS=model bash scripts/setup.sh
	@$(ENV) tddfa models build $(ARGS)

train: ## train a regression network (installs the extra [training]); ARGS="--help" shows how
	@TDDFA_EXTRAS=training bash scripts/setup.sh
	@$(ENV) GLIBC_TUNABLES=glibc.malloc.hugetlb=1 tddfa train $(ARGS)

clean: ## remove everything that make wrote, except out/ and runs/
	rm -rf .venv .venv-* .setup build install log site .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
