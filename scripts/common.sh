# Shared by scripts/run and scripts/test: go to the checkout, make or reuse .venv, say what happens.
# shellcheck shell=bash

called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
checkout=$PWD

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, found $(python3 --version 2>&1); set PYTHON=/path/to/python3.11"
}

# set_up EXTRAS [pip options]: .venv holds this checkout with EXTRAS; a stamp tells when pyproject.toml has changed.
set_up() {
    local extras=$1 stamp log python
    shift
    log=".venv/install.log"
    for stamp in ".venv/.installed-$extras"*; do # an environment with more extras serves those who need fewer
        if [ -f "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ]; then
            return
        fi
    done
    stamp=".venv/.installed-$extras"
    python=$(find_python) || exit 1
    if [ ! -x .venv/bin/python ]; then
        echo "creating .venv with $("$python" --version)"
        "$python" -m venv .venv || fail "cannot create .venv (is the venv module of $python installed?)"
    fi
    echo "installing nst_lab[$extras] into .venv (PyTorch is large: minutes; log: $log)"
    if ! .venv/bin/python -m pip install --disable-pip-version-check "$@" -e ".[$extras]" >"$log" 2>&1; then
        fail "the installation failed: $(grep -E '^ERROR' "$log" | tail -n 1) (see $log)"
    fi
    touch "$stamp"
}
