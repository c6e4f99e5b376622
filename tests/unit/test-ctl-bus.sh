#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# numabalancectl against a daemon with canned answers, over a bus daemon of their own with the shipped policy.
set -u
. "${srcdir:-.}/tests/unit/ctl-lib.sh"
command -v dbus-daemon >/dev/null || { echo "dbus-daemon is not installed"; exit 77; }

daemon_pid='' bus_pid=''
# shellcheck disable=SC2317,SC2086 # called by the trap; empty where not started
cleanup() {
        kill $daemon_pid $bus_pid 2>/dev/null
        wait 2>/dev/null
        rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 99' INT TERM

# As on a system bus: method calls are denied unless a policy allows them. Only root may own names by the shipped one, so others get a lax one.
policy=$(cd "${srcdir:-.}" && pwd)/systemd/org.numabalanced.conf
[ "$(id -u)" = 0 ] && rules="<include>$policy</include>" ||
        rules='<policy context="default"><allow own="*"/><allow send_destination="*"/></policy>'
cat >"$work/bus.conf" <<XML
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=$work/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  $rules
</busconfig>
XML
: >"$work/out"
: >"$work/err"
dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile --nosyslog >"$work/bus.log" 2>&1 &
bus_pid=$!
# wait_for FILE-TEST… : up to 20 seconds
wait_for() {
        for _ in $(seq 200); do
                test "$@" && return 0
                sleep 0.1
        done
        return 1
}
wait_for -S "$work/bus" || { cat "$work/bus.log"; echo "the bus did not start"; exit 99; }
DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/bus
export DBUS_SYSTEM_BUS_ADDRESS

# A bus without a daemon.
expect 3 status && has_err 'not running' status

cat >"$work/status.json" <<'JSON'
{"version":"0.1.0","uptime_usec":12000000000,"paused":false,"dry_run":false,"config":"/etc/numabalanced/numabalanced.yaml","rules":2,
 "interval_usec":10000000,"next_cycle_usec":3400000,"services":3,"managed":2,
 "states":{"observed":1,"stable":1,"pending":0,"moving":1,"blocked":0},"cycles":120,"last_cycle_reason":"pressure",
 "cycles_by_reason":{"timer":100,"unit":0,"pressure":20},"watched":{"cgroups":2,"directories":3,"memory_pressure":1,"memory_pressure_above":0,
 "cpu_pressure":2,"left_out":4},"last_cycle_cpu_usec":4200,"observe_cpu_usec":500000,
 "moves":7,"moves_failed":1,"moved_bytes":1073741824,"changed_cgroups":2,"kernel_balancing":0,"kernel_balancing_setting":"off",
 "kernel_balancing_state":"off while this runs, was 3","kernel_balancing_before":3,"kernel_demotion":true,"limitations":["no PSI: pressure is not seen"]}
JSON
cat >"$work/list.json" <<'JSON'
[{"unit":"cron.service","cgroup":"/system.slice/cron.service","rule":null,"place":null,"state":"observed","reason":"no rule matches",
  "home_nodes":[],"bytes_total":1048576,"bytes_by_node":[1048576,0,0,0],"cpu_by_node":[0.5,0.5,0.0,0.0],"locality":0.5,"distance":15.5,
  "owner":"systemd","processes":1,"threads":1},
 {"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","place":"nodes","state":"moving",
  "reason":"moving: 45M of 98M moved","home_nodes":[1,2],"bytes_total":102760448,"bytes_by_node":[0,0,0,102760448],
  "cpu_by_node":[0.0,1.0,0.0,0.0],"locality":0.0,"distance":21.0,"owner":"systemd","processes":1,"threads":5},
 {"unit":"evil\u001b[2J\nname.service","cgroup":"/x","rule":"all","place":"compact","state":"stable","reason":"at home",
  "home_nodes":[0],"bytes_total":0,"bytes_by_node":[0,0,0,0],"cpu_by_node":[0.0,0.0,0.0,0.0],"locality":0.0,"distance":0.0,
  "owner":"cgroupfs","processes":1,"threads":1}]
JSON
cat >"$work/explain.json" <<'JSON'
{"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","place":"nodes","state":"blocked",
 "reason":"node 1 is full","home_nodes":[1],"bytes_total":102760448,"bytes_by_node":[0,0,0,102760448],"cpu_by_node":[0.0,1.0,0.0,0.0],
 "locality":0.0,"distance":21.0,"owner":"systemd","processes":1,"threads":5,
 "seen":{"memory_map_read":true,"hugetlb_bytes":0,"movable_by_node":[0,0,0,102760448],"cpu_usec_by_node":[0,9,0,0],"cpu_window_usec":10000000,
  "effective_cpu_nodes":[0,1,2,3],"effective_memory_nodes":[0,1,2,3],"self_managed":false,"has_bound_mappings":false,"own_policy":null,
  "owner_detail":null,"memory_pressure_percent":null},
 "rule_detail":{"file":"/etc/numabalanced/numabalanced.yaml","line":7,"memory":"prefer","cpus":"restrict","min_size_bytes":67108864,
  "min_gain":0.05,"cooldown_usec":60000000},
 "decision":{"act":false,"home_cpu_nodes":[1],"home_memory_nodes":[1],"restrict_cpus":true,"narrow_memory_nodes":false,
  "widen_memory_nodes":false,"move_memory":true,"bytes_to_move":102760448,"distance_before":21.0,"distance_after":10.0},
 "candidates":[{"nodes":[1],"cost":10.0,"feasible":true,"chosen":true,"verdict":"chosen: the rule says so"},
  {"nodes":[0],"cost":null,"feasible":false,"chosen":false,"verdict":"rejected: not in nodes"}]}
JSON
echo '[{"unit":"a.service","cgroup":"/a.service","outcome":"restored","detail":""}]' >"$work/restore.json"
cat >"$work/plan.json" <<'JSON'
{"age_usec":400000,"dry_run":false,"paused":false,"services":[
 {"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","place":"nodes","state":"pending","when":"now",
  "home_nodes":[],"next_nodes":[1],"cpus":"2-3","bytes_to_move":102760448,"distance_before":21.0,"distance_after":10.0,"gain":0.5238,
  "reason":"its memory is on node 3"},
 {"unit":"db.service","cgroup":"/system.slice/db.service","rule":"db","place":"compact","state":"blocked","when":"blocked",
  "home_nodes":[0],"next_nodes":[0,2],"cpus":null,"bytes_to_move":0,"distance_before":10.0,"distance_after":10.0,"gain":0.0,
  "reason":"rule cache has node 2 for itself"},
 {"unit":"still.service","cgroup":"/system.slice/still.service","rule":"db","place":"compact","state":"stable","when":"none",
  "home_nodes":[0],"next_nodes":[0],"cpus":"0-1","bytes_to_move":0,"distance_before":10.0,"distance_after":10.0,"gain":0.0,
  "reason":"at home"}],
 "totals":{"services":3,"now":1,"later":0,"under_way":0,"blocked":1,"bytes_to_move":102760448,"distance_before":15.5,"distance_after":10.0}}
JSON
cat >"$work/advice.json" <<'JSON'
{"nodes":[0,1],"node_list":"0-1","fits":true,"reason":"nodes 0-1 for 4 CPUs","candidates":[
 {"nodes":[0,1],"cost":12.0,"feasible":true,"chosen":true,"verdict":"chosen: costs 12.0"},
 {"nodes":[2],"cost":null,"feasible":false,"chosen":false,"verdict":"rejected: node 2 has 2 CPUs"}]}
JSON
cat >"$work/history.json" <<'JSON'
[{"time_usec":1700000000000000,"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","event":"decided",
  "from_nodes":[3],"to_nodes":[1],"bytes":102760448,"locality_before":0.0,"locality_after":null,"reason":"its memory is on node 3"},
 {"time_usec":1700000003000000,"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","event":"moved",
  "from_nodes":[3],"to_nodes":[1],"bytes":102760448,"locality_before":0.0,"locality_after":1.0,"reason":"its memory is on node 3",
  "effort":{"duration_usec":3400000,"narrow_usec":5000,"longest_slice_usec":21000,"longest_call_usec":9000,"bytes_per_sec":34253482,"held_usec":1200000,
   "held_by":{"cpu-pressure":1000000,"migrate-rate":200000},"cpu_pressure_before_percent":0.5,"cpu_pressure_during_percent":12.5}},
 {"time_usec":1700000006000000,"unit":"redis-server.service","cgroup":"/system.slice/redis-server.service","rule":"cache","event":"undone",
  "from_nodes":[1],"to_nodes":[3],"bytes":52428800,"locality_before":null,"locality_after":null,"undone_by":"balancing",
  "reason":"the kernel's own balancing has taken it back; moved again in 2min"},
 {"time_usec":1700000009000000,"unit":"b.service","cgroup":"/b.service","rule":null,"event":"restored",
  "from_nodes":[],"to_nodes":[],"bytes":0,"locality_before":null,"locality_after":null,"reason":"has its former cpusets back"}]
JSON

./tests/unit/fake-daemon "$work" >"$work/daemon.out" 2>"$work/daemon.err" &
daemon_pid=$!
wait_for -s "$work/daemon.out" || { cat "$work/daemon.err"; echo "the daemon did not start"; exit 99; }

# status
expect 0 status
has_out '^numabalanced 0.1.0, running for 3h 20min$' status
has_out '^Mode:  *changes are made$' status
has_out '1 observed, 1 stable, 0 pending, 1 moving, 0 blocked' status
has_out '^Cycle:  *every 10s, next in 3.4s, 120 so far$' status
sed 's/"next_cycle_usec":3400000/"next_cycle_usec":36000000/' "$work/status.json" >"$work/late.json"
mv "$work/status.json" "$work/soon.json" && mv "$work/late.json" "$work/status.json"
expect 0 status
has_out '^Cycle:  *every 10s, next in 36s (scan-cpu allows no more), 120 so far$' 'a cycle that has to wait'
mv "$work/soon.json" "$work/status.json"
has_out '^Woken by:  *pressure; so far timer 100, pressure 20$' status
has_out '^Watched:  *2 services, 3 places for new ones, memory pressure of 1, CPU pressure of 2; 4 left out$' status
has_out '^Moved:  *1.0G in 7 moves, 1 failed$' status
has_out '^Limitations:  *no PSI' status
has_out '^Kernel.s own:  *balancing off while this runs, was 3; demotion to slower memory on$' status
# What it was told to read is what is checked; without a file of its own the standard ones, and another only where that is asked for.
printf 'rules: []\n' >"$work/own.yaml"
sed "s|\"rules\":2|\"rules\":0,\"config_file\":\"$work/own.yaml\"|" "$work/status.json" >"$work/status.own"
cp "$work/status.json" "$work/status.was" && cp "$work/status.own" "$work/status.json"
expect 0 check && has_out "^Configuration of the running daemon ($work/own.yaml) is fine: 0 rules.$" check
expect 0 check --json=short && json 'v["valid"] and v["file"].endswith("/own.yaml")'
printf 'rules: {}\n' >"$work/own.yaml"
expect 78 check && has_err '/own.yaml:1:8: ' check
printf 'rules: []\n' >"$work/other.yaml"
expect 0 check "$work/other.yaml" --json=short && json 'v["valid"] and "file" not in v'
printf 'nonsense' >"$work/status.json"
expect 0 check "$work/other.yaml" && [ ! -s "$work/err" ] || fail 'asked the daemon for nothing'
"$ctl" check >"$work/out" 2>"$work/err"
has_err 'does not answer' 'check beside a daemon that does not'
cp "$work/status.was" "$work/status.json"
"$ctl" check >"$work/out" 2>"$work/err"
grep -q own.yaml "$work/out" "$work/err" && fail 'checked a file that the daemon does not read'

expect 0 status --json=short && json 'v["moved_bytes"] == 1 << 30 and v["states"]["moving"] == 1 and v["paused"] is False'

# list: the contract's fields, nulls too; the table has what carries a rule first
expect 0 list --json=short
json 'len(v) == 3 and [s["unit"] for s in v][:2] == ["cron.service", "redis-server.service"]'
json 'v[0]["rule"] is None and v[0]["place"] is None and v[0]["home_nodes"] == []'
json 'v[1]["home_nodes"] == [1, 2] and v[1]["bytes_by_node"] == [0, 0, 0, 102760448] and v[1]["cpu_by_node"][1] == 1.0'
json 'all({"unit", "rule", "place", "home_nodes", "bytes_by_node", "cpu_by_node", "locality", "distance", "state", "reason"} <= set(s) for s in v)'
expect 0 list --json=pretty && json 'len(v) == 3'
expect 0 list
has_out '^UNIT  *RULE  *PLACE  *STATE  *HOME  *MEMORY  *MEMORY BY NODE  *CPU BY NODE  *LOCALITY  *DISTANCE  *REASON' list
has_out '^redis-server.service  *cache  *nodes  *moving  *1-2  *98.0M  *3:98.0M  *1:100%  *0.00  *21.0  *moving: 45M of 98M moved' list
has_out '^cron.service  *-  *-  *observed  *-  *1.0M  *0:1.0M  *0:50% 1:50%  *0.50  *15.5  *no rule matches' list
has_out '^evil\\x1b\[2J\\x0aname.service  *all  *compact  *stable  *0  *-  *-  *-  *-  *-  *at home' list # nothing known of it: no zeros
has_out '^3 services observed, 2 with a rule.$' list
[ "$(sed -n '2s/ .*//p' "$work/out")" = redis-server.service ] || fail "services with a rule come first"
grep -q "$(printf '\033')" "$work/out" && fail "a unit's name drives the terminal"
expect 0 list --no-legend
[ "$(wc -l <"$work/out")" = 3 ] || fail "list --no-legend: three services, three lines"

# explain
expect 0 explain redis-server.service
has_out '^redis-server.service: blocked$' explain
has_out '^  Reason  *node 1 is full$' explain
has_out '^  Rule  *cache (nodes), /etc/numabalanced/numabalanced.yaml:7$' explain
has_out '^  Movable by node  *3:98.0M$' explain
has_out '^  CPUs allowed  *nodes 0-3$' explain
has_out '^  Distance  *21.0 now, 10.0 expected$' explain
has_out '^ *1  *10.0  *chosen: the rule says so$' explain
has_out '^Last move$' explain
has_out '^  Longest slice  *21.*ms$' explain
has_out '^  Longest call  *9.*ms$' explain
has_out '^  Held back  *1.*s for cpu-pressure$' explain
has_out '^  CPU pressure  *stalled 12.5% of the time, 0.5% before$' explain
has_out '^ *0  *-  *rejected: not in nodes$' explain
grep -q BANDWIDTH "$work/out" && fail "columns for terms that this daemon does not tell"
expect 0 explain redis-server.service --json=short
json 'v["seen"]["own_policy"] is None and v["candidates"][1]["cost"] is None and v["decision"]["bytes_to_move"] == 102760448'
expect 1 explain unknown.service && has_err 'unknown.service: no such service' explain
# The type is forgotten easily.
expect 1 explain redis-server && has_err 'redis-server: no such service was seen; did you mean redis-server.service?$' explain
expect 1 explain 'bash[17]' && has_err 'no such service was seen$' explain

# What a newer daemon tells besides; and names as they are printed, once escaped.
cat >"$work/explain.json" <<'JSON'
{"unit":"bad\\xff\\x2dname.service","cgroup":"/bad","rule":"cache","place":"compact","state":"stable","reason":"at home","home_nodes":[1],
 "bytes_total":1,"bytes_by_node":[0,1],"cpu_by_node":[0.0,1.0],"locality":1.0,"distance":10.0,"seen":{},"rule_detail":{},"decision":null,
 "candidates":[{"nodes":[1],"cost":13.9,"feasible":true,"chosen":true,"verdict":"chosen: costs 13.9",
   "terms":{"distance":10.0,"bandwidth":0.5,"load":3.1,"fill":0.2,"moving":0.1,"breadth":0.0,"device":0.0}},
  {"nodes":[1,2],"cost":19.2,"feasible":true,"chosen":false,"verdict":"rejected: costs 19.2",
   "terms":{"distance":15.0,"bandwidth":0.5,"load":3.1,"fill":0.0,"moving":0.1,"breadth":0.5,"device":0.0}},
  {"nodes":[0],"cost":null,"feasible":false,"chosen":false,"verdict":"rejected: node 0 is db's",
   "excluded_by":{"constraint":"exclusive","rule":"db"}},
  {"nodes":[2],"cost":null,"feasible":false,"chosen":false,"verdict":"rejected: not allowed","excluded_by":{"constraint":"allowed-nodes"}}],
 "would_change":["node 0 were free of rule db","it used more than 4 CPUs"]}
JSON
expect 0 explain 'bad\xff\x2dname.service'
has_out '^bad\\xff\\x2dname.service: stable$' explain
has_out '^NODES  *COST  *DISTANCE  *BANDWIDTH  *LOAD  *FILL  *MOVING  *BREADTH  *EXCLUDED BY  *VERDICT' explain
has_out '^1  *13.9  *10.0  *0.5  *3.1  *0.2  *0.1  *0.0  *-  *chosen: costs 13.9' explain
has_out '^1-2  *19.2  *15.0  *0.5  *3.1  *0.0  *0.1  *0.5  *-  *rejected: costs 19.2' explain
has_out '^0  *-  *-  *-  *-  *-  *-  *-  *exclusive (rule db)  *rejected: node 0 is db' explain
has_out '^2  *-.*  *allowed-nodes  *rejected: not allowed' explain
has_out '^Another decision if$' explain && has_out '^  it used more than 4 CPUs$' explain
expect 0 explain "$(printf 'bad\377\\x2dname.service')" # the raw bytes, as a shell's completion could have them
expect 0 explain 'bad\xff\x2dname.service' --json=short
json 'v["candidates"][2]["excluded_by"]["rule"] == "db" and v["candidates"][2]["cost"] is None and len(v["would_change"]) == 2'
sed 's/"unit":"cron.service"/"unit":"dev\\\\x2da\\\\xff.service"/' "$work/list.json" >"$work/list.new" && mv "$work/list.new" "$work/list.json"
expect 0 list && has_out '^dev\\x2da\\xff.service ' 'a name that is escaped once'

# plan: what is to be done, totals; JSON has all, nulls too
expect 0 plan
has_out '^UNIT  *RULE  *HOME  *NEXT  *TO MOVE  *CPUS  *GAIN  *WHEN  *REASON' plan
has_out '^redis-server.service  *cache  *-  *1  *98.0M  *2-3  *52%  *now  *its memory is on node 3' plan
has_out '^db.service  *db  *0  *0,2  *-  *-  *-  *blocked  *rule cache has' plan
grep -q '^still.service' "$work/out" && fail "plan lists what stays as it is"
has_out '^1 now, 0 later, 0 under way, 1 blocked; 98.0M to move; 1 stays as it is.$' plan
has_out '^Mean distance: 15.5 now, 10.0 expected' plan
expect 0 plan --no-legend
[ "$(wc -l <"$work/out")" = 2 ] || fail "plan --no-legend: two lines"
expect 0 plan --json=short
json 'len(v["services"]) == 3 and v["services"][1]["cpus"] is None and v["totals"]["bytes_to_move"] == 102760448'
mv "$work/plan.json" "$work/plan.away"
expect 1 plan && has_err 'could not be observed' 'plan of a machine that cannot be observed'
echo '{"dry_run":true,"services":[],"totals":{"services":0}}' >"$work/plan.json"
expect 0 plan && has_out '0 now' plan && has_out 'dry run' plan
mv "$work/plan.away" "$work/plan.json"

# advise: for scripts just the list
expect 0 advise 4:2048
[ "$(cat "$work/out")" = 0-1 ] || fail "advise prints the node list"
[ ! -s "$work/err" ] || fail "advise has nothing to say"
expect 0 advise 4:2048 --json=short && json 'v["cpus"] == 4.0 and v["bytes"] == 2 << 30 and v["candidates"][1]["cost"] is None'
expect 0 advise 0.25 --json=short && json 'v["cpus"] == 0.25 and v["bytes"] == 0'
expect 0 advise 4 --explain && has_out '^nodes 0-1 for 4 CPUs$' advise && has_out '^2  *-  *rejected: node 2 has 2 CPUs' advise
echo '{"nodes":[],"node_list":"","fits":false,"reason":"no nodes hold 9.0G","candidates":[]}' >"$work/advice.json"
expect 1 advise 1:9000 && has_err 'no nodes hold 9.0G' advise
[ ! -s "$work/out" ] || fail "no nodes, no output"
echo '{"nodes":[1],"node_list":"1","fits":false,"reason":"node 1, though oversubscribed","candidates":[]}' >"$work/advice.json"
expect 0 advise 99 && has_err 'oversubscribed' advise && has_out '^1$' advise

# topology needs no daemon, and where there is one says what it has switched off
expect 0 topology --json=short && json 'v["kernel_balancing_before"] == 3'

# history
expect 0 history
has_out '^TIME  *UNIT  *EVENT  *NODES  *BYTES  *LOCALITY  *STALL  *HELD  *REASON' history
has_out '^2023-11-1[45] .*  *redis-server.service  *moved  *3 → 1  *98.0M  *0.00 → 1.00  *9.*ms  *1.2s  *its memory' history
has_out ' decided  *3 → 1  *98.0M  *0.00  *-  *-  *its memory' history
has_out ' undone  *1 → 3  *50.0M  *-  *-  *-  *the kernel.s own balancing has taken it back; moved again in 2min' history
has_out ' b.service  *restored  *-  *-  *-  *-  *-  *has its former' history
expect 0 history redis-server.service --json=short
json 'v[0]["locality_after"] is None and v[1]["locality_after"] == 1.0 and v[3]["rule"] is None and v[2]["undone_by"] == "balancing" and v[1]["undone_by"] is None and v[2]["bytes"] == 50 << 20 and v[0]["time_usec"] == 1700000000000000 and v[0]["effort"] is None and v[1]["effort"]["held_by"]["cpu-pressure"] == 1000000'
expect 0 history quiet.service && has_out '^Nothing was decided about quiet.service since' history
expect 0 history quiet && has_out '^Nothing was decided about quiet since .*has its type' history
expect 0 history quiet.service --no-legend
[ ! -s "$work/out" ] || fail "history --no-legend of nothing"

# reload
expect 0 reload
[ ! -s "$work/out" ] || fail "reload says nothing when all is well"
expect 0 reload --json=short && json 'v == {"reloaded": True, "errors": []}'
printf 'a.yaml:1:2: bad\nb.yaml:3:4: worse' >"$work/broken"
expect 78 reload && has_err '^a.yaml:1:2: bad$' reload && has_err '^b.yaml:3:4: worse$' reload
expect 78 reload --json=short && json 'v == {"reloaded": False, "errors": ["a.yaml:1:2: bad", "b.yaml:3:4: worse"]}'

# pause, resume
expect 0 pause
expect 0 status && has_out '^Mode:  *paused' status
expect 0 resume --json=short && json 'v == {"paused": False}'
expect 0 status && has_out '^Mode:  *changes are made' status

# restore
expect 0 restore && has_out '^a.service  *restored' restore && has_out 'resume' restore
expect 0 restore a.service b.service --json=short && json 'len(v) == 2 and v[0]["outcome"] == "restored" and v[0]["detail"] == ""'
expect 1 restore unknown.service && has_err 'nothing to restore' restore
expect 1 restore unknown.service a.service && has_out '^a.service  *restored' 'restore of two'
echo '[{"unit":"a.service","cgroup":"/a.service","outcome":"failed","detail":"No space left on device"}]' >"$work/restore.json"
expect 1 restore && has_out '^a.service  *failed  *No space left' restore
expect 1 restore --json=short && json 'v[0]["outcome"] == "failed"'
echo '[]' >"$work/restore.json"
expect 0 restore && has_out 'nothing to restore' restore
expect 0 restore --json=short && json 'v == []'

# Colours: on a terminal, unless NO_COLOR says otherwise.
if command -v script >/dev/null && script --version 2>/dev/null | grep -q util-linux; then
        for setting in "NO_COLOR=" "NO_COLOR=1" "TERM=dumb"; do
                env TERM=xterm "$setting" script -qec "$ctl list" /dev/null >"$work/out" 2>"$work/err" </dev/null
                if [ "$setting" = "NO_COLOR=" ]; then
                        grep -q "$(printf '\033\\[[0-9;]*m')moving" "$work/out" || fail "no colour on a terminal"
                else
                        grep -q "$(printf '\033')" "$work/out" && fail "colour in spite of $setting"
                fi
        done
        # On 80 columns no line is longer; what matters most is there.
        for verb in list plan history 'explain bad\\xff\\x2dname.service'; do
                env TERM=xterm NO_COLOR=1 script -qec "stty cols 80; $ctl $verb --no-legend" /dev/null >"$work/out" 2>"$work/err" </dev/null
                tr -d '\r' <"$work/out" | sed 's/→/>/g' >"$work/narrow" # awk may count bytes
                case $verb in explain*) sed -i '1,/^Candidates/d; /^Another/,$d' "$work/narrow" ;; esac
                [ "$(awk '{ if (length > 80) n++ } END { print n + 0 }' "$work/narrow")" = 0 ] || fail "$verb: lines over 80 columns"
                [ -s "$work/narrow" ] || fail "$verb: nothing on a terminal"
        done
        env TERM=xterm NO_COLOR=1 script -qec "stty cols 80; $ctl list" /dev/null >"$work/out" 2>"$work/err" </dev/null
        for heading in UNIT RULE STATE HOME LOCALITY REASON; do has_out "$heading" 'list on 80 columns'; done
        grep -q DISTANCE "$work/out" && fail "list on 80 columns: nothing was left out"
        env TERM=xterm NO_COLOR=1 script -qec "stty cols 250; $ctl list" /dev/null >"$work/out" 2>"$work/err" </dev/null
        has_out 'MEMORY BY NODE  *CPU BY NODE  *LOCALITY  *DISTANCE  *REASON' 'list on 250 columns'
        # Long reasons leave room for names; columns are in line beside names with backslashes, wide characters, and what the locale cannot show.
        mv "$work/list.json" "$work/list.saved"
        separator='['
        for unit in 'a.service' 'dev\\x2dfoo.service' 'データベース.service' "docker-$(printf '%064d' 7).scope"; do
                printf '%s{"unit":"%s","cgroup":"/a","rule":"containers","place":"compact","state":"stable","home_nodes":[3],"bytes_total":123456789,' \
                        "$separator" "$unit"
                printf '"bytes_by_node":[1,2],"cpu_by_node":[0.5,0.5],"locality":0.98,"distance":10.1,"reason":"%s"}\n' \
                        'at home on node 3: locality 0.98, distance 10.1; nothing is nearer, all of its memory is there, and more words than fit'
                separator=,
        done >"$work/list.json"
        echo ']' >>"$work/list.json"
        for locale in C.UTF-8 C; do
                for columns in 80 120; do
                        env TERM=xterm NO_COLOR=1 LC_ALL=$locale script -qec "stty cols $columns; $ctl list --no-legend" /dev/null >"$work/typed" 2>"$work/err" </dev/null
                        tr -d '\r' <"$work/typed" | sed 's/データベース/123456789012/; s/データベ/12345678/' >"$work/out"
                        has_out '^a\.service  *containers' "list on $columns columns, $locale"
                        has_out '^dev\\x2dfoo\.service  *containers' "list on $columns columns, $locale"
                        has_out '^docker-0000000000000' "list on $columns columns, $locale"
                        has_out ' at home on node 3: ' "list on $columns columns, $locale"
                        [ "$(awk -v n="$columns" '{ if (length > n) print }' "$work/out")" = '' ] || fail "list on $columns columns, $locale: longer lines"
                        [ "$(awk '{ print index($0, " containers ") }' "$work/out" | sort -u | wc -l)" = 1 ] ||
                                fail "list on $columns columns, $locale: columns out of line"
                done
        done
        expect 0 list --no-legend
        sed -i 's/データベース/123456789012/' "$work/out"
        [ "$(awk '{ print index($0, " containers ") }' "$work/out" | sort -u | wc -l)" = 1 ] || fail "list in a pipe: columns out of line"
        mv "$work/list.saved" "$work/list.json"
else
        echo "script(1) of util-linux is not installed: colours and widths not tried"
fi

# By the shipped policy anybody may read and only root may change.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        chmod 755 "$work" && chmod 666 "$work/bus"
        as_nobody() {
                status=$1
                shift
                setpriv --reuid=65534 --regid=65534 --clear-groups "$ctl" "$@" >"$work/out" 2>"$work/err"
                actual=$?
                [ $actual = "$status" ] || fail "as nobody: numabalancectl $*: exit status $actual, not $status"
        }
        if setpriv --reuid=65534 --regid=65534 --clear-groups "$ctl" --version >/dev/null 2>&1; then
                as_nobody 0 status
                as_nobody 0 list
                as_nobody 0 explain 'bad\xff\x2dname.service'
                as_nobody 0 plan
                as_nobody 0 history
                as_nobody 0 advise 1
                for verb in pause resume reload restore; do
                        as_nobody 1 $verb
                        has_err 'not permitted' "as nobody: $verb"
                done
        else
                echo "nobody cannot run $ctl: privileges not tried"
        fi
fi

# The daemon goes away.
kill "$daemon_pid"
wait "$daemon_pid" 2>/dev/null
daemon_pid=''
expect 3 list && has_err 'not running' list
exit $failed
