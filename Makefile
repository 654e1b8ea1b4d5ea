# make demo: the main job on bundled real data.  make test: the tests (ARGS=--every: of networks of more sizes, too).
# Each sets up .venv by itself.
PYTHON ?= python3
VENV := .venv
METADATA := setup.cfg setup.py pyproject.toml
OUT ?= demo-output

.PHONY: demo test clean
demo: $(VENV)/.demo
	$(VENV)/bin/tfold demo -o $(OUT) --force

test: $(VENV)/.test
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 $(ARGS)

clean:
	rm -rf $(VENV) $(OUT) build *.egg-info

$(VENV)/.demo: EXTRAS := demo,tflite-runtime
$(VENV)/.test: EXTRAS := test,tflite-runtime
$(VENV)/.demo $(VENV)/.test: $(METADATA)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tfold needs Python 3.11 or newer. Received: %s. Choose one with: make PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	touch $@
