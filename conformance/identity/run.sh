#!/usr/bin/env bash
# Runs the official Python SDK with tokens of a real OIDC provider (npm's oidc-provider). Versions are
# pinned in package.json and in ../python/requirements.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "skip identity: python3 is not installed"
    exit 0
fi
. "$here/../start.sh"
modules=$cache/identity-$(sha256sum <"$here/package.json" | cut -c1-16)
if [ ! -e "$modules/ready" ]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$modules/"
    (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
    touch "$modules/ready"
fi
venv=$cache/python-$(sha256sum <"$here/../python/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/../python/requirements.txt" >&2
    touch "$venv/ready"
fi
# The provider lies beside the modules it imports.
cp "$here/provider.mjs" "$modules/provider.mjs"
PROVIDER="$modules/provider.mjs" PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py"
