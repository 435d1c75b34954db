# Finds the foreign clients that the end-to-end tests use, and exports XRAY
# and SINGBOX. Sourced by the runners; run with the word "build" it also
# builds what is missing, into a cache outside the tree.
#
# V2SP_PEERS names the cache; V2SP_INTEROP=required makes a missing client an
# error instead of a skipped test.

V2SP_PEERS=${V2SP_PEERS:-${HOME:-/root}/.cache/v2sp-peers}

XRAY_VERSION=v1.251201.0
SINGBOX_VERSION=v1.12.12


peers_find()
{
    if [ -z "${XRAY:-}" ]; then
        XRAY=$V2SP_PEERS/xray-$XRAY_VERSION
        [ -x "$XRAY" ] || XRAY=$(command -v xray || :)
    fi

    if [ -z "${SINGBOX:-}" ]; then
        SINGBOX=$V2SP_PEERS/sing-box-$SINGBOX_VERSION
        [ -x "$SINGBOX" ] || SINGBOX=$(command -v sing-box || :)
    fi

    if [ -n "$XRAY" ]; then export XRAY; else unset XRAY; fi
    if [ -n "$SINGBOX" ]; then export SINGBOX; else unset SINGBOX; fi
}


# name in the cache, name that go gives it, go install arguments
peers_build()
{
    [ -x "$V2SP_PEERS/$1" ] && return 0

    name=$1
    made=$2
    shift 2

    if ! command -v go > /dev/null 2>&1; then
        [ ! -x /usr/local/go/bin/go ] || PATH=$PATH:/usr/local/go/bin
    fi

    if ! command -v go > /dev/null 2>&1; then
        echo "peers: go is not installed, $name is not built" >&2
        return 1
    fi

    echo "building $name"
    mkdir -p "$V2SP_PEERS/bin"
    GOBIN=$V2SP_PEERS/bin GOFLAGS=-trimpath \
    HOME=${HOME:-/root} go install "$@" || return 1
    mv "$V2SP_PEERS/bin/$made" "$V2SP_PEERS/$name"
}


if [ "${1:-}" = build ]; then
    peers_build "xray-$XRAY_VERSION" main \
        "github.com/xtls/xray-core/main@$XRAY_VERSION"
    peers_build "sing-box-$SINGBOX_VERSION" sing-box \
        -tags with_quic,with_utls,with_grpc \
        "github.com/sagernet/sing-box/cmd/sing-box@$SINGBOX_VERSION"
fi

peers_find

if [ "${V2SP_INTEROP:-}" = required ]; then
    for peer in "${XRAY:-xray}" "${SINGBOX:-sing-box}"; do
        if ! [ -x "$peer" ]; then
            echo "peers: $peer is required and not there" >&2
            exit 1
        fi
    done
fi
