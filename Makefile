# Everything that CI and a newcomer need; CI calls these targets and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup check format test test-processors test-yolo test-slow test-all demo docs lock clean

setup: $(READY)  ## install into $(VENV) with the locked versions

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"autola needs Python 3.11 or newer, not {v[0]}.{v[1]}: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

check: setup  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/lint-imports --no-cache

format: setup  ## let ruff put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup  ## the default tests: minutes
	$(BIN)/python -m pytest -n auto

test-processors: setup  ## the tests that compare numbers, as on processors of other kinds
	$(BIN)/python -m tests.processors

test-yolo:  ## attention in YOLO: installs ultralytics (AGPL-3.0) into an environment of its own
	$(PYTHON) -m venv .venv-yolo
	.venv-yolo/bin/python -m pip install --quiet uv
	.venv-yolo/bin/uv pip install --quiet --python .venv-yolo/bin/python --editable '.[export]' ultralytics \
	  opencv-python-headless pytest hypothesis beartype
	.venv-yolo/bin/python -m pytest -W default tests/apart

test-slow: setup  ## the long tests: real CIFAR-10 where AUTOLA_TEST_DATA points at it, kill -9, digits accuracy
	$(BIN)/python -m pytest -m slow

test-all:  ## the default tests on each of Python 3.11, 3.12 and 3.13 that is at hand
	@found=0; for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2>/dev/null; then \
	    found=1; $(MAKE) --no-print-directory test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "python$$version is not at hand"; fi; \
	done; test $$found = 1

demo: setup  ## search, inspect, retrain and compare on handwritten digits: minutes
	$(BIN)/autola demo

docs: setup  ## write the reference pages of docs/ from the code
	$(BIN)/python docs/write_reference.py
	$(BIN)/python docs/write_operators.py

lock: $(READY)  ## newest versions that fit, without addresses; of trackers none: no test needs them, and they hold others back
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --extra analysis --extra coco --extra export --extra translation --extra parquet --extra dev \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean:  ## remove what was built, not what was found
	rm -rf $(VENV) .venv-3.* build *.egg-info .pytest_cache .ruff_cache
