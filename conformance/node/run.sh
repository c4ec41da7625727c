#!/usr/bin/env bash
# Runs the official Node SDK through a gateway. Versions are pinned in package.json.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../start.sh"
. "$here/../packages.sh"
node_packages "$here"
# The runner lies beside the modules it imports.
cp "$here/check.mjs" "$modules/check.mjs"
node "$modules/check.mjs"
