#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What is shipped for reading is right: every example of conf/ and every one of the manual page is accepted by numabalanced --check,
# on a machine of four nodes and on one of one, and by numabalancectl check.
set -u
src=${srcdir:-.}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0 n=0
unset HWLOC_XMLFILE HWLOC_FSROOT HWLOC_THISSYSTEM
fail() { echo "FAILED: $*"; failed=1; }

# check FILE TOPOLOGY
check() {
        HWLOC_SYNTHETIC=$2 ./numabalanced --check --config "$1" >"$work/out" 2>&1 || { fail "--check $1 on $2"; cat "$work/out"; }
        n=$((n + 1))
}

four='node:4 core:2 pu:2' one='node:1 core:4 pu:1'
for file in "$src"/conf/numabalanced.yaml "$src"/conf/examples/*.yaml; do
        check "$file" "$four"
        check "$file" "$one"
        HWLOC_SYNTHETIC=$four ./numabalancectl check "$file" >"$work/out" 2>&1 || { fail "numabalancectl check $file"; cat "$work/out"; }
done
[ "$n" -ge 20 ] || fail "only $n examples"

# Blocks of the page that begin with a top-level key are files; a block that begins with "- name:" is a rule of one.
awk -v dir="$work" '
        /^\.EX/ { inside = 1; n++; next }
        /^\.EE/ { inside = 0; next }
        inside { gsub(/\\-/, "-"); gsub(/\\\(dq/, "\""); print > (dir "/" n ".page") }
' "$src/man/numabalanced.yaml.5"
n=0
for page in "$work"/*.page; do
        case $(head -n 1 "$page") in
        version:* | daemon:* | rules:*) cp "$page" "$page.yaml" ;;
        '- name:'*) { echo 'rules:'; sed 's/^/  /' "$page"; } >"$page.yaml" ;;
        *) continue ;;
        esac
        check "$page.yaml" "$four"
done
[ "$n" -ge 10 ] || fail "only $n examples in the manual page"

# And it would notice one that is wrong.
printf 'rules:\n- {name: a, match: {user: a}, place: compact, apart-from: b}\n' >"$work/bad.yaml"
if HWLOC_SYNTHETIC=$one ./numabalanced --check --config "$work/bad.yaml" >"$work/out" 2>&1; then fail "a wrong file is accepted"; fi
grep -q '/bad.yaml:2:59: apart-from: no rule has the name "b"; expected the name of a rule$' "$work/out" ||
        { fail "no error where there is one"; cat "$work/out"; }
exit $failed
