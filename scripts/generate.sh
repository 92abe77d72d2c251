#!/usr/bin/env bash
# Brings the parts of relay.conf.sample and docs/relay.conf.5 that come from the table of keys, and the
# reference in docs/PLUGINS.md, up to date. Usage: scripts/generate.sh [SMARTHOPD]
set -euo pipefail
cd "$(dirname "$0")/.."
smarthopd=${1:-build/release/bin/smarthopd}

replace() { # FILE FIRST-LINE-PATTERN END-PATTERN (or none: to the end) OPTION
    local new
    new=$(mktemp)
    sed -n "/$2/q;p" "$1" >"$new"
    "$smarthopd" "$4" >>"$new"
    if [ -n "$3" ]; then sed -n "/$3/,\$p" "$1" >>"$new"; fi
    cat "$new" >"$1"
    rm "$new"
}

replace docs/relay.conf.5 '^\.SS Global keys' '^\.SH FILES' --print-manual
replace relay.conf.sample '^# The name by which this relay greets' '' --print-reference
python3 scripts/plugin_header.py plugins/smarthop_plugin.h docs/PLUGINS.md
