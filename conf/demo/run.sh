#!/bin/sh

# "make demo": a server on this machine with one user out of a file panel.
# Prints the link for a client, stays until INT, leaves nothing behind.
#
#   conf/demo/run.sh PROGRAM
#
# DEMO_SECONDS ends it after so many seconds; DEMO_PORT sets the port.

set -e
set -u

program=$1
here=${0%/*}
dir=$(mktemp -d "${TMPDIR:-/tmp}/v2sp-demo.XXXXXX")
pid=


finish()
{
    trap '' EXIT INT TERM HUP

    if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2> /dev/null || :
        kill -TERM "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
    fi

    rm -rf "$dir"
}


# A port that nobody listens on now (any address, as /proc/net says).
free_port()
{
    try=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 20000))

    while cat /proc/net/tcp /proc/net/tcp6 2> /dev/null \
          | grep -qi ":$(printf %04X "$try") [0-9A-F:]* 0A"
    do
        try=$((try + 1))
    done

    echo "$try"
}


listens()
{
    cat /proc/net/tcp /proc/net/tcp6 2> /dev/null \
    | grep -qi ":$(printf %04X "$port") [0-9A-F:]* 0A"
}


trap finish EXIT
trap 'exit 0' INT TERM HUP

uuid=$(cat /proc/sys/kernel/random/uuid)
port=${DEMO_PORT:-$(free_port)}

mkdir "$dir/panel"
chmod 755 "$dir" "$dir/panel"

for f in config.json route.json node-1.json users-1.json; do
    case $f in
    node-* | users-*) to=$dir/panel/$f ;;
    *) to=$dir/$f ;;
    esac

    sed -e "s|@DIR@|$dir|g" -e "s|@PORT@|$port|g" -e "s|@UUID@|$uuid|g" \
        "$here/$f" > "$to"
done

"$program" run -c "$dir/config.json" < /dev/null &
pid=$!

tries=0

until listens; do
    tries=$((tries + 1))

    if [ "$tries" -gt 100 ] || ! kill -0 "$pid" 2> /dev/null; then
        echo "demo: the server did not open port $port" >&2
        exit 1
    fi

    sleep 0.1
done

echo
query="encryption=none&security=none&type=tcp"
echo "vless://$uuid@127.0.0.1:$port?$query#v2sp-demo"
echo
echo "Give the link to a client on this machine. Users, node and reports are"
echo "in $dir/panel; Ctrl-C ends the demo."
echo

if [ -n "${DEMO_SECONDS:-}" ]; then
    sleep "$DEMO_SECONDS" &
    sleeper=$!
    wait "$sleeper" || :
else
    wait "$pid" || :
    pid=
fi
