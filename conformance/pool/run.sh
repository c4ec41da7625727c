#!/usr/bin/env bash
# Runs the official SDKs against three simulated instances of which one dies, one throttles and one is
# slow. Versions are those of ../python and ../node.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for program in python3 node npm; do
    if ! command -v $program >/dev/null; then
        echo "skip pool: $program is not installed"
        exit 0
    fi
done
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
. "$here/../packages.sh"
python_packages "$here/../python"
node_packages "$here/../node"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The runner lies beside the modules it imports.
cp "$here/calls.mjs" "$modules/pool-calls.mjs"
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py" "$work" "$modules/pool-calls.mjs"
