# `make` alone lists the targets. Everything is installed into .venv and nowhere else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Why a stamp carries the Python version: choosing another PYTHON makes another environment.
PYTHON_TAG := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
MADE       := $(VENV)/.made-$(PYTHON_TAG)
INSTALLED_DEMO := $(VENV)/.installed-demo
INSTALLED_DEV  := $(VENV)/.installed-dev
INSTALLED_FUZZ := $(VENV)/.installed-fuzz

# What decides what an installation contains: the metadata, and sources that are compiled.
CORE := hypersocket/_speedups
INSTALL_INPUTS := pyproject.toml setup.py MANIFEST.in \
	$(filter-out $(CORE)/__init__.py,$(wildcard $(CORE)/*.py $(CORE)/*.pxd $(CORE)/*.pyx))

# The tests run on the compiled core, so an environment without one is no environment for them.
WITH_CORE := HYPERSOCKET_PURE= HYPERSOCKET_REQUIRE_SPEEDUPS=1

PYTEST_ARGS  ?=
FUZZ_SECONDS ?= 60
FUZZERS      := $(wildcard fuzz/fuzz_*.py)
BENCH_ARGS   ?= --output docs/benchmarks
BENCH_SHORT  := hypersocket,pyzmq,libzmq,bare,shovel,pika,proton,bare-amqp,bare-relay

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint format docs pytest compiled pure coverage fuzz bench bench-short clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo
	@echo '  PYTHON=python3.12 make test     chooses the Python (3.11 or later)'
	@echo '  make pytest PYTEST_ARGS="-k sub" passes arguments on'

demo: $(INSTALLED_DEMO)  ## install the package and watch patterns and devices work over real sockets
	$(BIN)/hypersocket demo

test: lint docs bench-short pytest  ## everything: style, types, documentation, benchmarks, then the whole test suite

lint: $(INSTALLED_DEV)  ## ruff, mypy, pyright and the news fragments
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	@$(BIN)/towncrier build --draft --version next >$(VENV)/news 2>&1 || { cat $(VENV)/news; exit 1; }

format: $(INSTALLED_DEV)  ## put the sources into the one format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# -E reads every page each time: a page that was read before would not warn again.
docs: $(INSTALLED_DEV)  ## the documentation, into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -n -E -q -b html -d docs/_build/doctrees docs docs/_build/html

# The last thing that `make test` runs, so that its summary is the last thing to be read.
pytest: compiled pure  ## the test suite on each form of the core

compiled: $(INSTALLED_DEV)  ## the test suite on the compiled core alone
	@echo 'The test suite on the compiled core:'
	$(WITH_CORE) $(BIN)/python -m pytest $(COVERAGE_OF_COMPILED) $(PYTEST_ARGS)

pure: $(INSTALLED_DEV)  ## the test suite on the pure-Python core alone
	@echo 'The test suite on the pure-Python core:'
	HYPERSOCKET_PURE=1 $(BIN)/python -m pytest $(COVERAGE_OF_PURE) $(PYTEST_ARGS)

# Apart from `make test`: it takes half as long again, wherever a test starts processes. What the compiled core replaces
# shows as covered by the second run.
coverage: COVERAGE_OF_COMPILED := --cov --cov-report=
coverage: COVERAGE_OF_PURE := --cov --cov-append --cov-report=term
coverage: pytest  ## the same with branch coverage of both together

fuzz: $(INSTALLED_FUZZ)  ## every fuzzer in fuzz, FUZZ_SECONDS (60) each
	@test -n '$(FUZZERS)' || { echo 'fuzz holds no fuzz_*.py'; exit 1; }
	@set -e; for fuzzer in $(FUZZERS); do \
		target=$$(basename $$fuzzer .py); target=$${target#fuzz_}; mkdir -p .fuzz/$$target; \
		echo "$$fuzzer, $(FUZZ_SECONDS) s"; \
		$(BIN)/python $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=20 -artifact_prefix=.fuzz/$$target- \
			.fuzz/$$target fuzz/corpus/$$target; \
	done

# Ours, the peers to be faster than, and the bare system: enough to see that the benchmarks work. Without libzmq for C,
# or RabbitMQ, it says so and goes on; it fails if ours or a benchmark is broken, however fast or slow the machine is.
bench-short: $(INSTALLED_DEV)  ## that every benchmark works, in seconds; says nothing of speed
	$(WITH_CORE) $(BIN)/python -m bench compare --short --peers $(BENCH_SHORT)

bench: $(INSTALLED_DEV)  ## ours beside every peer that is installed; tables and plots for the documentation
	$(BIN)/python -m bench build
	$(BIN)/python -m bench compare $(BENCH_ARGS)

clean:  ## remove the environment and everything that was made
	rm -rf $(VENV) .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov
	rm -rf build dist *.egg-info docs/_build docs/generated docs/pictures bench/peers/build
	rm -f $(CORE)/*.so $(CORE)/*.c $(CORE)/*.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Where Python comes without ensurepip, the pip that is there installs one into the environment.
$(MADE):
	@test -n '$(PYTHON_TAG)' || { echo 'There is no "$(PYTHON)" here that runs.' \
		'hypersocket needs Python 3.11 or later: PYTHON=/path/to/python3.11 make ...' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'hypersocket needs Python 3.11 or later, and "$(PYTHON)" is $(PYTHON_TAG).' \
		'Choose another: PYTHON=python3.12 make ...' >&2; exit 1; }
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	else $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --quiet --python $(BIN)/python install pip || { \
		echo 'Cannot make a virtual environment: "$(PYTHON)" has neither ensurepip nor pip' \
		'(Debian: apt install python3-venv).' >&2; rm -rf $(VENV); exit 1; }; fi
	@touch $@

$(INSTALLED_DEMO): $(MADE) $(INSTALL_INPUTS)
	$(PIP) install --editable '.[cli]'
	@touch $@

$(INSTALLED_DEV): $(MADE) $(INSTALL_INPUTS)
	$(WITH_CORE) $(PIP) install --editable '.[dev]'
	@touch $@ $(INSTALLED_DEMO)

$(INSTALLED_FUZZ): $(MADE) $(INSTALL_INPUTS)
	$(PIP) install --editable '.[test,fuzz]'
	@touch $@
