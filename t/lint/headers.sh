#!/bin/sh

# Every header compiles alone behind the two that come first everywhere, and
# has a guard of its own name.

set -u

rc=0
incs="-Isrc/core -Isrc/limit -Isrc/route -Isrc/panel -Isrc/proto -I$BUILDDIR"

for h in src/*/*.h; do
    name=${h##*/}
    guard=$(echo "${name%.h}" | tr 'a-z' 'A-Z')_H

    grep -q "^#ifndef $guard\$" "$h" \
    || { echo "$h:1: has no guard $guard"; rc=1; }

    printf '#include "v2_config.h"\n#include "v2_core.h"\n#include "%s"\n' \
        "$name" \
    | $CC -std=gnu11 -Wall -Wextra -Werror -fsyntax-only $incs $LIB_CFLAGS \
        -x c - || { echo "$h:1: does not compile alone"; rc=1; }
done

exit $rc
