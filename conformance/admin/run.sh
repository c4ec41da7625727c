#!/usr/bin/env bash
# Runs schemathesis against the admin listener, from its own OpenAPI document. The version is pinned in
# requirements.txt, the seed in check.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "skip admin: python3 is not installed"
    exit 0
fi
. "$here/../start.sh"
venv=$cache/admin-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    touch "$venv/ready"
fi
GATEHOUSE_ADMIN=$(awk '/^admin:/ { found = 1 } found && /listen:/ { print $2; exit }' "$GATEHOUSE_CONFIG")
GATEHOUSE_TOKEN=$(cat "$(dirname "$GATEHOUSE_CONFIG")/admin-token")
export GATEHOUSE_ADMIN GATEHOUSE_TOKEN
"$venv/bin/python" "$here/check.py" "$work/report"
