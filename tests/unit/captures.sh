#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Captured machines (tests/fixtures/captures/NAME.tar.gz) still get the plan that NAME.expect says: one line per service that matters,
# "UNIT STATE HOME-NODES", home nodes as 0,1 or - for none. Twice, since the same input gives the same plan.
daemon=$PWD/numabalanced
fixtures=${srcdir:-.}/tests/fixtures/captures
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }
failed=0
count=0

cat >"$work/decided.py" <<'END'
import json, sys
for s in json.load(open(sys.argv[1]))["services"]:
    print(s["unit"], s["state"], ",".join(map(str, s["home_nodes"])) or "-")
END

for archive in "$fixtures"/*.tar.gz; do
        name=$(basename "$archive" .tar.gz)
        mkdir "$work/$name"
        tar -x -z -f "$archive" -C "$work/$name" --strip-components=1 --no-same-owner || exit 99
        for run in 1 2; do
                "$daemon" --once --dry-run --root "$work/$name" --json=short >"$work/$name.$run" || {
                        echo "FAILED: $name: exit status $?"
                        failed=1
                }
        done
        cmp -s "$work/$name.1" "$work/$name.2" || { echo "FAILED: $name: not the same plan twice"; failed=1; }
        python3 "$work/decided.py" "$work/$name.1" >"$work/$name.decided" || failed=1
        while read -r line; do
                case $line in '#'* | '') continue ;; esac
                grep -qxF -e "$line" "$work/$name.decided" || {
                        echo "FAILED: $name: not decided: $line"
                        grep -e "^${line%% *} " "$work/$name.decided" | sed 's/^/    but: /'
                        failed=1
                }
        done <"$fixtures/$name.expect"
        "$daemon" --once --dry-run --root "$work/$name" >"$work/$name.text" || { echo "FAILED: $name: as text"; failed=1; }
        grep -q 'What was decided then' "$work/$name.text" || { echo "FAILED: $name: no decisions as text"; failed=1; }
        count=$((count + 1))
done
# What is damaged, or was cut short, is told, and not decided upon as if it were whole. The state is what is written last.
not_decided() {
        "$daemon" --once --dry-run --root "$work/$name" >"$work/$name.out" 2>"$work/$name.err" && echo "FAILED: $name: decided, $1" && failed=1
        [ ! -s "$work/$name.out" ] || { echo "FAILED: $name: printed, $1"; failed=1; }
        grep -q -e "$2" "$work/$name.err" || { echo "FAILED: $name: no word of $2, $1"; cat "$work/$name.err"; failed=1; }
}
for archive in "$fixtures"/*.tar.gz; do
        name=$(basename "$archive" .tar.gz)
        [ -d "$work/$name/capture/later" ] || continue
        mv "$work/$name/capture/state.json" "$work/state.json"
        not_decided 'without its state' 'not whole'
        for state in '' '{' '[]' '{"version": 99}'; do
                echo "$state" >"$work/$name/capture/state.json"
                not_decided "with the state \"$state\"" 'damaged, or of another version'
        done
        mv "$work/state.json" "$work/$name/capture/state.json"
        mv "$work/$name/capture/later" "$work/later"
        not_decided 'without its second look' 'not whole'
        mv "$work/later" "$work/$name/capture/later"
done
# A capture that somebody made up: its links lead to what is not in it, which is not read.
outside=$work/outside
mkdir "$outside"
for archive in "$fixtures"/*.tar.gz; do
        name=$(basename "$archive" .tar.gz)
        [ -d "$work/$name/capture/later" ] || continue
        mv "$work/$name/capture/later" "$outside/later"
        ln -s "$outside/later" "$work/$name/capture/later"
        "$daemon" --once --dry-run --root "$work/$name" >"$work/$name.out" 2>&1 && { echo "FAILED: $name: read through a link"; failed=1; }
        rm "$work/$name/capture/later"
        mv "$outside/later" "$work/$name/capture/later"
        mv "$work/$name/proc" "$outside/proc"
        ln -s "$outside/proc" "$work/$name/proc"
        "$daemon" --once --dry-run --root "$work/$name" --json=short >"$work/$name.out" 2>/dev/null
        cmp -s "$work/$name.1" "$work/$name.out" && { echo "FAILED: $name: read /proc through a link"; failed=1; }
done
[ $count -gt 0 ] || { echo "FAILED: no captures"; failed=1; }
echo "$count captures"
exit $failed
