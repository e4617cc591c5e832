# make setup | demo | test | audit | oldest | notebooks | lab | clean. Needs make and Python 3.11 or newer; everything goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test audit oldest notebooks lab clean chromium

BIN := .venv/bin
# Python compiles what is imported; compiling all that is installed takes most of a minute.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check -qq install --no-compile
PORT ?= 7860
CANDIDATES := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python

help:
	@echo "make setup       create .venv and install what the project needs"
	@echo "make demo        set up, then open the app on http://127.0.0.1:$(PORT)"
	@echo "make test        set up, then check the style and run the tests"
	@echo "make audit       set up, then ask a database on the network for holes in what is installed"
	@echo "make oldest      set up, then test the oldest versions that requirements.txt names, elsewhere"
	@echo "make notebooks   set up, then run every tutorial anew and store what it shows"
	@echo "make lab         set up, then open the tutorials in JupyterLab"
	@echo "make clean       remove .venv and every cache"

setup: .venv/.installed
	@echo "Ready: try make demo"

demo: .venv/.installed
	$(BIN)/python -m iad demo --port $(PORT)

test: .venv/.installed-dev chromium
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

audit: .venv/.installed
	@$(INSTALL) pip-audit -c constraints.txt
	$(BIN)/pip-audit --local

oldest: .venv/.installed-dev
	$(BIN)/python -m tests.benchmarks.oldest

notebooks: .venv/.installed-dev
	$(BIN)/python notebooks/run.py

lab: .venv/.installed-dev
	@$(INSTALL) jupyterlab ipywidgets -c constraints.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/jupyter lab notebooks

# A candidate counts only when it runs: a name on the PATH may be a stub without a Python behind it.
.venv/bin/python:
	@for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Creating .venv with $$("$$candidate" --version)"; \
	    exec "$$candidate" -m venv .venv; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer found on the PATH; install one, or say where it is: make setup PYTHON=/path/to/python3.11" >&2; \
	exit 1

# torch goes first and alone, so that no other package's wish can bring a second build of it.
.venv/.installed: requirements.txt requirements-judges.txt constraints.txt | .venv/bin/python
	@echo "Installing the requirements; the first time takes some minutes"
	@$(INSTALL) torch -c constraints.txt
	@$(INSTALL) -r requirements.txt -c constraints.txt
	@$(INSTALL) --no-deps -r requirements-judges.txt || echo "Clips are scored by the model's own reader here"
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(INSTALL) -r requirements-dev.txt -c constraints.txt
	@touch $@

# The browser tests use Debian's Chromium and skip themselves where there is none.
chromium:
	@if ! command -v chromium >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "Installing Chromium for the browser tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	      || echo "Chromium could not be installed; the browser tests will be skipped"; \
	  else \
	    echo "No Chromium found; the browser tests will be skipped"; \
	  fi; \
	fi

clean:
	rm -rf .venv .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
