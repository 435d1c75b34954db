#!/bin/sh

# install and uninstall of the Makefile, which passes every path in the
# environment. A configuration that exists is never touched; accounts, state
# and logs are never removed.

set -e
set -u

D=${DESTDIR:-}
CONF_DIR=${CONF_PATH%/*}
LOG_DIR=${LOG_PATH%/*}
UNIT_DIR=/lib/systemd/system
SHARE=${MAN_PATH%/man}/v2sp


put()
{
    mode=$1
    from=$2
    to=$D$3

    mkdir -p "${to%/*}"
    cp "$from" "$to.new"
    chmod "$mode" "$to.new"
    mv -f "$to.new" "$to"
}


# Packaging files carry the paths of this build.
put_text()
{
    to=$D$3

    mkdir -p "${to%/*}"
    sed -e "s|/usr/local/sbin/v2sp|$SBIN_PATH|g" \
        -e "s|/etc/v2sp/config.json|$CONF_PATH|g" \
        -e "s|/run/v2sp.pid|$PID_PATH|g" \
        -e "s|/var/lib/v2sp|$STATE_PATH|g" \
        -e "s|/var/log/v2sp|$LOG_DIR|g" \
        -e "s|User=v2sp|User=$V2_USER|" \
        -e "s|Group=v2sp|Group=$V2_GROUP|" \
        "$2" > "$to.new"
    chmod "$1" "$to.new"
    mv -f "$to.new" "$to"
}


# An existing file of the admin's stays.
put_once()
{
    if [ -e "$D$3" ]; then
        echo "kept $D$3"
    else
        put_text "$@"
    fi
}


make_user()
{
    if [ "$(id -u)" -ne 0 ] || [ -n "$D" ]; then
        return 0
    fi

    if ! getent group "$V2_GROUP" > /dev/null; then
        groupadd --system "$V2_GROUP" 2> /dev/null \
        || addgroup -S "$V2_GROUP"
    fi

    if ! getent passwd "$V2_USER" > /dev/null; then
        useradd --system --gid "$V2_GROUP" --home-dir "$STATE_PATH" \
            --no-create-home --shell /usr/sbin/nologin "$V2_USER" 2> /dev/null \
        || adduser -S -D -H -G "$V2_GROUP" -h "$STATE_PATH" "$V2_USER"
        echo "created user $V2_USER"
    fi
}


install_all()
{
    put 755 "$PROGRAM" "$SBIN_PATH"
    put_text 644 man/v2sp.8 "$MAN_PATH/man8/v2sp.8"

    if [ -e man/v2sp.conf.5 ]; then
        put_text 644 man/v2sp.conf.5 "$MAN_PATH/man5/v2sp.conf.5"
    fi

    [ ! -e "$D$CONF_PATH" ] || kept=yes
    put_once 640 conf/config.json "$CONF_PATH"
    put_once 644 conf/route.json "$CONF_DIR/route.json"

    for f in config.minimal.json config.full.json; do
        [ ! -e "conf/$f" ] || put_text 644 "conf/$f" "$SHARE/$f"
    done

    make_user

    mkdir -p "$D$STATE_PATH" "$D$LOG_DIR"
    chmod 700 "$D$STATE_PATH"

    # Under systemd the master is an ordinary user too and reads the file.

    if [ "$(id -u)" -eq 0 ] && [ -z "$D" ]; then
        chown "$V2_USER:$V2_GROUP" "$STATE_PATH"
        [ -n "${kept:-}" ] || chgrp "$V2_GROUP" "$CONF_PATH"
    fi

    put_text 644 contrib/v2sp.logrotate /etc/logrotate.d/v2sp

    if [ -n "$D" ] || [ -d /run/systemd/system ] || [ -d "$UNIT_DIR" ]; then
        put_text 644 contrib/v2sp.service "$UNIT_DIR/v2sp.service"
    fi

    if [ -n "$D" ] || [ ! -e /sbin/openrc-run ]; then
        put_text 755 contrib/v2sp.init /etc/init.d/v2sp
    else
        put_text 755 contrib/v2sp.openrc /etc/init.d/v2sp
    fi

    echo "installed $D$SBIN_PATH; configuration: $D$CONF_PATH"
}


uninstall_all()
{
    rm -f "$D$SBIN_PATH" "$D$MAN_PATH/man8/v2sp.8" \
        "$D$MAN_PATH/man5/v2sp.conf.5" "$D$UNIT_DIR/v2sp.service" \
        "$D/etc/init.d/v2sp" "$D/etc/logrotate.d/v2sp" \
        "$D$SHARE/config.minimal.json" "$D$SHARE/config.full.json"
    rmdir "$D$SHARE" 2> /dev/null || :

    echo "left in place: $D$CONF_DIR $D$STATE_PATH $D$LOG_DIR"
}


case $1 in
install) install_all ;;
uninstall) uninstall_all ;;
esac
