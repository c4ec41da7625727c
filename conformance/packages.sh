# The packages of a runner, installed once for each set of pinned versions. Sourced, not run; needs `cache`.

# Sets `venv`, with what requirements.txt of a folder names.
python_packages() {
    venv=$cache/$(basename "$1")-$(sha256sum <"$1/requirements.txt" | cut -c1-16)
    if [ ! -x "$venv/bin/python" ] || [ ! -e "$venv/ready" ]; then
        mkdir -p "$cache"
        python3 -m venv "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$1/requirements.txt" >&2
        touch "$venv/ready"
    fi
}

# Sets `modules`, with what package.json of a folder names.
node_packages() {
    modules=$cache/$(basename "$1")-$(sha256sum <"$1/package.json" | cut -c1-16)
    if [ ! -e "$modules/ready" ]; then
        mkdir -p "$modules"
        cp "$1/package.json" "$modules/"
        (cd "$modules" && npm install --silent --no-audit --no-fund --no-package-lock >&2)
        touch "$modules/ready"
    fi
}
