#!/bin/sh
# Make .venv and install the project with one extra: sh deploy/setup.sh demo|test
# A second call with an unchanged pyproject.toml does nothing and takes milliseconds.
set -eu
cd "$(dirname "$0")/.."
extra=$1
python_min="3, 11"
log=.venv/install.log

fail() {
    printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
    exit 1
}

# Print the first Python that is new enough and able to make a virtual environment.
find_python() {
    old=
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        "$name" -c "import sys; sys.exit(sys.version_info < ($python_min))" 2>/dev/null || continue
        old=$name
        "$name" -c "import venv, ensurepip" 2>/dev/null || continue
        echo "$name"
        return
    done
    [ -z "$old" ] || fail "$old has no venv module" \
        "install it (Debian: apt-get install $old-venv) and run again"
    fail "no Python 3.11 or newer was found" \
        "install one (Debian: apt-get install python3 python3-venv) and run again"
}

# Tell whether the machine has a Java that Kafka 4 runs on.
has_java() {
    java=java
    [ ! -x "${JAVA_HOME:=}/bin/java" ] || java=$JAVA_HOME/bin/java
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

install() {
    python=$(find_python)
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear .venv ||
            fail "$python cannot make a virtual environment" "see the lines above"
    fi
    echo "installing into .venv; this takes a minute or two, once"
    .venv/bin/python -m pip install --disable-pip-version-check --retries 2 --timeout 15 \
        -e ".[$extras]" >"$log" 2>&1 && return
    if grep -qE "No space left" "$log"; then
        fail "the disk is full" "free two gigabytes and run again"
    fi
    if grep -qE "Retrying|from versions: none|ProxyError|ConnectionError|timed out" "$log"; then
        fail "the Python package index cannot be reached" \
            "check the network, or pip's mirror and proxy settings, and run again ($log)"
    fi
    fail "installing failed: $(grep -m 1 -i error "$log" || echo "it said nothing")" "see $log"
}

extras=$extra
has_java || extras=$extra,jre
wanted="$(cksum <pyproject.toml) $PWD"
stamp=.venv/installed-$extras
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || ! .venv/bin/python -c "" 2>/dev/null; then
    install
    echo "$wanted" >"$stamp"
    # What the tests need holds what the demo needs.
    echo "$wanted" >".venv/installed-demo${extras#"$extra"}"
fi

# Fetched here, a slow first download is not charged to the first test that needs a broker.
if [ "$extra" = test ] && command -v mvn >/dev/null; then
    .venv/bin/python -W ignore::RuntimeWarning -m stream.broker.jars >/dev/null
fi
