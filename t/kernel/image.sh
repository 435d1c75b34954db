# Sourced by t/run-kernel.sh: the kernel, and the memory disk it boots with.


# Debian's kernel package, unpacked for its vmlinuz only. Everything that the
# tests need is built in, so no module is loaded.
kernel_get()
{
    [ -s "$CACHE/vmlinuz" ] && return 0

    mkdir -p "$CACHE"
    name=$(kernel_name)

    if [ -z "$name" ]; then
        apt-get update -qq < /dev/null > /dev/null
        name=$(kernel_name)
    fi

    if [ -z "$name" ]; then
        echo "no kernel package linux-image-amd64 here" >&2
        return 1
    fi

    echo "getting $name"

    # apt drops its rights to a user that cannot enter every folder.
    part=$(mktemp -d "${TMPDIR:-/tmp}/v2sp-vmlinuz.XXXXXX")
    chmod 777 "$part"

    (
        cd "$part" \
        && apt-get download "$name" < /dev/null > log 2>&1 \
        && dpkg-deb --fsys-tarfile ./*.deb \
           | tar -x --wildcards './boot/vmlinuz-*' \
        && cp boot/vmlinuz-* "$CACHE/vmlinuz.new"
    ) || {
        tail -n 5 "$part/log" >&2
        rm -rf "$part"
        return 1
    }

    rm -rf "$part"
    mv "$CACHE/vmlinuz.new" "$CACHE/vmlinuz"
}


kernel_name()
{
    apt-cache show linux-image-amd64 2> /dev/null \
    | sed -n 's/^Depends: *\(linux-image-6\.1[^ ,]*\).*/\1/p' | sed 1q
}


# A file with the shared libraries it needs, at the same paths.
image_add()
{
    root=$1
    to=$2
    from=$3

    mkdir -p "$root/$(dirname "$to")"
    cp "$from" "$root/$to"

    ldd "$from" 2> /dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p;
        s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' \
    | while read -r lib; do
        [ -e "$root/$lib" ] && continue
        mkdir -p "$root/$(dirname "$lib")"
        cp -L "$lib" "$root/$lib"
    done
}


# work folder, v2sp, smoke, unit tests...
image_make()
{
    work=$1
    root=$work/root
    program=$2
    smoke=$3
    shift 3

    mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" \
        "$root/etc" "$root/unit" "$root/run" "$root/var/lib"
    chmod 1777 "$root/tmp"

    cp "$(command -v busybox)" "$root/bin/busybox"
    cp t/kernel/init "$root/init"
    chmod 755 "$root/init"

    printf '%s\n' 'root:x:0:0::/:/bin/sh' \
        'v2sp:x:999:999::/:/bin/false' \
        'nobody:x:65534:65534::/:/bin/false' > "$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'v2sp:x:999:' 'nogroup:x:65534:' \
        > "$root/etc/group"
    echo '127.0.0.1 localhost' > "$root/etc/hosts"
    echo 'nameserver 127.0.0.1' > "$root/etc/resolv.conf"

    image_add "$root" /bin/v2sp "$program"
    image_add "$root" /bin/smoke "$smoke"

    for bin; do
        name=$(basename "$(dirname "$bin")")-$(basename "$bin")
        image_add "$root" "/unit/$name" "$bin"
    done

    # Debug information would make the disk ten times as large.
    find "$root/bin/v2sp" "$root/bin/smoke" "$root/unit" -type f \
        -exec strip --strip-debug {} +

    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) \
        > "$work/initrd"
}


# Cuts the console at its marks into files NAME.tap and prints their names. A
# test whose exit code is not 0 although its TAP looks good gets a failed line.
tap_split()
{
    awk -v dir="$1" '
        /^@@ begin / {
            name = dir "/" $3 ".tap"
            bad = 0
            printf "" > name
            next
        }
        /^@@ end / {
            if ($4 != 0 && !bad) {
                print "# exit code " $4 > name
                print "not ok 99999 - ended well" > name
            }
            close(name)
            print name
            name = ""
            next
        }
        name != "" && /^not ok/ { bad = 1 }
        name != "" && /^(ok|not ok|1\.\.|#|Bail out)/ { print > name }
        END {
            if (name != "") {
                print "not ok 99999 - the kernel stopped here" > name
                print name
            }
        }
    ' "$1/text"
}
