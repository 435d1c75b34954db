#!/bin/sh

# "make check": all tests of one build. Each part runs even if one before it
# failed; the end-to-end tests come last, so that their sum closes the output.

set -u

rc=0
failed=


run()
{
    what=$1
    shift
    echo
    echo "== $what"
    "$@" || { rc=1; failed="$failed${failed:+, }$what"; }
}


run "unit tests" sh t/run-unit.sh
run "fuzz targets" sh t/run-fuzz.sh "$@"
run "lint" sh t/lint/run.sh
run "end to end" sh t/run-e2e.sh full

if [ "$rc" -ne 0 ]; then
    echo "failed: $failed" >&2
fi

exit "$rc"
