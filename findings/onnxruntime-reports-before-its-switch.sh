#!/usr/bin/env bash
# onnxruntime 1.31.1 from the package index, Linux x86-64: importing the module writes a number for this computer and a
# queue of events (SQLite) below ~/.cache/Microsoft/DeveloperTools/.onnxruntime, with no session, no network and no word.
# `onnxruntime.disable_telemetry_events()` as the very first statement after the import leaves both files where they are.
# Only an environment variable set before the import keeps them from being made.
#
# The good guess has two parts, and both fail. The project's page on privacy has said for years that only builds for
# Windows report; official packages for Linux do since 1.29 (microsoft/onnxruntime pull request 27379). And a switch
# that the module offers by name would be expected to come before what it switches off.
#
# CI=true in the environment turns reports off as well, so a test that looks for these files passes on every CI server and
# says nothing about a user's computer: CI is unset here.
#
# Seen: "import: deviceid onnxruntime.db", "import and disable_telemetry_events(): deviceid onnxruntime.db",
# "ORT_DISABLE_TELEMETRY=1: nothing", "CI=true: nothing".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 numpy==2.4.6
unset CI ORT_DISABLE_TELEMETRY ORT_RUNNING_UNIT_TESTS XDG_CACHE_HOME

left_by() {  # what a statement leaves in an empty home: NAME=VALUE for the environment, then the statement
    rm -rf "$folder/home"
    mkdir "$folder/home"
    env HOME="$folder/home" "$1" "$folder/venv/bin/python" -c "$2"
    names=$(find "$folder/home" -type f -printf '%f\n' | grep -E '^(deviceid|onnxruntime\.db)$' | sort | tr '\n' ' ')
    echo "${names:-nothing }" | sed 's/ $//'
}

{
    echo "import: $(left_by A=1 'import onnxruntime')"
    echo "import and disable_telemetry_events(): $(left_by A=1 'import onnxruntime; onnxruntime.disable_telemetry_events()')"
    echo "ORT_DISABLE_TELEMETRY=1: $(left_by ORT_DISABLE_TELEMETRY=1 'import onnxruntime')"
    echo "CI=true: $(left_by CI=true 'import onnxruntime')"
} | tee "$folder/seen.txt"
diff "$folder/seen.txt" - <<'SEEN'
import: deviceid onnxruntime.db
import and disable_telemetry_events(): deviceid onnxruntime.db
ORT_DISABLE_TELEMETRY=1: nothing
CI=true: nothing
SEEN
