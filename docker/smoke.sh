#!/bin/sh
# Build the three images and start Vaglio from them once. Needs docker or podman, or buildah and root.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/.ci/environment"
exec "$root/.venv/bin/python" "$root/docker/smoke.py" "$@"
