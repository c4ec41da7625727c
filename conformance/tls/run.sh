#!/usr/bin/env bash
# Runs sslyze against the listener of clients and the admin listener, both with TLS, and asks the admin
# listener over it. The version is pinned in requirements.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "skip tls: python3 is not installed"
    exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
venv=$cache/tls-$(sha256sum <"$here/requirements.txt" | cut -c1-16)
if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
    mkdir -p "$cache"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    touch "$venv/ready"
fi
certificates=$(mktemp -d)
"$venv/bin/python" "$here/certificate.py" "$certificates"
tls="{ certificate_file: $certificates/chain.pem, key_file: $certificates/key.pem }"
port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export GATEHOUSE__ADMIN_TLS="$tls"
export GATEHOUSE__EDGE__LISTENERS="[{ address: '127.0.0.1:$port', tls: $tls }]"
. "$here/../start.sh"
trap 'kill $demo 2>/dev/null; wait $demo 2>/dev/null; rm -rf "$work" "$certificates"' EXIT
GATEHOUSE_ADMIN=$(awk '/^admin:/ { found = 1 } found && /listen:/ { print $2; exit }' "$GATEHOUSE_CONFIG")
GATEHOUSE_TOKEN=$(cat "$(dirname "$GATEHOUSE_CONFIG")/admin-token")
GATEHOUSE_DATA=127.0.0.1:$port GATEHOUSE_CA=$certificates/ca.pem
export GATEHOUSE_ADMIN GATEHOUSE_TOKEN GATEHOUSE_DATA GATEHOUSE_CA
"$venv/bin/python" "$here/check.py"
