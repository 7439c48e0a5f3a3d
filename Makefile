# `make run` and `make test` need python3 >= 3.11 and make, nothing else.
# TORCH=cpu (or cu128, cu130, rocm6.4 ...: whatever uv's --torch-backend knows) picks another torch build.

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?=
PORT   ?= 8501

python := $(VENV)/bin/python
uv     := $(VENV)/bin/uv
backend := $(if $(TORCH),--torch-backend $(TORCH),)
# Where Python may not write bytecode, each start would compile torch anew, which takes 8 seconds: compile once.
bytecode := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode,)

unit := $(addprefix tests/core/,config data judge learn) tests/db tests/tools tests/test_house.py tests/test_glossary.py

.PHONY: run test pytest check lint audit bench install programs compile clean

run: $(VENV)/installed ## serve at http://localhost:8501 with the demo dataset
	$(python) -m app serve --port $(PORT)

test: $(VENV)/installed-dev programs ## everything: ruff, mypy, import-linter, all tests
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

pytest: $(VENV)/installed-dev
	$(python) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-dev lint ## before a commit: lint and the quick unit tests
	$(python) -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow" $(unit)

lint: $(VENV)/installed-dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(python) -m tools.metrics

audit: $(VENV)/installed-dev ## pinned requirements against published advisories, where these can be reached
	$(python) -m tools.audit

bench: $(VENV)/installed ## list the benchmarks, each a runnable file
	@$(python) -m bench

install: $(VENV)/installed

# Only the tests need a browser, PostgreSQL, node and checkers of JavaScript: taken where they are, else installed, else their tests are skipped.
programs: $(VENV)/installed-dev
	@$(python) -m tools.provide

compile: $(VENV)/bin/uv ## pin requirements.txt and requirements-dev.txt anew
	sh tools/compile_requirements.sh $(uv)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis test-results

$(VENV)/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit("Outfold needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(python) -m pip install --quiet uv

$(VENV)/installed: requirements.txt $(VENV)/bin/uv
	@sh tools/announce.sh $(VENV) "$(TORCH)"
	$(uv) pip install --quiet --python $(python) $(backend) $(bytecode) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements.txt requirements-dev.txt $(VENV)/installed
	$(uv) pip install --quiet --python $(python) $(backend) $(bytecode) -r requirements.txt -r requirements-dev.txt
	@touch $@
