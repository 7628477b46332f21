# make demo: a study on built-in images, with a report · make test: everything that must hold · make docs: the site
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow check faults docs clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(VENV)/.ready
	$(BIN)/striate demo

test: $(VENV)/.ready
	scripts/browser
	scripts/check
	scripts/check-js
	OMP_NUM_THREADS=1 scripts/test -n 2 --dist loadfile

test-slow: $(VENV)/.ready
	scripts/test -m slow

check: $(VENV)/.ready
	scripts/check

faults: $(VENV)/.ready
	$(BIN)/python tools/faults.py

docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo build/site/index.html

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
