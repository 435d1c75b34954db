#!/bin/sh

# Writes v2sp-VERSION.tar.gz: the files under version control (or, in an
# unpacked tar, all files), the same bytes each time: sorted names, no owner,
# one time (that of the last commit, SOURCE_DATE_EPOCH, or of CHANGES).

set -e
set -u

LC_ALL=C
export LC_ALL

version=$(sed -n 's/^V2_VERSION=//p' configure)
name=v2sp-$version
out=${V2SP_DIST_OUT:-$name.tar.gz}

if git rev-parse --is-inside-work-tree > /dev/null 2>&1 \
   && [ -n "$(git ls-files configure)" ]
then
    list=$(git ls-files)
    stamp=$(git log -1 --format=%ct)

    if [ -n "$(git status --porcelain -uno)" ]; then
        echo "dist: uncommitted changes go into $out" >&2
    fi
else
    list=$(find . -path './objs*' -prune -o -path ./.git -prune \
        -o -name '*.tar.gz*' -prune -o -type f -print | sed 's|^\./||')
    stamp=$(stat -c %Y CHANGES)
fi

stamp=${SOURCE_DATE_EPOCH:-$stamp}

trap 'rm -f "$name.list" "$name.tar"' EXIT

echo "$list" | sort > "$name.list"

tar --create --file="$name.tar" --no-recursion --format=ustar --owner=0 \
    --group=0 --numeric-owner --mtime="@$stamp" --mode='u=rwX,go=rX' \
    --transform="s|^|$name/|" --files-from="$name.list"

gzip -n -9 < "$name.tar" > "$out.new"
mv "$out.new" "$out"
sha256sum "$out"
