#!/bin/sh

# "make bench": CPU per GiB, memory per idle connection and CPU per connection
# beside other servers, in one run, interleaved.
#
#   make bench BENCH="cpu vless-tcp floor,xray,v2sp 2 5"

set -u

BUILDDIR=${BUILDDIR:-objs}

case $BUILDDIR in
/*) V2SP=$BUILDDIR/v2sp ;;
*) V2SP=$(pwd)/$BUILDDIR/v2sp ;;
esac

export V2SP

. t/peers.sh

peers=${BENCH_DIR:-t/bench}/peers.py

if [ ! -e "$peers" ]; then
    echo "$peers is not there; BENCH_DIR names the folder that holds it" >&2
    exit 1
fi

if [ $# -gt 0 ]; then
    exec python3 "$peers" "$@"
fi

for what in "cpu vless-tcp,vless-tls floor,xray,v2sp 2 5" \
            "mem vless-tcp,vless-tls xray,v2sp 2000" \
            "conn vless-tcp,vless-tls floor,xray,v2sp 3000"
do
    echo "== $what"
    python3 "$peers" $what || exit 1
done
