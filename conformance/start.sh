# Starts `gatehouse demo` for a runner and stops it when the runner ends. Sourced, not run.
# Needs GATEHOUSE, the binary; sets GATEHOUSE_ENDPOINT, GATEHOUSE_KEY and GATEHOUSE_CONFIG.
work=$(mktemp -d)
"$GATEHOUSE" demo --port 0 --data-dir "$work/data" --write-env "$work/env" >"$work/log" 2>&1 &
demo=$!
trap 'kill $demo 2>/dev/null; wait $demo 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 300); do
    [ -s "$work/env" ] && break
    kill -0 $demo 2>/dev/null || break
    sleep 0.1
done
if [ ! -s "$work/env" ]; then
    cat "$work/log" >&2
    echo "FAIL start: the demo did not come up"
    exit 1
fi
set -a
. "$work/env"
set +a
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/conformance
mkdir -p "$cache"
