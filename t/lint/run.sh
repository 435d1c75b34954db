#!/bin/sh

# "make lint": what the compiler does not check. Each part prints its faults
# as FILE:LINE: text; all parts run even if one fails.
#
# BUILDDIR must hold the objects of a finished build.

set -u

BUILDDIR=${BUILDDIR:-objs}
CC=${CC:-cc}
LIB_CFLAGS=${LIB_CFLAGS:-}
rc=0

export BUILDDIR CC LIB_CFLAGS


part()
{
    what=$1
    shift

    if out=$("$@" 2>&1); then
        echo "lint: $what: ok"
        [ -z "$out" ] || echo "$out" | sed 's/^/    /'
    else
        echo "lint: $what: failed"
        echo "$out" | sed 's/^/    /'
        rc=1
    fi
}


# mandoc knows no other package's pages and wants its database for that.
manuals()
{
    ! mandoc -T lint man/*.[58] 2>&1 \
    | grep -v -e 'referenced manual not found' -e 'outdated mandoc.db'
}


scripts()
{
    fault=0

    for f in configure auto/*.sh auto/needs t/*.sh t/*/*.sh conf/demo/run.sh \
             contrib/v2sp.init
    do
        sh -n "$f" || fault=1
    done

    bash -n .ci/run || fault=1

    return $fault
}


# The kept copies of what the program prints from its table of keys.
generated()
{
    fault=0

    for pair in --doc-man:man/v2sp.conf.5 \
                --doc-example:conf/config.full.json
    do
        if ! "$BUILDDIR/v2sp" "${pair%%:*}" | cmp -s - "${pair#*:}"; then
            echo "${pair#*:}:1: is not current, run \"make docs\""
            fault=1
        fi
    done

    return $fault
}


# The shipped configurations are good ones.
examples()
{
    fault=0

    for f in conf/config.minimal.json conf/config.full.json conf/config.json
    do
        "$BUILDDIR/v2sp" -t -c "$f" -g "StateDir=$BUILDDIR/lint-state" \
            > "$BUILDDIR/lint.out" 2>&1 \
        || { echo "$f:1: is refused"; cat "$BUILDDIR/lint.out"; fault=1; }
    done

    rm -rf "$BUILDDIR/lint.out" "$BUILDDIR/lint-state"

    return $fault
}


# make install into a folder: what must be there, and an existing
# configuration stays as it is. The tar is the same twice.
packaging()
{
    fault=0
    top=$BUILDDIR/lint-install
    rm -rf "$top"

    make --no-print-directory -s BUILDDIR="$BUILDDIR" install \
        DESTDIR="$top" > /dev/null || return 1

    conf=$(find "$top" -path '*/v2sp/config.json')
    echo changed >> "$conf"

    make --no-print-directory -s BUILDDIR="$BUILDDIR" install \
        DESTDIR="$top" > /dev/null || return 1

    tail -n 1 "$conf" | grep -q changed \
    || { echo "auto/install.sh:1: an existing configuration changed"; fault=1; }

    for f in v2sp.8 v2sp.conf.5 v2sp.service route.json; do
        [ -n "$(find "$top" -name "$f")" ] \
        || { echo "auto/install.sh:1: $f is not installed"; fault=1; }
    done

    make --no-print-directory -s BUILDDIR="$BUILDDIR" uninstall \
        DESTDIR="$top" > /dev/null || return 1

    [ -z "$(find "$top" -name v2sp -type f)" ] && [ -e "$conf" ] \
    || { echo "auto/install.sh:1: uninstall is wrong"; fault=1; }

    rm -rf "$top"

    for n in 1 2; do
        V2SP_DIST_OUT=$BUILDDIR/lint-dist-$n.tar.gz sh auto/dist.sh \
            > /dev/null 2>&1 || return 1
    done

    cmp "$BUILDDIR/lint-dist-1.tar.gz" "$BUILDDIR/lint-dist-2.tar.gz" \
    || fault=1

    rm -f "$BUILDDIR"/lint-dist-?.tar.gz

    return $fault
}


part "text" perl t/lint/text.pl
part "sizes" perl t/lint/sizes.pl
part "rooms by includes" perl t/lint/includes.pl
part "rooms by symbols" perl t/lint/symbols.pl
part "headers alone" sh t/lint/headers.sh
part "clang" sh t/lint/clang.sh
part "scripts" scripts
part "manuals" manuals
part "generated copies" generated
part "example configurations" examples
part "packaging" packaging

exit $rc
