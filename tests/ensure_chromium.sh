#!/bin/sh
# See to it that a Chromium is there for the journey in a real browser. Where none can be had, say so: the
# browser tests then name themselves as skipped. In CI (variable CI) that is a failure.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit 0; fi
done

why="this is not Debian"
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then
        echo "Installing Chromium for the browser tests ..."
        log=$(mktemp)
        if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
            chromium fonts-dejavu-core; } >"$log" 2>&1 && command -v chromium >/dev/null; then
            rm -f "$log"
            exit 0
        fi
        why="apt-get could not install it: $(tail -n 1 "$log")"
        rm -f "$log"
    else
        why="only root can install it: sudo apt-get install chromium"
    fi
fi
echo "No Chromium for the browser tests, and $why." >&2
if [ -n "${CI:-}" ]; then exit 1; fi
