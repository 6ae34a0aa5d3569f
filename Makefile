# Two commands do everything on a fresh machine with Python 3.11 or later and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: study report test check clean

study: .venv/installed  ## run the main study and say where its table and figures are
	$(BIN)/python studies/run.py

report: .venv/installed  ## run the default studies and build the report on them; interrupted, it goes on when started again
	$(BIN)/python studies/report.py

test: .venv/installed  ## run all tests
	$(BIN)/pytest tests/ -n 2 --dist worksteal

check: .venv/installed  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:  ## remove the environment and caches; results stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
