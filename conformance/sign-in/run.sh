#!/usr/bin/env bash
# People sign in to the portal in Debian's Chromium, with a real OIDC provider (npm's oidc-provider).
# Versions are pinned in package.json. Needs GATEHOUSE, the binary.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v npm >/dev/null; then
    echo "skip sign-in: npm is not installed"
    exit 0
fi
GATEHOUSE_CHROMIUM=${GATEHOUSE_CHROMIUM:-$(command -v chromium || true)}
if [ -z "$GATEHOUSE_CHROMIUM" ]; then
    echo "skip sign-in: chromium is not installed"
    exit 0
fi
export GATEHOUSE_CHROMIUM
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
modules=$cache/sign-in-$(sha256sum <"$here/package.json" | cut -c1-16)
if [ ! -e "$modules/ready" ]; then
    mkdir -p "$modules"
    cp "$here/package.json" "$modules/"
    (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
    touch "$modules/ready"
fi
# The scripts lie beside the modules they import.
cp "$here/check.mjs" "$here/provider.mjs" "$modules/"
SIGN_IN_FOLDER=$(mktemp -d)
export SIGN_IN_FOLDER
trap 'rm -rf "$SIGN_IN_FOLDER"' EXIT
node "$modules/check.mjs"
