#!/usr/bin/env bash
# Builds everything and runs every test but the benchmarks. With arguments, they go to ctest, and
# only the release build is tested: ./test.sh -R unit/queue
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

packages_need build test
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
jobs=$(($(nproc) + 1)) # many of the tests mostly wait

build() { # PRESET [TARGET]
    cmake --preset "$1" -DSMARTHOP_TESTS=ON >"build-$1.log" 2>&1 &&
        ninja -C "build/$1" ${2:-all} >>"build-$1.log" 2>&1 || {
        tail -n 40 "build-$1.log" >&2
        echo "The $1 build failed; all of its output is in build-$1.log." >&2
        exit 1
    }
    rm -f "build-$1.log"
    echo "Built $1."
}

run() { # PRESET CTEST-ARGUMENTS...
    local preset=$1
    shift
    echo "== $preset"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@"
}

if [ $# -gt 0 ]; then
    build release
    run release "$@"
    exit
fi
build fuzz fuzz_tests
build tsan unit_tests
build asan unit_tests
build release
run fuzz -L fuzz
# What has no threads cannot race; the scheduler's other tests mostly wait, and race as its first.
run tsan -L unit -E 'unit/(proto_|conf|recipients|rules|route|verdict|deliver_body|schedule_|drop_(mime|digest|text|preview|address|imap_command|lmtp))'
run asan -L unit
# Those have been run by now, where they find more.
run release -LE 'unit|fuzz'
