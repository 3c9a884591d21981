# make demo: one command from a fresh clone to an analysed architecture search
# make test: the whole test suite;  make lint: ruff and mypy
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8080
CONFIG ?= tuner_configs/quickstart.yml

BIN := $(VENV)/bin
# nnictl still imports it; setup.py keeps a setuptools that has it
QUIET := ignore:pkg_resources is deprecated:UserWarning
# nnictl starts trials with the python of PATH, which must be the one that has nni
ENV := PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 PYTHONWARNINGS="$(QUIET)"

# tried twice: nnictl gives its manager three seconds to come up, too few for a busy machine
CREATE := nnictl create --config $(CONFIG) --port $(PORT)

# (the conformance suite compares runs bit for bit, which no processor changes)
NUMERIC := tests/supernet tests/strategies tests/monitor tests/selection --ignore tests/strategies/test_conformance.py

.PHONY: demo install install-dev test test-fast test-numeric lint format clean pages tutorial docs

demo: install
	$(ENV) $(CREATE) || { sleep 5; $(ENV) $(CREATE); }
	$(ENV) python cli.py watch latest --stop
	$(ENV) python cli.py analyze latest

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

test: install-dev
	$(ENV) python -m pytest -n 2 --dist loadfile --durations 60

test-fast: install-dev
	$(ENV) python -m pytest -n 2 --dist loadfile -m "not slow"

# the tests that compare numbers, as on another processor with ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 or the like: other
# vector instructions sum in another order, and no test may depend on that (not in .ci/run, whose minutes are counted)
test-numeric: install-dev
	$(ENV) python -m pytest -n 2 --dist loadfile -m "not slow" $(NUMERIC)

# every table that is written from rows kept in docs/results
pages: install-dev
	$(ENV) python docs/results/reference_table.py
	$(ENV) python docs/results/method_table.py
	$(ENV) python docs/results/clutter_facts.py
	$(ENV) python docs/results/study_tables.py $(if $(BENCHMARK),--benchmark $(BENCHMARK))
	$(ENV) python docs/results/pictures.py

# run the notebook and store what it shows
tutorial: install-dev
	$(ENV) jupyter execute --inplace docs/tutorial.ipynb

# the documentation and the API as a site: build/site/index.html
docs: install-dev
	$(ENV) mkdocs build --strict

lint: install-dev
	$(ENV) ruff check .
	$(ENV) ruff format --check .
	$(ENV) mypy

format: install-dev
	$(ENV) ruff check --fix .
	$(ENV) ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
