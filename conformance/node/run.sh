#!/usr/bin/env bash
# Runs the official Node SDK through a gateway. Versions are pinned in package.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../start.sh"
modules=$cache/node-$(sha256sum <"$here/package.json" | cut -c1-16)
if [ ! -e "$modules/ready" ]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$modules/"
    (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
    touch "$modules/ready"
fi
# The runner lies beside the modules it imports.
cp "$here/check.mjs" "$modules/check.mjs"
node "$modules/check.mjs"
