#!/usr/bin/env bash
# The first ten minutes with Gatehouse, as one script: see docs/walk.md. Needs the Python SDK, pinned in
# ../python/requirements.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../start.sh"
venv=$cache/python-$(sha256sum <"$here/../python/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/../python/requirements.txt" >&2
    touch "$venv/ready"
fi
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py"
