.PHONY: help setup demo test check fix docs audit bench soak lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: ## the main job, from nothing to a notification on a virtual iPhone (ONCE=1: stop when it is there)
	@scripts/setup run
	@HELIOGRAM_OWN_TERMINAL=1 exec .venv/bin/heliogram demo $(if $(filter-out 0 no,$(ONCE)),--once)

test: ## every check: formatting, lint, types, layers, tests (ARGS="-k name" is handed to pytest)
	@scripts/setup dev
	@scripts/check
	@.venv/bin/pytest -n auto $(ARGS)
	@if [ -z '$(subst ','',$(ARGS))' ] && ls src/heliogram/_native*.so >/dev/null 2>&1; then \
	    echo "== the engine again, without its accelerator"; \
	    HELIOGRAM_PURE=1 .venv/bin/pytest -n auto tests/wire tests/apns; \
	fi

check: ## the static checks alone
	@scripts/setup dev
	@scripts/check

fix: ## mend formatting and what the linter can mend
	@scripts/setup dev
	@scripts/check --fix

docs: ## the documentation as a site, in ./site; a link that leads nowhere stops it
	@scripts/setup dev
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

bench: ## the benchmarks, half an hour (see bench/README.md); a missed target is told and stops nothing
	@scripts/setup dev
	-@.venv/bin/python bench/engine.py
	@.venv/bin/python bench/service.py

soak: ## kill the service 200 times at random moments, most of an hour (ARGS="--kills 20 --senders 2")
	@scripts/setup dev
	@.venv/bin/python scripts/soak $(ARGS)

setup: ## the virtual environment, with what the checks need
	@scripts/setup dev

audit: ## an SBOM in ./dist, and whether a dependency is known to be unsafe
	@scripts/setup dev
	@scripts/audit

lock: ## write requirements/*.txt anew (needs uv)
	@scripts/lock

clean: ## remove what was made here, but not ./data
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist site src/heliogram/_native*.so
