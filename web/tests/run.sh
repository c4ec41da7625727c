#!/usr/bin/env bash
# Runs the portal in Debian's Chromium against a demo. Screenshots are left in PORTAL_ARTEFACTS.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v npm >/dev/null; then
    echo "skip portal: npm is not installed"
    exit 0
fi
GATEHOUSE_CHROMIUM=${GATEHOUSE_CHROMIUM:-$(command -v chromium || true)}
if [ -z "$GATEHOUSE_CHROMIUM" ]; then
    echo "skip portal: chromium is not installed"
    exit 0
fi
export GATEHOUSE_CHROMIUM
# Signs often enough for a check to see it.
export GATEHOUSE__CHECKPOINTS__INTERVAL_S=5
. "$here/../../conformance/start.sh"
if [ ! -d "$here/../node_modules/dejavu-fonts-ttf" ]; then
    (cd "$here/.." && npm install --no-save --silent >&2)
fi
export PORTAL_ARTEFACTS=${PORTAL_ARTEFACTS:-$cache/portal}
node "$here/run.mjs" "$@"
echo "portal: screenshots are in $PORTAL_ARTEFACTS" >&2
