#!/bin/sh

# "make check-kernel": boots Debian's own kernel in qemu (software emulation,
# no network but lo) and runs in it the unit tests that touch the kernel and
# the smoke test with both engines. TAP comes back over the serial console.
#
# V2SP_KERNEL_CACHE names where the kernel is kept (about 10 MB).

set -u

BUILDDIR=${BUILDDIR:-objs}
MAKE=${MAKE:-make}
CACHE=${V2SP_KERNEL_CACHE:-${HOME:-/root}/.cache/v2sp-kernel}
TIMEOUT=${V2SP_KERNEL_TIMEOUT:-600}

if [ "$(uname -m)" != x86_64 ]; then
    echo "1..0 # SKIP the test kernel is for x86_64"
    exit 0
fi

. t/kernel/image.sh

kernel_get || exit 1

case $BUILDDIR in
/*) ;;
*) BUILDDIR=$(pwd)/$BUILDDIR ;;
esac

units=$(cd t/unit && ls core/ring*.c core/shm.c core/buf.c core/timer.c \
    limit/*.c 2> /dev/null | sed 's/\.c$//')
bins=

for name in $units; do
    bins="$bins $BUILDDIR/t/unit/$name"
done

$MAKE --no-print-directory -s BUILDDIR="${BUILDDIR#"$(pwd)"/}" \
    kernel-bins KERNEL_UNITS="$units" || exit 1

work=$(mktemp -d "${TMPDIR:-/tmp}/v2sp-kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

image_make "$work" "$BUILDDIR/v2sp" "$BUILDDIR/t/kernel/smoke" $bins || exit 1

# -no-reboot and panic=-1: a panic ends qemu instead of hanging it.

timeout "$TIMEOUT" qemu-system-x86_64 -machine q35 -cpu max -accel tcg \
    -smp 2 -m 1024 -nographic -no-reboot -nic none -kernel "$CACHE/vmlinuz" \
    -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 loglevel=2 mitigations=off" \
    < /dev/null > "$work/console" 2>&1
status=$?

tr -d '\r' < "$work/console" > "$work/text"
mkdir -p "$BUILDDIR/t/kernel"
cp "$work/text" "$BUILDDIR/t/kernel/console"

if ! grep -q '^@@ ready' "$work/text"; then
    tail -n 20 "$work/text"
    echo "the test kernel did not start, qemu ended with $status" >&2
    exit 1
fi

echo "kernel $(sed -n 's/^@@ ready //p' "$work/text")"

# One file of TAP for each test; prove reads them and sums up.

taps=$(tap_split "$work")
rc=0

prove -e cat $taps || rc=1

if ! grep -q '^@@ all done' "$work/text"; then
    echo "the test kernel stopped early, qemu ended with $status" >&2
    tail -n 20 "$work/text" >&2
    rc=1
fi

exit $rc
