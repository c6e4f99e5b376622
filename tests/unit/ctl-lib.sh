# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the tests of numabalancectl share; sourced in the build directory. Sets work, ctl, failed.
ctl=$PWD/numabalancectl
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0
LC_ALL=C.UTF-8
export LC_ALL
unset NO_COLOR HWLOC_SYNTHETIC HWLOC_XMLFILE HWLOC_FSROOT HWLOC_THISSYSTEM

fail() {
        echo "FAILED: $*"
        sed 's/^/    out: /' "$work/out"
        sed 's/^/    err: /' "$work/err"
        failed=1
}

# expect STATUS ARGUMENTS…: runs it, output to $work/out and $work/err.
expect() {
        status=$1
        shift
        "$ctl" "$@" >"$work/out" 2>"$work/err"
        actual=$?
        [ $actual = "$status" ] || fail "numabalancectl $*: exit status $actual, not $status"
}

# has_out PATTERN WHAT
has_out() { grep -q -e "$1" "$work/out" || fail "${2-}: no $1"; }
has_err() { grep -q -e "$1" "$work/err" || fail "${2-}: no $1"; }

# json EXPRESSION: true of the output as a Python value `v`; where there is no python3 it is enough that jq takes the output.
json() {
        if command -v python3 >/dev/null; then
                python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$work/out" "$1" ||
                        fail "not true of the output: $1"
        elif command -v jq >/dev/null; then
                jq . <"$work/out" >/dev/null || fail "no JSON"
        fi
}
