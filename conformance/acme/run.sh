#!/usr/bin/env bash
# Has the certificate of a listener issued and renewed by a real ACME server, acme2certifier, which proves
# control over the hosts by tls-alpn-01. The version is pinned in requirements.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "skip acme: python3 is not installed"
    exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
venv=$cache/acme-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    mkdir -p "$cache"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    touch "$venv/ready"
fi
AUTHORITY_FOLDER=$(mktemp -d)
export AUTHORITY_FOLDER
trap 'rm -rf "$AUTHORITY_FOLDER"' EXIT
"$venv/bin/python" "$here/../tls/certificate.py" "$AUTHORITY_FOLDER"
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py"
