# TF=2.8 runs any target on that stack. ARGS goes to the command it ends in.
TF ?= 2.20
# The Pythons that each stack's lock is for, the one that it is tested with first.
PYTHONS_2.8 := 3.9 3.10
PYTHONS_2.10 := 3.10
PYTHONS_2.12 := 3.11 3.10
PYTHONS_2.15 := 3.11 3.10
PYTHONS_2.20 := 3.11 3.12 3.10
PYTHONS_2.21 := 3.13 3.12 3.11 3.10
STACKS := 2.8 2.10 2.12 2.15 2.20 2.21
ifeq ($(filter $(TF),$(STACKS)),)
  $(error TF is $(TF); there are stacks for $(STACKS))
endif
FITTING := $(PYTHONS_$(TF))
LOCK := requirements/tf-$(TF).txt

VENV := $(if $(filter 2.20,$(TF)),.venv,.venv-$(TF))
RUN := $(VENV)/bin/python
STAMP := $(VENV)/complete

# A Python says which it is: what is called python3.9 may be a shim without one.
IS = -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv[1:])'
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHON ?= $(shell for v in $(FITTING); do \
            for p in python$$v $(PYENV)/$$v.*/bin/python python3 python; do \
              $$p $(IS) $$v 2>/dev/null && echo $$p && exit; done; done)
INSTALL := install --no-deps --no-build-isolation -r
# As pip does: where PYTHONDONTWRITEBYTECODE is set, each process would compile all that
# it imports anew, 5 s for TensorFlow.
COMPILED := --compile-bytecode

.PHONY: setup demo pictures trained zoo test test-fast bench speed gpu round-trip patch \
  interop cluster lint fuzz lock clean

setup: $(STAMP)

# The locks are complete: nothing is resolved, nothing unlisted comes along. pip
# stands in for uv where uv does not run or cannot reach the index that pip has.
$(STAMP): $(LOCK) requirements/bootstrap.txt setup.py
	@python="$(PYTHON)"; "$$python" $(IS) $(FITTING) 2>/dev/null || { echo "TF $(TF)\
	 needs a Python of $(FITTING), and $${python:-nothing on PATH or in $(PYENV)} is not one;\
	 give it as PYTHON=path/to/python." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check -r requirements/bootstrap.txt
	$(RUN) -m uv pip $(INSTALL) $(LOCK) -e . $(COMPILED) --python $(RUN) || \
	  $(RUN) -m pip $(INSTALL) $(LOCK) -e .
	@touch $@

# The runtimes and schemas of `make interop`, Spark, Beam and buckets of `make cluster`; there
# are some for 2.20 alone.
$(VENV)/interop $(VENV)/cluster: $(VENV)/%: requirements/%-$(TF).txt $(STAMP)
	$(RUN) -m uv pip $(INSTALL) $< $(COMPILED) --python $(RUN) || \
	  $(RUN) -m pip $(INSTALL) $<
	@touch $@

# They only read, so that they need no stack and no TensorFlow.
LINT := .venv-lint
$(LINT)/complete: requirements/lint.txt
	"$(PYTHON)" -m venv $(LINT)
	$(LINT)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r $<
	@touch $@

lint: $(LINT)/complete
	$(LINT)/bin/ruff check --quiet
	$(LINT)/bin/mypy --no-error-summary

demo: setup
	$(RUN) -m examples.demo $(ARGS)

pictures: setup
	$(RUN) -m examples.pictures $(ARGS)

# Upstream trains on 2.15; what comes of it is exported by any stack.
trained:
	$(MAKE) setup TF=2.15
	.venv-2.15/bin/python -m examples.train_shapes --model=ssd \
	  --output_directory=build/trained/ssd $(ARGS)
	.venv-2.15/bin/python -m examples.train_shapes --model=mask_rcnn --train_images=1500 \
	  --output_directory=build/trained/mask_rcnn $(ARGS)

zoo: setup
	$(RUN) -m benchmarks.zoo --configs="$(CONFIGS)" $(ARGS)

test: setup
	$(RUN) -m pytest $(ARGS)

test-fast: setup
	$(RUN) -m pytest -m "not slow" $(ARGS)

bench: setup
	$(RUN) -m benchmarks.bench $(ARGS)

speed: setup
	$(RUN) -m benchmarks.speed $(ARGS)

gpu: setup
	$(RUN) -m benchmarks.gpu $(ARGS)

round-trip: setup
	$(RUN) -m benchmarks.round_trip $(ARGS)

interop: $(VENV)/interop
	$(RUN) -m pytest -m interop $(ARGS)

# Spark needs a Java of 17 or later on PATH.
cluster: $(VENV)/cluster
	$(RUN) -m pytest -m cluster $(ARGS)

fuzz: setup
	$(RUN) tests/fuzz $(ARGS)

patch: setup
	$(RUN) -m patches --research_dir "$(RESEARCH)" $(ARGS)

# The locks anew, from the .in files and setup.py, for every Python that fits.
COMPILE = $(RUN) -m uv pip compile --quiet --upgrade --universal --no-annotate \
  --fork-strategy fewest --overrides requirements/tf-$(1).in \
  --excludes requirements/not-needed.txt --custom-compile-command "make lock" setup.py
# The server of buckets that `make cluster` starts is made of what TensorBoard asks for.
NO_SERVER = --excludes requirements/no-server.txt
OLDEST = $(firstword $(sort $(subst 3.9,3.09,$(PYTHONS_$(1)))))
lock: $(STACKS:%=requirements/lock-%)
	$(call COMPILE,2.20) $(NO_SERVER) --extra interop --python-version 3.10 \
	  --constraints requirements/tf-2.20.txt -o requirements/interop-2.20.txt
	$(call COMPILE,2.20) --extra spark --extra beam --extra bucket --python-version 3.10 \
	  --constraints requirements/tf-2.20.txt -o requirements/cluster-2.20.txt
	$(RUN) -m uv pip compile --quiet --upgrade --universal --no-annotate \
	  --python-version 3.10 --custom-compile-command "make lock" \
	  requirements/lint.in -o requirements/lint.txt

requirements/lock-%: setup
	$(call COMPILE,$*) $(NO_SERVER) requirements/tf-$*.in --extra test \
	  --python-version $(subst 3.09,3.9,$(call OLDEST,$*)) \
	  --constraints requirements/bootstrap.txt -o requirements/tf-$*.txt

clean:
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
