#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# numabalancectl without a daemon: exit statuses, help, what reads the machine by itself.
set -u
. "${srcdir:-.}/tests/unit/ctl-lib.sh"
DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/nonexistent
export DBUS_SYSTEM_BUS_ADDRESS

# Usage: status 2, nothing on standard output, one line that says where to look.
usage() {
        expect 2 "$@"
        [ ! -s "$work/out" ] || fail "$*: usage errors belong on standard error"
        [ "$(wc -l <"$work/err")" = 1 ] || fail "$*: one line, please"
        has_err '--help' "$@"
}
usage
usage frobnicate
usage plan now
usage history a b
usage advise
usage advise 1 2
usage list --explain
usage list --frobnicate
usage list --json
usage list --json=yes
usage list extra
usage explain
usage explain a b
usage check a b
usage pause now
usage status -x
has_err '^numabalancectl: -x is no option' 'the option, not what is beside it'
usage status -xy
has_err '^numabalancectl: -x is no option' 'the first of several in a word'
usage check --config x.yaml
has_err '^numabalancectl: check takes no --config ' 'the option that was given'
usage -xh list
has_err '^numabalancectl: -x is no option' 'the first of several in a word'
# An empty name would mean every service: "restore $UNIT" with a variable that is not set must not restore them all.
for verb in explain history restore 'restore a.service' check capture advise; do
        # shellcheck disable=SC2086 # words
        usage $verb ''
done
# What is said of an argument is shown, not obeyed by the terminal.
escape=$(printf '\033[2Jx')
for verb in '' advise 'simulate --scenario=x --until' 'list --json'; do
        # shellcheck disable=SC2086 # words
        usage $verb "$escape"
        has_err 'x1b\[2Jx' "an argument with control characters after $verb"
done
./numabalanced "$escape" >"$work/out" 2>"$work/err"
[ $? = 2 ] && has_err 'unexpected argument .x1b\[2Jx' 'numabalanced, an argument with control characters'
./numabalanced -xy >"$work/out" 2>"$work/err"
[ $? = 2 ] && has_err 'no option that can be used so: -x ' 'numabalanced, of several in a word'
# Not at a terminal, so that it is the journal that is told; where there is none nothing would be said anywhere.
if [ ! -e /run/systemd/journal/socket ]; then
        ./numabalanced --root "$work/nonexistent" >"$work/out" 2>"$work/err" </dev/null
        [ $? = 1 ] && has_err 'Cannot open the machine' 'numabalanced without a journal'
fi

expect 0 --help && has_out 'Exit status' --help
expect 0 -h
expect 0 --version && has_out '^numabalancectl [0-9]' --version
for verb in status list explain plan history advise simulate topology check reload pause resume restore capture; do
        expect 0 --help $verb && has_out "^numabalancectl $verb" "--help $verb"
        expect 0 $verb --help && has_out '--json=pretty|short|off' "$verb --help"
        [ "$(awk '{ if (length > 100) n++ } END { print n + 0 }' "$work/out")" = 0 ] || fail "$verb --help has long lines"
done

# Without a bus: 3, for every verb that talks to the daemon, in every format.
for verb in status list plan history 'history a.service' 'explain a.service' reload pause resume restore 'restore a.service'; do
        for format in off short pretty; do
                # shellcheck disable=SC2086 # words
                expect 3 $verb --json=$format
                [ ! -s "$work/out" ] || fail "$verb: output without a daemon"
                has_err 'not running' "$verb"
        done
done

expect 3 plan && has_err 'numabalanced --once --dry-run' 'plan without a daemon'

# A bus that takes connections and says nothing, and one that hangs up: what needs no daemon waits a moment for it, the others say what it is.
# libsystemd alone would wait for a minute and a half.
if command -v python3 >/dev/null; then
        python3 -c 'import socket, sys
