#!/bin/sh

# Runs the end-to-end tests: t/run-e2e.sh quick|full [t/FILE.t ...].
# quick: those with a line "# quick", under one engine. full: all, under the
# io_uring and the epoll engine (V2SP_ENGINES names others).

set -u

mode=${1:-full}
[ $# -eq 0 ] || shift

BUILDDIR=${BUILDDIR:-objs}

case $BUILDDIR in
/*) V2SP=${V2SP:-$BUILDDIR/v2sp} ;;
*) V2SP=${V2SP:-$(pwd)/$BUILDDIR/v2sp} ;;
esac

export V2SP BUILDDIR

if [ ! -x "$V2SP" ]; then
    echo "$V2SP is not built" >&2
    exit 1
fi

. t/peers.sh

if [ $# -eq 0 ]; then
    set -- t/*.t

    if [ "$mode" = quick ]; then
        set -- $(grep -l '^# quick' t/*.t 2> /dev/null)
    fi
fi

if [ $# -eq 0 ] || [ ! -e "$1" ]; then
    echo "no end-to-end tests"
    exit 0
fi

if [ "$mode" = quick ]; then
    V2SP_QUICK=1
    export V2SP_QUICK
    engines=${V2SP_ENGINE:-auto}
else
    engines=${V2SP_ENGINES:-io_uring epoll}
fi

# A test that hangs is told to end, and cleans up behind itself then.

limit=${V2SP_TEST_TIMEOUT:-600}
run="timeout -k 10 $limit perl -It/lib t/run-one.pl"
rc=0

for engine in $engines; do
    echo "end to end, engine $engine"
    V2SP_ENGINE=$engine prove -j"${V2SP_JOBS:-2}" -e "$run" "$@" || rc=1
done

exit "$rc"
