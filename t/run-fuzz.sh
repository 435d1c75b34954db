#!/bin/sh

# Runs each fuzz target: first the kept corpus once, then FUZZ_SECONDS of new
# inputs. What it finds is left in BUILDDIR/fuzz/, never in the tree.

set -u

BUILDDIR=${BUILDDIR:-objs}
MAKE=${MAKE:-make}
seconds=${FUZZ_SECONDS:-10}
rc=0
n=0

$MAKE --no-print-directory -s -k BUILDDIR="$BUILDDIR" fuzz-bins || rc=1

echo "1..$#"

for bin; do
    n=$((n + 1))
    name=${bin##*/}
    work=$BUILDDIR/fuzz/$name.work
    corpus=t/fuzz/corpus/$name

    mkdir -p "$work"
    [ -d "$corpus" ] || corpus=

    if [ ! -x "$bin" ]; then
        echo "not ok $n - $name does not build"
        rc=1

    elif "$bin" -runs=0 $corpus > "$work.log" 2>&1 \
         && "$bin" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
            -max_len=65536 -print_final_stats=1 \
            -artifact_prefix="$BUILDDIR/fuzz/$name-" \
            "$work" $corpus >> "$work.log" 2>&1
    then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log")
        echo "ok $n - $name, $runs inputs in $seconds s"

    else
        tail -n 30 "$work.log" | sed 's/^/# /'
        echo "not ok $n - $name, see $work.log"
        rc=1
    fi
done

exit "$rc"
