# Everything runs in .venv, which the first target builds. It needs make and Python 3.11 or later (or PYTHON=...).
.DEFAULT_GOAL := help
.PHONY: help demo test golden picture screenshots torture bench bench-check docs format clean

WORKERS ?= auto
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/pytest -q
PARALLEL := -n $(WORKERS) --dist loadgroup

# The newest Python that is new enough and can make a venv.
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14

demo: $(READY) ## record a day of trading in a new log, and query it
	@$(BIN)/oms demo

test: $(READY) ## style, types and tests; all have to pass
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) $(PARALLEL)

golden: $(READY) ## write the expected tables again; read the diff afterwards
	OMS_GOLDEN=1 $(PYTEST) -p no:randomly tests/system/test_golden.py

picture: $(READY) ## draw the README's terminal again
	@$(BIN)/python docs/make_picture.py

screenshots: $(READY) ## take the README's screenshots of the report again; needs Chromium
	@$(BIN)/python docs/make_screenshots.py

torture: $(READY) ## the tests that take minutes
	$(PYTEST) $(PARALLEL) -m torture --hypothesis-profile=torture

bench: $(READY) ## measure on this machine
	@$(BIN)/python -m benchmarks

bench-check: $(READY) ## measure, and compare with docs/performance.json
	@$(BIN)/python -m benchmarks --check

docs: $(READY) ## build the documentation site in site/
	@$(BIN)/python -c 'import mkdocs' 2>/dev/null || $(BIN)/python -m pip -qq --disable-pip-version-check install -e '.[docs]'
	$(BIN)/mkdocs build --strict

format: $(READY) ## correct style with ruff
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the files that make and the tools wrote
	rm -rf .venv build dist site *.egg-info .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv contains absolute paths: one that was copied from another folder would run the code of that folder.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "found no Python from 3.11 on that can make a venv; try make PYTHON=..." >&2; exit 1; }
	@echo "making .venv with $(PYTHON); this takes a minute" >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip -qq --disable-pip-version-check install -e '.[dev,metrics,parquet,serve]'
	@echo '$(CURDIR)' > $@
