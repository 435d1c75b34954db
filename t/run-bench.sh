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

if [ ! -e t/bench/peers.py ]; then
    echo "t/bench/peers.py is not there" >&2
    exit 1
fi

if [ $# -gt 0 ]; then
    exec python3 t/bench/peers.py "$@"
fi

for what in "cpu vless-tcp,vless-tls floor,xray,v2sp 2 5" \
            "mem vless-tcp,vless-tls xray,v2sp 2000" \
            "conn vless-tcp,vless-tls floor,xray,v2sp 3000"
do
    echo "== $what"
    python3 t/bench/peers.py $what || exit 1
done
