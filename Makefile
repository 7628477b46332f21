# make demo: a study on built-in pictures, with a report · make test: everything that must hold
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow check faults clean

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
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m "slow"

check: $(VENV)/.ready
	scripts/check

faults: $(VENV)/.ready
	$(BIN)/python tools/faults.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
