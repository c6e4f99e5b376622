#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The unit as it is installed: systemd understands it, and it is as closed as it claims. The bus policy is well-formed.
set -u
unit=systemd/numabalanced.service # of the build directory
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

if grep -n '@[a-z]*dir@' "$unit"; then fail "directories are not filled in"; fi
grep -q '^ExecStart=/.*/numabalanced$' "$unit" || fail "no ExecStart= with a full path"

command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed"; exit 77; }

# systemd 257's wants /run/systemd, and makes it where it may: a container in which no systemd runs, seen by who is not root, needs a /run to itself.
analyze() {
        if [ -d /run/systemd ] || [ -w /run ] || ! unshare --map-root-user --mount true 2>/dev/null; then
                systemd-analyze "$@"
        else
                unshare --map-root-user --mount sh -c 'mount -t tmpfs tmpfs /run && exec systemd-analyze "$@"' sh "$@"
        fi
}

# verify wants programs that exist; what is verified is all else.
sed -e 's,^\(Exec[A-Za-z]*\)=[^ ]*,\1=/bin/true,' "$unit" >"$work/numabalanced.service"
output=$(analyze verify --man=no "$work/numabalanced.service" 2>&1) || fail "systemd-analyze verify"
[ -z "$output" ] || fail "systemd-analyze verify says: $output"

# Threshold 20 is an exposure of 2.0.
analyze security --no-pager --offline=true --threshold=20 "$work/numabalanced.service" >"$work/security" 2>&1 ||
        { grep -v '✓' "$work/security"; fail "exposure is above 2.0"; }
tail -n 1 "$work/security"

# The one that writes kernel.numa_balancing for it: nothing but that.
writer=${srcdir:-.}/systemd/numabalanced-kernel-balancing@.service
sed -e 's,^\(Exec[A-Za-z]*\)=[^ ]*,\1=/bin/true,' "$writer" >"$work/numabalanced-kernel-balancing@.service"
output=$(analyze verify --man=no "$work/numabalanced-kernel-balancing@0.service" 2>&1) || fail "systemd-analyze verify of the writer"
[ -z "$output" ] || fail "systemd-analyze verify says of the writer: $output"
analyze security --no-pager --offline=true --threshold=15 "$work/numabalanced-kernel-balancing@.service" >"$work/security" 2>&1 ||
        { grep -v '✓' "$work/security"; fail "exposure of the writer is above 1.5"; }
tail -n 1 "$work/security"
grep -q '^CapabilityBoundingSet=CAP_SYS_ADMIN$' "$writer" || fail "the writer cannot write, or can do more"
grep -q '^CapabilityBoundingSet=.*CAP_SYS_ADMIN' "$unit" && fail "the daemon itself has CAP_SYS_ADMIN"
name=$(sed -n 's/^#define KERNEL_BALANCING_UNIT *"\(.*\)%u\.service"$/\1/p' "${srcdir:-.}/daemon/act/kernel-balancing-write.h")
[ "$name" = "numabalanced-kernel-balancing@" ] || fail "the daemon asks for another unit: $name"

# What it cannot work without: an option that takes it away would only be noticed on a machine with several nodes.
for needed in CAP_SYS_PTRACE CAP_SYS_NICE CAP_DAC_OVERRIDE; do
        grep -q "^CapabilityBoundingSet=.*$needed" "$unit" || fail "$needed is missing"
done
grep -q '^SystemCallFilter=.*move_pages' "$unit" || fail "move_pages is not allowed"
grep -q '^RuntimeDirectoryPreserve=yes' "$unit" || fail "the record of changes would not survive a restart"
grep -q '^ProtectControlGroups=yes' "$unit" && fail "delegated cgroups could not be changed"

policy=${srcdir:-.}/systemd/org.numabalanced.conf
if command -v xmllint >/dev/null; then
        xmllint --noout --nonet "$policy" || fail "$policy is not well-formed"
elif command -v python3 >/dev/null; then
        python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$policy" || fail "$policy is not well-formed"
fi
exit $failed
