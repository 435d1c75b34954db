#!/bin/sh

# Installs what is missing to build, to check, or to boot the test kernel:
#
#   auto/deps.sh build [check] [kernel]
#
# Nothing is asked and nothing is downloaded when all is there. Without root
# it names what is missing in one line.

set -e
set -u

programs=
headers=


# What must exist. A header stands for its development package.
want()
{
    case $1 in
    build)
        programs="$programs gcc make pkg-config"
        headers="$headers jansson.h curl/curl.h uuid/uuid.h ares.h
            openssl/ssl.h"

        case " ${CONFIGURE:-} " in
        *--without-io-uring*) ;;
        *) headers="$headers liburing.h" ;;
        esac
        ;;
    check)
        programs="$programs clang prove mandoc python3 openssl nm"
        ;;
    kernel)
        programs="$programs qemu-system-x86_64 busybox cpio prove dpkg-deb"
        ;;
    esac
}


# program or header, package of apt, dnf, apk
table()
{
    cat << 'END'
gcc             gcc:libc6-dev           gcc                 gcc:musl-dev
make            make                    make                make
pkg-config      pkg-config              pkgconf-pkg-config  pkgconf
liburing.h      liburing-dev            liburing-devel      liburing-dev
openssl/ssl.h   libssl-dev              openssl-devel       openssl-dev
jansson.h       libjansson-dev          jansson-devel       jansson-dev
curl/curl.h     libcurl4-openssl-dev    libcurl-devel       curl-dev
uuid/uuid.h     uuid-dev                libuuid-devel       util-linux-dev
ares.h          libc-ares-dev           c-ares-devel        c-ares-dev
clang           clang                   clang:compiler-rt   clang:compiler-rt
fuzzer          libclang-rt-14-dev      compiler-rt         compiler-rt
prove           perl                    perl-Test-Harness   perl-utils
mandoc          mandoc                  mandoc              mandoc
python3         python3                 python3             python3
openssl         openssl                 openssl             openssl
nm              binutils                binutils            binutils
cpio            cpio                    cpio                cpio
busybox         busybox-static          busybox             busybox-static
qemu-system-x86_64  qemu-system-x86     qemu-system-x86     qemu-system-x86_64
dpkg-deb        dpkg                    dpkg                dpkg
END
}


has_header()
{
    for dir in /usr/include /usr/local/include /usr/include/*-linux-gnu; do
        [ ! -e "$dir/$1" ] || return 0
    done

    return 1
}


# Clang without its run-time library cannot link a fuzz target.
has_fuzzer()
{
    command -v clang > /dev/null 2>&1 || return 1
    lib=$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a 2> /dev/null)
    [ -e "$lib" ] || [ "$(uname -m)" != x86_64 ]
}


missing()
{
    for name in $programs; do
        command -v "$name" > /dev/null 2>&1 || echo "$name"
    done

    for name in $headers; do
        has_header "$name" || echo "$name"
    done

    case " $programs " in
    *" clang "*) has_fuzzer || echo fuzzer ;;
    esac
}


# The packages of the given names; $1 is the column of the table.
packages()
{
    column=$1
    shift

    for name; do
        table | while read -r key apt dnf apk; do
            if [ "$key" = "$name" ]; then
                case $column in
                apt) echo "$apt" ;;
                dnf) echo "$dnf" ;;
                apk) echo "$apk" ;;
                esac
            fi
        done
    done | tr ':' '\n' | sort -u | tr '\n' ' '
}


for group; do
    want "$group"
done

absent=$(missing | sort -u)

[ -n "$absent" ] || exit 0

for tool in apt-get dnf apk ""; do
    [ -n "$tool" ] || break
    ! command -v "$tool" > /dev/null 2>&1 || break
done

case $tool in
apt-get)
    list=$(packages apt $absent)
    command="apt-get install -y --no-install-recommends $list"
    ;;
dnf)
    list=$(packages dnf $absent)
    command="dnf install -y $list"
    ;;
apk)
    list=$(packages apk $absent)
    command="apk add $list"
    ;;
*)
    echo "missing:" $absent "(no known package manager here)" >&2
    exit 1
    ;;
esac

if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages, install them as root: $command" >&2
    exit 1
fi

echo "installing: $list"

DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND

if [ "$tool" = apt-get ]; then
    apt-get update -qq < /dev/null > /dev/null || :
fi

log=$(mktemp)

if ! $command < /dev/null > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "failed: $command" >&2
    exit 1
fi

rm -f "$log"

absent=$(missing | sort -u)

if [ -n "$absent" ]; then
    echo "still missing after \"$command\":" $absent >&2
    exit 1
fi
