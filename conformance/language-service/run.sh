#!/usr/bin/env bash
# Compares our binder with Kusto's own language service, whose version is pinned in package.json.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
. "$HERE/../packages.sh"
node_packages "$HERE"
BIND=$(dirname "$GATEHOUSE")/examples/bind
export HERE BIND MODULES=$modules
node "$HERE/check.mjs"
