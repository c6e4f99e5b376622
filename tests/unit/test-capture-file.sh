#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What numabalancectl capture leaves: a whole archive under the name that was asked for, or none. On this machine, so only for root.
src=${srcdir:-.}
. "$src/tests/unit/ctl-lib.sh"
[ "$(id -u)" = 0 ] || { echo "only root captures a machine"; exit 77; }

ln -s "$work/nowhere" "$work/link.tar"
expect 1 capture "$work/link.tar"
has_err 'is there already' 'a link that leads nowhere'
[ ! -e "$work/nowhere" ] || fail 'went through a link'

odd=$work/$(printf '\377') # no UTF-8, of which JSON is
mkdir "$odd"
"$ctl" capture --json=short "$odd/whole.tar" >"$work/whole.out" 2>"$work/whole.err" &
whole=$!
# As a full disk: no file may have more than a few KiB.
(trap '' XFSZ; ulimit -f 8; exec "$ctl" capture "$work/full.tar") >/dev/null 2>"$work/full.err" &
full=$!
# Killed while it writes.
(ulimit -f 8; exec "$ctl" capture "$work/killed.tar") >/dev/null 2>&1 &
killed=$!
wait "$whole" || {
        cat "$work/whole.err"
        echo 'This machine cannot be captured'
        exit 77
}
grep -q '"file":\[[0-9,]*47,255,47,119,104,111,108,101,46,116,97,114\],"files":[1-9]' "$work/whole.out" || fail 'its name is not told in JSON'
tar -t -f "$odd/whole.tar" >"$work/list" || fail 'no archive'
grep -q '^whole/capture/plan.json$' "$work/list" || fail 'no plan in it'
[ "$(tail -n 1 "$work/list")" = whole/capture/state.json ] || fail 'what makes a capture whole is not the last of it'
wait "$full" && fail 'says that it wrote what did not fit'
grep -q 'cannot write .*full.tar: ' "$work/full.err" || fail 'does not say what failed'
wait "$killed" 2>/dev/null && fail 'lived through a limit'
for file in full.tar full.tar.part killed.tar "${odd##*/}/whole.tar.part"; do
        [ ! -e "$work/$file" ] || fail "left $file"
done
exit $failed
