#!/usr/bin/env bash
# Runs the official clients of Kusto (Python, Node) and Azure Monitor (Python) against the admin listener.
# Versions are pinned in requirements.txt and package.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../start.sh"
venv=$cache/kusto-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    touch "$venv/ready"
fi
settings=$(dirname "$GATEHOUSE_CONFIG")
GATEHOUSE_ADMIN=$(awk '/^admin:/ { found = 1 } found && /listen:/ { print $2; exit }' "$GATEHOUSE_CONFIG")
GATEHOUSE_TOKEN=$(cat "$settings/admin-token")
export GATEHOUSE_ADMIN GATEHOUSE_TOKEN
failed=0
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py" || failed=1
if ! command -v node >/dev/null; then
    echo "skip kusto node: node is not installed"
    exit $failed
fi
modules=$cache/kusto-node-$(sha256sum <"$here/package.json" | cut -c1-16)
if [ ! -e "$modules/ready" ]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$modules/"
    (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
    touch "$modules/ready"
fi
# The runner lies beside the modules it imports.
cp "$here/check.mjs" "$modules/check.mjs"
node "$modules/check.mjs" || failed=1
exit $failed
