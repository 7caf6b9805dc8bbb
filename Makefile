# Needs python3 (3.11 to 3.13) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Pythons that have the libraries which benchmarks/training.py compares with (benchmarks/README.md says how to get them).
PEERS ?=

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed
	mkdir -p demo-output
	$(BIN)/convert-video examples/data/cup.mp4 --sensor davis346 --interpolate flow --overwrite \
	  -o demo-output/events.h5 --preview demo-output/preview.mp4 --report demo-output/report.html

test: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

bench: $(VENV)/.bench-installed
	$(BIN)/python benchmarks/emulator.py --json emulator.json
	$(BIN)/python benchmarks/fidelity.py --json fidelity.json
	$(BIN)/python benchmarks/files.py --json files.json
	$(BIN)/python benchmarks/viewer.py --json viewer.json
	$(BIN)/python benchmarks/network.py --json network.json
	$(BIN)/python benchmarks/energy.py --json energy.json
	$(BIN)/python benchmarks/landscape.py --json landscape.json
	$(BIN)/python benchmarks/training.py --json training.json --peers-python $(PEERS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test-installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@ $(VENV)/.installed

$(VENV)/.bench-installed: $(VENV)/.test-installed
	$(BIN)/python -m pip install --quiet --editable ".[test,bench]"
	touch $@

clean:
	rm -rf $(VENV) demo-output
