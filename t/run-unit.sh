#!/bin/sh

# Builds and runs the unit tests: t/run-unit.sh [NAME...], for instance
# "core/buf". A test that does not build fails, and the others run.

set -u

BUILDDIR=${BUILDDIR:-objs}
MAKE=${MAKE:-make}
rc=0

$MAKE --no-print-directory -s -k BUILDDIR="$BUILDDIR" unit-bins || rc=1

if [ $# -eq 0 ]; then
    set -- $(cd t/unit && ls */*.c 2> /dev/null | sed 's/\.c$//')
fi

if [ $# -eq 0 ]; then
    echo "no unit tests"
    exit "$rc"
fi

files=

for name; do
    if [ -x "$BUILDDIR/t/unit/$name" ]; then
        case $BUILDDIR in
        /*) files="$files $BUILDDIR/t/unit/$name" ;;
        *) files="$files ./$BUILDDIR/t/unit/$name" ;;
        esac
    else
        echo "unit test $name does not build" >&2
        rc=1
    fi
done

[ -z "$files" ] || prove -j"${V2SP_JOBS:-2}" -e '' $files || rc=1

exit "$rc"
