# TF=2.15 runs any target on the other stack. ARGS goes to the command it ends in.
TF ?= 2.20
LOCK := requirements/tf-$(TF).txt
ifeq ($(wildcard $(LOCK)),)
  $(error TF is $(TF); there is a stack for 2.20 and for 2.15)
endif

VENV := $(if $(filter 2.20,$(TF)),.venv,.venv-$(TF))
RUN := $(VENV)/bin/python
STAMP := $(VENV)/complete

# The newest 3.x that TensorFlow has wheels for.
NEWEST := $(if $(filter 2.15,$(TF)),11,12)
FITS := -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $(NEWEST)))'
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
            $$p $(FITS) 2>/dev/null && echo $$p && break; done)
INSTALL := install --no-deps --no-build-isolation -r

.PHONY: setup demo test test-fast bench round-trip patch interop lock clean

setup: $(STAMP)

# The locks are complete: nothing is resolved, nothing unlisted comes along. pip
# stands in for uv where uv does not run or cannot reach the index that pip has.
$(STAMP): $(LOCK) requirements/bootstrap.txt setup.py
	@"$(PYTHON)" $(FITS) 2>/dev/null || { echo "TF $(TF) needs a Python from 3.10\
	 to 3.$(NEWEST), which $(or $(PYTHON),python3) is not; give one as\
	 PYTHON=path/to/python." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check -r requirements/bootstrap.txt
	$(RUN) -m uv pip $(INSTALL) $(LOCK) -e . --python $(RUN) || \
	  $(RUN) -m pip $(INSTALL) $(LOCK) -e .
	@touch $@

# The runtimes and schemas of `make interop`; there is none for TF=2.15.
$(VENV)/interop: requirements/interop-$(TF).txt $(STAMP)
	$(RUN) -m uv pip $(INSTALL) $< --python $(RUN) || $(RUN) -m pip $(INSTALL) $<
	@touch $@

demo: setup
	$(RUN) -m examples.demo $(ARGS)

test: setup
	$(RUN) -m pytest $(ARGS)

test-fast: setup
	$(RUN) -m pytest -m "not slow" $(ARGS)

bench: setup
	$(RUN) -m benchmarks.bench $(ARGS)

round-trip: setup
	$(RUN) -m benchmarks.round_trip $(ARGS)

interop: $(VENV)/interop
	$(RUN) -m pytest -m interop $(ARGS)

patch: setup
	$(RUN) -m patches --research_dir "$(RESEARCH)" $(ARGS)

# The locks anew, from the .in files and setup.py, for every Python that fits.
COMPILE = $(RUN) -m uv pip compile --quiet --upgrade --universal --no-annotate \
  --python-version 3.10 --fork-strategy fewest --overrides requirements/tf-$(1).in \
  --excludes requirements/not-needed.txt --custom-compile-command "make lock" setup.py
lock: setup
	$(call COMPILE,2.20) requirements/tf-2.20.in --extra test \
	  --constraints requirements/bootstrap.txt -o requirements/tf-2.20.txt
	$(call COMPILE,2.15) requirements/tf-2.15.in --extra test \
	  --constraints requirements/bootstrap.txt -o requirements/tf-2.15.txt
	$(call COMPILE,2.20) --extra interop \
	  --constraints requirements/tf-2.20.txt -o requirements/interop-2.20.txt

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .hypothesis
