#!/bin/sh

# No warning of clang either; what is built with gcc has been seen by both.

set -u

if ! command -v clang > /dev/null 2>&1; then
    echo "clang is not installed, not checked"
    exit 0
fi

incs="-Isrc/core -Isrc/limit -Isrc/route -Isrc/panel -Isrc/proto -I$BUILDDIR
    -It/unit"

ls src/*/*.c "$BUILDDIR"/v2_*.c t/unit/*/*.c t/fuzz/*.c t/tool/*.c \
    t/kernel/*.c 2> /dev/null \
| xargs -P 2 -n 12 clang -std=gnu11 -D_GNU_SOURCE=1 -fsyntax-only -Wall \
    -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
    -Wvla -Werror $incs $LIB_CFLAGS