mute, deaf = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
mute.bind(sys.argv[1] + "/mute")
mute.listen(8)
deaf.bind(sys.argv[1] + "/deaf")
deaf.listen(8)
deaf.settimeout(300)
while True:
    deaf.accept()[0].close()' "$work" 2>/dev/null &
        buses=$!
        i=0
        while [ ! -S "$work/deaf" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/mute timeout 60 "$ctl" topology >"$work/out" 2>"$work/err" || fail 'topology with a bus that does not answer'
        DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/deaf expect 3 status
        has_err 'the system bus' 'a bus that hangs up'
        kill $buses
        wait $buses 2>/dev/null
fi

# Advice needs none either: the machine is looked at here and now.
for size in 0 0.0 a 4: :4 4:x -- -1 1.2345 1. .5 1.5: 1e3 0x4 99999999999999999999 4:99999999999999 8193 ' 4' '4 ' '' 4:1:1 4:-1; do
        [ "$size" = -- ] && continue
        expect 2 advise -- "$size"
        [ ! -s "$work/out" ] || fail "advise $size: output"
        [ "$(wc -l <"$work/err")" = 1 ] || fail "advise $size: one line, please"
        has_err '--help' "advise $size"
done
for size in 1 0.001 1:1 0.5:16; do
        expect 0 advise "$size"
        grep -qx '[0-9][-0-9,]*' "$work/out" || fail "advise $size: no node list"
        [ "$(wc -l <"$work/out")" = 1 ] || fail "advise $size: one line, please"
        has_err 'the daemon is not running' "advise $size"
done
expect 0 advise 1:1 --json=short
json 'v["fits"] and v["nodes"] and v["cpus"] == 1.0 and v["bytes"] == 1 << 20 and any(c["chosen"] for c in v["candidates"])'
expect 0 advise 1:1 --explain && has_out '^NODES  *COST  *VERDICT' 'advise --explain' && has_out 'chosen: costs' 'advise --explain'
expect 1 advise 1:1000000000 && has_err 'no nodes hold 954T' 'more memory than there is'
[ ! -s "$work/out" ] || fail "advise: nodes in spite of that"
expect 1 advise 1:1000000000 --json=short && json 'v["nodes"] == [] and v["node_list"] == "" and not v["fits"]'
expect 0 advise 8000 && has_err 'so many CPUs are not left' 'more CPUs than there are'

# numad's stand-in: -w and nothing else, its answer as the client gives it.
sed "s|^exec \"[^\"]*\"|exec \"$ctl\"|" ctl/numad >"$work/numad" && chmod +x "$work/numad"
numad() { "$work/numad" "$@" >"$work/out" 2>"$work/err"; }
numad -w 1:1 || fail "numad -w"
grep -qx '[0-9][-0-9,]*' "$work/out" || fail "numad -w: no node list"
numad -w1 || fail "numad -w1"
numad -w x; [ $? = 2 ] || fail "numad -w x: exit status"
numad -w 1:1000000000; [ $? = 1 ] || fail "numad -w of too much: exit status"
[ ! -s "$work/out" ] || fail "numad -w of too much: output"
numad -h && has_out 'Usage: numad -w' 'numad -h'
numad -V && has_out '^numad (numabalanced [0-9.]*)$' 'numad -V'
for wrong in '' -w '-w 1 -w 2' '-p 1' '-i 15' '-w 1 more' '-i 0'; do
        # shellcheck disable=SC2086 # words
        numad $wrong && fail "numad $wrong: taken"
        [ ! -s "$work/out" ] || fail "numad $wrong: output"
        [ -s "$work/err" ] || fail "numad $wrong: no message"
done

# The topology needs no daemon; hwloc's variables describe another machine.
expect 0 topology && has_out '^NODE ' topology
HWLOC_SYNTHETIC='node:4 core:2 pu:1'
export HWLOC_SYNTHETIC
expect 0 topology --no-legend
[ "$(wc -l <"$work/out")" = 4 ] || fail "four nodes, four lines"
expect 0 topology --json=short
[ "$(wc -l <"$work/out")" = 1 ] || fail "--json=short is one line"
json 'len(v["nodes"]) == 4 and [n["id"] for n in v["nodes"]] == [0, 1, 2, 3]'
json 'v["nodes"][1]["cpus"] == "2-3" and len(v["nodes"][1]["distances"]) == 4 and v["nodes"][1]["distances"][1] == 10'
json 'all(n["bytes_total"] > 0 and n["bytes_free"] is None for n in v["nodes"])' # free memory of another machine is not known
expect 0 topology --json=pretty && json 'len(v["nodes"]) == 4'
# The daemon on it is in a dry run: what it would do is meant for those CPUs and nodes, not for this machine's.
echo 'version: 1' >"$work/empty.yaml"
./numabalanced --once --config "$work/empty.yaml" >"$work/out" 2>"$work/err" || fail 'numabalanced --once on another machine'
has_out 'nothing would be done' 'numabalanced --once on another machine' && has_err 'another machine: nothing is changed' 'the same'
HWLOC_SYNTHETIC=nonsense
expect 1 topology && has_err 'HWLOC_SYNTHETIC describes no machine' 'a description that is none'
expect 1 check
expect 1 advise 1:10
for option in --once --check; do
        ./numabalanced $option --config "$work/empty.yaml" >"$work/out" 2>"$work/err"
        [ $? = 1 ] && [ ! -s "$work/out" ] && has_err 'HWLOC_SYNTHETIC describes no machine' "numabalanced $option on none"
done
unset HWLOC_SYNTHETIC
HWLOC_XMLFILE=$work/none.xml expect 1 topology && has_err 'HWLOC_XMLFILE describes no machine' 'a description that is not there'
expect 0 topology --json=short
json 'all(0 <= n["bytes_free"] <= n["bytes_total"] for n in v["nodes"] if n["bytes_total"])'

# check: 0, or 78 with file:line:column.
echo 'version: 1' >"$work/good.yaml"
expect 0 check "$work/good.yaml" && has_out 'fine' check
expect 0 check "$work/good.yaml" --no-legend
[ ! -s "$work/out" ] || fail "check --no-legend says nothing when all is well"
expect 0 check "$work/good.yaml" --json=short && json 'v == {"valid": True, "rules": 0, "errors": [], "warnings": []}'
printf 'version: 1\nrules:\n  - name: a\n    frobnicate: 1\n' >"$work/bad.yaml"
expect 78 check "$work/bad.yaml" && has_err '^.*/bad.yaml:4:[0-9]*: ' check
[ ! -s "$work/out" ] || fail "errors belong on standard error"
expect 78 check "$work/bad.yaml" --json=short && json 'not v["valid"] and any("bad.yaml:4:" in e for e in v["errors"])'
expect 78 check "$work/missing.yaml"

# Another machine's files: two nodes, the second of slower memory, and a kernel that moves pages of its own accord.
machine=$work/machine
put() { mkdir -p "$machine/${1%/*}" && printf '%s\n' "$2" >"$machine/$1"; }
for file in online possible present; do put sys/devices/system/cpu/$file 0-1; done
for file in online possible; do put sys/devices/system/node/$file 0-1; done
for n in 0 1; do
        for file in core_cpus thread_siblings; do put sys/devices/system/cpu/cpu$n/topology/$file $((n + 1)); done
        for file in package_cpus core_siblings; do put sys/devices/system/cpu/cpu$n/topology/$file 3; done
        put sys/devices/system/cpu/cpu$n/topology/core_id $n
        put sys/devices/system/cpu/cpu$n/topology/physical_package_id 0
        put sys/devices/system/node/node$n/cpumap $((n + 1))
        put sys/devices/system/node/node$n/meminfo "Node $n MemTotal: 1048576 kB"
        put sys/devices/system/node/node$n/distance "$((10 + 10 * n)) $((20 - 10 * n))"
done
put proc/sys/kernel/numa_balancing 1
put sys/kernel/mm/numa/demotion_enabled true
put sys/devices/virtual/memory_tiering/memory_tier4/nodelist 0
put sys/devices/virtual/memory_tiering/memory_tier22/nodelist 1
HWLOC_FSROOT=$machine
export HWLOC_FSROOT
expect 0 topology
has_out '^Kernel.s own balancing (kernel.numa_balancing): 1, pages go to the threads that use them$' topology
has_out '^Demotion of unused pages to slower memory: on$' topology
has_out '^Memory, the fastest first: tier 4: nodes 0; tier 22: nodes 1$' topology
expect 0 topology --json=short
json 'v["kernel_balancing"] == 1 and v["kernel_demotion"] is True and v["memory_tiers"] == [{"id": 4, "nodes": [0]}, {"id": 22, "nodes": [1]}]'
printf 'rules:\n- name: a\n  match: {unit: a.service}\n  place: interleave\n' >"$work/fought.yaml"
expect 0 check "$work/fought.yaml" && has_out '^Configuration is fine: 1 rule, with warnings.$' 'check with a warning'
has_err '/fought.yaml:4:3: warning: .*(kernel.numa_balancing=1).*write "kernel-balancing: respect" here' check
expect 0 check "$work/fought.yaml" --json=short
json 'v["valid"] and v["errors"] == [] and len(v["warnings"]) == 1 and "fought.yaml:4:3: warning: " in v["warnings"][0]'
echo 'daemon: {kernel-balancing: off}' >>"$work/fought.yaml"
expect 0 check "$work/fought.yaml" && [ ! -s "$work/err" ] || fail 'a warning of what will be off'
put proc/sys/kernel/numa_balancing 0
sed -i '$d' "$work/fought.yaml"
expect 0 check "$work/fought.yaml" && [ ! -s "$work/err" ] || fail 'a warning of what is off'
has_out '^Configuration is fine: 1 rule.$' 'check without'
expect 0 topology && has_out 'numa_balancing): 0, off$' 'topology where it is off'
unset HWLOC_FSROOT

# What cannot be written is not reported as done.
if [ -c /dev/full ]; then
        for options in topology 'topology --json=short' --help --version "check $work/good.yaml"; do
                # shellcheck disable=SC2086 # words
                $ctl $options >/dev/full 2>"$work/err"
                [ $? = 1 ] || fail "$options into a full disk"
        done
        for options in --help --version "--check --config $work/good.yaml"; do
                # shellcheck disable=SC2086 # words
                ./numabalanced $options >/dev/full 2>"$work/err"
                [ $? = 1 ] || fail "numabalanced $options into a full disk"
        done
fi
exit $failed
