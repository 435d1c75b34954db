#!/bin/sh

# "make asan" and "make tsan": a debug build with sanitizers in a folder of
# its own, and the unit and end-to-end tests over it.

set -u

BUILDDIR=${BUILDDIR:-objs-asan}
MAKE=${MAKE:-make}
rc=0

case $1 in
asan) with="--with-asan --with-ubsan" ;;
tsan) with=--with-tsan ;;
esac

# Leaks are looked for in the unit tests. A process of v2sp ends with its
# configuration, image and tables in place, which the sanitizer would report
# (and turn into another exit code) in each of them.

leaks=${ASAN_OPTIONS:-detect_leaks=1}
running=${ASAN_OPTIONS:-detect_leaks=0}
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0}"
export V2SP_SANITIZER="$1"
export V2SP_SMALL="${V2SP_SMALL:-1}"

./configure --builddir="$BUILDDIR" --with-debug --with-werror $with \
    > /dev/null || exit 1

$MAKE --no-print-directory -s -j2 BUILDDIR="$BUILDDIR" all tools || exit 1

BUILDDIR=$BUILDDIR ASAN_OPTIONS=$leaks sh t/run-unit.sh || rc=1
BUILDDIR=$BUILDDIR ASAN_OPTIONS=$running sh t/run-e2e.sh full || rc=1

exit $rc
