# Every target makes the environment it needs; run them from anywhere with `make -C`.

SHELL := /bin/sh
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from

# Settings need these to be read at all; no check connects to anything but what is named from outside.
CHECK_ENV := SECRET_KEY=$${SECRET_KEY:-nothing-is-signed-with-this-one-0123456789abcdefghijklmnopqrstuvwxyz} \
	DATABASE_URL=$${DATABASE_URL:-postgresql://check@/check?host=/nowhere} \
	BASE_URL=$${BASE_URL:-https://vaglio.example} ALLOWED_HOSTS=$${ALLOWED_HOSTS:-vaglio.example}

.PHONY: demo test check soak bench stripe-live format environment browser stripe-spec

demo: environment
	@cd "$(ROOT)" && exec "$(BIN)/python" -m local --tied

# Each has a database server of its own; more of them help where there are more cores.
TEST_PROCESSES ?= 2

test: environment browser stripe-spec
	cd "$(ROOT)" && "$(BIN)/python" -m pytest -n $(TEST_PROCESSES)

check: environment
	"$(BIN)/python" -m uv pip check --python "$(BIN)/python"
	cd "$(ROOT)" && "$(BIN)/ruff" check --no-cache .
	cd "$(ROOT)" && "$(BIN)/ruff" format --check .
	cd "$(ROOT)" && env $(CHECK_ENV) "$(BIN)/mypy" .
	cd "$(ROOT)" && "$(BIN)/lint-imports"
	cd "$(ROOT)" && env $(CHECK_ENV) "$(BIN)/python" manage.py check --deploy --fail-level ERROR
	cd "$(ROOT)" && env $(CHECK_ENV) "$(BIN)/python" -W ignore manage.py makemigrations --check --dry-run
	@$(MAKE) --no-print-directory -C "$(ROOT)" test

# The long proofs at full size, with the house models.
soak: environment browser stripe-spec
	cd "$(ROOT)" && "$(BIN)/python" -m pytest -o addopts="-p tests.environment --import-mode=importlib -p no:cacheprovider --strict-markers" -o timeout=0 tests/soak

bench: environment
	cd "$(ROOT)" && "$(BIN)/python" -m benchmarks

format: environment
	cd "$(ROOT)" && "$(BIN)/ruff" check --no-cache --fix .
	cd "$(ROOT)" && "$(BIN)/ruff" format .

browser:
	@sh "$(ROOT)/tests/ensure_chromium.sh"

# The offline Stripe's own tests against Stripe in test mode: STRIPE_LIVE_TEST_KEY=sk_test_... make stripe-live
stripe-live: environment stripe-spec
	@test -n "$${STRIPE_LIVE_TEST_KEY:-}" || { echo "Set STRIPE_LIVE_TEST_KEY to a secret key of Stripe's test mode." >&2; exit 2; }
	cd "$(ROOT)" && "$(BIN)/python" -m pytest tests/fakestripe

stripe-spec: environment
	@sh "$(ROOT)/tests/ensure_stripe_spec.sh"

# A stamp with the sums of what the environment was made from: a no-op afterwards, also in a fresh clone
# of the same files, where times say nothing.
environment:
	@sh "$(ROOT)/.ci/environment"
