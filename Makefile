# Two commands matter: `make lab` opens the course, `make test` tests all of it.

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PINS := requirements.lock
FLOOR := .venv-floor
MODELS := requirements-models.txt
LAB_ARGS ?=

# Root may not start Jupyter without saying so, as in a container.
ROOT_FLAG := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

# What notebooks are tested with: this budget, and a cache that is empty at the start and gone at
# the end, so that nothing comes from the reader's own.
BUDGET ?= cpu
FRESH := cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && export COURSE_CACHE="$$cache" &&

# Public data that the course does not keep: found here, else fetched when a notebook asks for it.
export COURSE_DATA_DIR ?= $(abspath $(wildcard ../shared/data))

.DEFAULT_GOAL := help
.PHONY: help lab test check test-floor lint unit test-notebooks test-book test-browser torture \
        models book notebook notebooks runs bench gpu clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(READY)  ## open the course in JupyterLab
	$(PY) -m jupyterlab $(ROOT_FLAG) --ServerApp.root_dir=. $(LAB_ARGS) notebooks/00_start_here.ipynb

test: $(READY)  ## run every test: units, notebooks at the cpu budget, the book, the browser
	@$(MAKE) --no-print-directory lint unit test-notebooks test-book test-browser

check: $(READY)  ## the inner loop: unit tests, and notebooks at the smoke budget
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit SKIP="and not records"
	@$(MAKE) --no-print-directory test-notebooks BUDGET=smoke

test-floor: $(FLOOR)/pins.txt  ## units, and notebooks at the smoke budget, on what Colab has
	@$(MAKE) --no-print-directory VENV=$(FLOOR) PINS=$< unit SKIP="and not records"
	@$(MAKE) --no-print-directory VENV=$(FLOOR) PINS=$< test-notebooks BUDGET=smoke

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

unit: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile \
	    -m "not gpu and not browser and not book and not torture $(SKIP)" tests

# Two at a time, each with one thread, which beats one with two.
test-notebooks: $(READY)
	$(FRESH) COURSE_BUDGET=$(BUDGET) COURSE_QUIET=1 PYTHONHASHSEED=0 OMP_NUM_THREADS=1 \
	    $(PY) -m pytest -n 2 --dist loadfile \
	    --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks

test-book: $(READY)
	$(PY) -m pytest -m book tests/book

test-browser: $(READY)
	COURSE_BUDGET=cpu $(PY) -m pytest -m browser tests/browser

torture: $(READY)  ## the property tests with many more cases (an hour or so)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m torture tests

models: $(READY)  ## check the real models and sentences, and make anew what is missing or altered
	$(PY) -m course_lib setup

book: $(READY)  ## build the book into jupyter_book/_build/html
	$(PY) tools/build_book.py

notebook: $(READY)  ## run one with other settings: N=06 BUDGET=gpu TRACK=hub OUT=06.ipynb
	@[ -n "$(N)" ] || { echo "Say which notebook: make notebook N=06" >&2; exit 2; }
	$(PY) -m course_lib notebook $(N) $(if $(filter-out file,$(origin BUDGET)),--budget $(BUDGET)) \
	    $(if $(TRACK),--track $(TRACK)) $(if $(OUT),--out $(OUT))

notebooks: $(READY)  ## run the notebooks at the cpu budget and store their outputs
	$(PY) tools/execute_notebooks.py

runs: $(READY)  ## make the recorded runs that are missing (hours on two cores)
	$(PY) -m course_lib runs

bench: $(READY)  ## measure training, fits, data, tuning and metrics against their references
	OMP_NUM_THREADS=1 $(PY) tools/bench.py
	OMP_NUM_THREADS=1 $(PY) tools/bench_scaling.py
	$(PY) tools/bench_data.py
	$(PY) tools/bench_tuning.py
	OMP_NUM_THREADS=1 $(PY) tools/bench_metrics.py
	$(PY) tools/bench_memory.py

gpu: $(READY)  ## measure training on a CUDA device into data/gpu.json (under nine minutes)
	$(PY) tools/gpu.py

clean:  ## remove what was made here, the virtual environments and real models included
	rm -rf $(VENV) $(FLOOR) .models jupyter_book/_build jupyter_book/_static/vendor .bench
	rm -rf .pytest_cache .ruff_cache .hypothesis course_lib.egg-info
	find course_lib tests tools notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	    -prune -exec rm -rf {} +

# The floors come first, and of two lines for one package the first counts.
$(FLOOR)/pins.txt: requirements-floor.txt requirements.lock
	@mkdir -p $(FLOOR)
	@awk -F == '!seen[$$1]++' $^ > $@

# The environment follows the lock, the package's own metadata and the pins of the real models,
# nothing else. COURSE_MODELS says where those are kept, if not in .models.
$(READY): $(PINS) pyproject.toml $(MODELS)
	@python=""; \
	for name in python3.13 python3.12 python3.11 python3; do \
	    if $$name -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
	        python=$$name; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "The course needs Python 3.11 or newer: install it and run make again." >&2; exit 1; \
	fi; \
	[ -x $(PY) ] || $$python -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "No virtual environment could be made: on Debian or Ubuntu, install python3-venv." >&2; \
	    exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check -r $(PINS)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(PY) -m course_lib setup
	@touch $@
