# Every target makes .venv by itself; all that a fresh machine needs is Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: reproduce check test setup lab label bench sweep lock clean

reproduce: $(READY)          ## run the notebooks on embedded data, print published against ours
	$(BIN)/python -m alutils reproduce

check: $(READY)              ## a developer's two minutes: formatter, linter, types, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow"

test: $(READY)               ## the whole test suite: formatter, linter, types, tests, notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

setup: $(READY)              ## only install

lab: $(READY)                ## explore the notebooks in Jupyter
	$(BIN)/jupyter lab notebooks

label: $(READY)              ## label pictures in the browser; FOLDER=... for your own, PORT=... for a second one
	$(BIN)/python -m alutils label $(FOLDER) $(if $(PORT),--port $(PORT))

bench: $(READY)              ## speed beside the published procedures, as ratios, into results/
	$(BIN)/python -m benchmarks

# The sweeps of label costs that need no letters of one's own.
COSTS = autolabel_mnist autolabel_active autolabel_random autolabel_random_unlabelled \
    autolabel_article autolabel_letters

sweep: $(READY)              ## the full profile: makes the reference tables in results/ (hours)
	$(BIN)/python -m alutils reference mnist az_explore strategies scenarios
	$(BIN)/python -m alutils reference az --as az_rendered
	$(BIN)/python -m alutils sweep notebooks/sweeps/strategies.yaml --out results/sweeps/strategies
	$(BIN)/python -m alutils reference --sweep results/sweeps/strategies --as strategies_rendered
	for name in $(COSTS) noisy_humans; do \
	    $(BIN)/python -m alutils sweep notebooks/sweeps/$$name.yaml --out results/sweeps/$$name || exit 1; done
	$(BIN)/python -m alutils reference $(COSTS:%=--sweep results/sweeps/%) --as label_costs_rendered
	$(BIN)/python -m alutils reference --sweep results/sweeps/noisy_humans

# All extras but timm, which brings PyTorch and which no test needs.
EXTRAS = notebooks test label cluster fast kaggle

lock:                        ## renew requirements.lock from pyproject.toml
	$(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --quiet --no-emit-index-url --no-annotate \
	    --custom-compile-command "make lock" $(EXTRAS:%=--extra %) --upgrade pyproject.toml -o requirements.lock

clean:                       ## remove the environment and what was downloaded (not the results)
	rm -rf .venv data/cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	    echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
