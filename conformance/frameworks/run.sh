#!/usr/bin/env bash
# Runs LangChain and LiteLLM through a gateway. Versions are pinned in requirements.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../start.sh"
. "$here/../packages.sh"
python_packages "$here"
PYTHONPATH="$here/.." "$venv/bin/python" "$here/check.py"
