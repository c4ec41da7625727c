#!/usr/bin/env bash
# Stream jobs into the real engine of ClickHouse (chdb) and into Azurite, Microsoft's stand-in for Blob Storage.
# Versions are pinned in requirements.txt and package.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for program in python3 node npm; do
    if ! command -v $program >/dev/null; then
        echo "skip sinks: $program is not installed"
        exit 0
    fi
done
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
. "$here/../packages.sh"
python_packages "$here"
node_packages "$here"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py" "$work" "$modules/node_modules/.bin/azurite-blob"
