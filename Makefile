# make demo    trains HUIGN on the built-in dataset and recommends for three users
# make test    linters, types, tests, documentation
# make docs    the documentation, in site/
# make clean   removes what make made, except runs/

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test docs clean

demo: $(INSTALLED)
	@set -e; run=runs/demo-$$(date +%Y%m%d-%H%M%S); \
	$(BIN)/hugraph fit --spec examples/huign_3level.yaml --run $$run; \
	for user in u0 u1 u2; do $(BIN)/hugraph recommend $$run --user $$user --k 10; done
	@echo "To use the hugraph command yourself: source $(BIN)/activate"

test: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .uv build dist site *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing hugraph into $(VENV); the first time takes a few minutes (PyTorch is large)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# DGL has wheels up to Python 3.11. A candidate counts if it runs: a version manager's shim may not.
USABLE := import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))

$(BIN)/python:
	@for name in python3.11 python3.10 python3 python; do \
	    for python in $$(type -aP $$name); do \
	        if "$$python" -c '$(USABLE)' 2>/dev/null; then exec "$$python" -m venv $(VENV); fi; \
	    done; \
	done; \
	{ type -P uv || type -P .uv/bin/uv; } >/dev/null || { \
	    echo "No usable Python 3.11 or 3.10 here; fetching uv, which provides one."; \
	    { python3 -m venv .uv && .uv/bin/pip install uv; } >/dev/null 2>&1; \
	}; \
	uv=$$(type -P uv || type -P .uv/bin/uv) \
	    && "$$uv" venv --quiet --seed --python 3.11 $(VENV) \
	    || { echo "Install Python 3.11 (with venv) or uv, then run make again." >&2; exit 1; }
