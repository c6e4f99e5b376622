#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# numabalancectl simulate: the shipped scenario converges, the same seed gives the same output, and what is wrong in a file is said with its place.
set -u
src=${srcdir:-.}
. "$src/tests/unit/ctl-lib.sh"
machine='node:4(memory=64GB) core:16 pu:1'
office=$src/conf/scenarios/office-hours.yaml

expect 0 simulate --scenario "$office" --topology "$machine" --until 2h
has_out '^00:00:02  web-1.service: ' 'decisions with their time'
has_out '^UNIT ' 'the table'
has_out '^redis-server.service .*cache' 'its rows'
has_out '^Locality over the whole time  0\.9' 'totals'
cp "$work/out" "$work/first"
expect 0 simulate --scenario "$office" --topology "$machine" --until 2h
cmp -s "$work/first" "$work/out" || fail 'the same seed took another course'

expect 0 simulate --scenario "$office" --topology "$machine" --json=short
json 'v["totals"]["simulated_usec"] == 12 * 3600 * 1000000 and len(v["totals"]["locality_by_hour"]) == 12'
json 'v["totals"]["locality"] > 0.9 and v["totals"]["home_returns"] == 0 and v["totals"]["past_keep_free_bytes"] == 0'
json 'v["totals"]["moved_bytes"] <= v["totals"]["least_bytes"] * 1.1'
json '[s["home_nodes"] for s in v["services"] if s["unit"] == "redis-server.service"] == [[1]]'
json 'len(v["services"]) == 8 and all(s["locality"] > 0.9 for s in v["services"])'
json 'any(e["fields"].get("NUMABALANCED_RULE") == "databases" for e in v["events"])'

# The rules of another file.
printf 'rules:\n- {name: none, match: {unit: other.service}, place: compact}\n' >"$work/rules.yaml"
expect 0 simulate --scenario "$office" --topology "$machine" --config "$work/rules.yaml" --until 1h --json=short
json 'v["totals"]["moved_bytes"] == 0 and v["totals"]["cpuset_writes"] == 0 and all(s["rule"] is None for s in v["services"])'
json 'v["totals"]["locality"] is None'
expect 0 simulate --scenario "$office" --topology "$machine" --config "$work/rules.yaml" --until 2h
has_out '^Locality over the whole time  -, as no rule places anything$' 'nothing placed is not a locality of 0'

# hwloc's XML.
cat >"$work/machine.xml" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
  <object type="Machine" os_index="0" cpuset="0x0000000f" complete_cpuset="0x0000000f" allowed_cpuset="0x0000000f" nodeset="0x00000003" complete_nodeset="0x00000003" allowed_nodeset="0x00000003" gp_index="1">
    <object type="Package" os_index="0" cpuset="0x00000003" complete_cpuset="0x00000003" nodeset="0x00000001" complete_nodeset="0x00000001" gp_index="2">
      <object type="NUMANode" os_index="0" cpuset="0x00000003" complete_cpuset="0x00000003" nodeset="0x00000001" complete_nodeset="0x00000001" gp_index="3" local_memory="17179869184"/>
      <object type="PU" os_index="0" cpuset="0x00000001" complete_cpuset="0x00000001" nodeset="0x00000001" complete_nodeset="0x00000001" gp_index="4"/>
      <object type="PU" os_index="1" cpuset="0x00000002" complete_cpuset="0x00000002" nodeset="0x00000001" complete_nodeset="0x00000001" gp_index="5"/>
    </object>
    <object type="Package" os_index="1" cpuset="0x0000000c" complete_cpuset="0x0000000c" nodeset="0x00000002" complete_nodeset="0x00000002" gp_index="6">
      <object type="NUMANode" os_index="1" cpuset="0x0000000c" complete_cpuset="0x0000000c" nodeset="0x00000002" complete_nodeset="0x00000002" gp_index="7" local_memory="17179869184"/>
      <object type="PU" os_index="2" cpuset="0x00000004" complete_cpuset="0x00000004" nodeset="0x00000002" complete_nodeset="0x00000002" gp_index="8"/>
      <object type="PU" os_index="3" cpuset="0x00000008" complete_cpuset="0x00000008" nodeset="0x00000002" complete_nodeset="0x00000002" gp_index="9"/>
    </object>
  </object>
</topology>
END
cat >"$work/small.yaml" <<'END'
rules:
- {name: all, match: {unit: "*"}, place: nodes, nodes: "1"}
services:
- {unit: a.service, cpus: 0.5, memory: 1G, starts-on: "0"}
END
expect 0 simulate --scenario "$work/small.yaml" --topology "$work/machine.xml" --until 5min --json=short
json 'v["services"][0]["bytes_by_node"][0] == 0 and v["services"][0]["locality"] == 1'

# A daemon that is killed knows its own cpusets again from its record, whose directory is gone in the end.
cat >"$work/killed.yaml" <<'END'
rules:
- {name: all, match: {unit: "*"}, place: compact, max-nodes: 1}
services:
- {unit: a.service, cpus: 4, memory: 8G, starts-on: "0"}
events:
- {at: 5min, do: kill}
- {at: 6min, do: start}
END
mkdir "$work/temporary"
TMPDIR=$work/temporary expect 0 simulate --scenario "$work/killed.yaml" --topology "$machine" --until 10min --json=short
json 'v["services"][0]["home_nodes"] == [0] and v["totals"]["cpuset_writes"] == 1 and "administrator" not in v["services"][0]["reason"]'
rmdir "$work/temporary" || fail 'something is left of the killed daemon'

# wrong LINE:COLUMN PATTERN: the scenario on standard input is refused so.
wrong() {
        cat >"$work/wrong.yaml"
        expect 78 simulate --scenario "$work/wrong.yaml" --topology "$machine"
        grep -q "^$work/wrong.yaml:$1: .*$2" "$work/err" || fail "not refused at $1 with $2"
        [ ! -s "$work/out" ] || fail 'output for a scenario that is refused'
}
printf 'services:\n- {unit: a.service, cpu: 4}\n' | wrong '2:21' 'cpus'
printf 'services:\n- {unit: a.service, cpus: four}\n' | wrong '2:27' 'number of CPUs'
printf 'services:\n- {cpus: 4}\n' | wrong '2:3' 'without unit'
printf 'services:\n- {unit: a.service}\n- {unit: b.service, count: 3}\n' | wrong '3:3' 'count needs'
printf 'services:\n- {unit: a.service, starts-on: "7"}\n' | wrong '2:32' 'no node 7'
printf 'services:\n- {unit: a.service, duty: {"08-25": 1%%}}\n' | wrong '2:28' 'span of hours'
printf 'services:\n- {unit: a.service, memory: 1G, memory: 2G}\n' | wrong '2:33' 'memory'
printf 'events:\n- {at: 1h, do: end, unit: b.service}\nservices:\n- {unit: a.service}\n' | wrong '2:3' 'b.service'
printf 'services:\n- {unit: w-%%.service, count: 3}\nevents:\n- {at: 1h, do: end, unit: w-4.service}\n' | wrong '4:3' 'w-4.service'
cat >"$work/names.yaml" <<'END'
services: [{unit: w-%.service, count: 3}, {unit: b.service}]
events: [{at: 1s, do: end, unit: w-3.service}, {at: 1s, do: end, unit: b.service}]
END
expect 0 simulate --scenario "$work/names.yaml" --topology "$machine" --until 5min --json=short
json 'len(v["services"]) == 2'
expect 78 simulate --scenario "$work/nowhere.yaml" --topology "$machine"
has_err 'cannot read .*nowhere.yaml' 'a scenario that is not there'
expect 78 simulate --scenario "$office" --topology "$machine" --config "$work/nowhere.yaml"
# Interrupted: nothing is left of it.
sed 's/^- {at: 6min.*/- {at: 365d, do: start}/' "$work/killed.yaml" >"$work/endless.yaml"
mkdir "$work/temporary"
TMPDIR=$work/temporary "$ctl" simulate --scenario "$work/endless.yaml" --topology "$machine" --until 366d >"$work/out" 2>"$work/err" &
simulation=$!
n=0
until [ -n "$(ls -A "$work/temporary")" ] || [ $n -ge 600 ]; do sleep 0.05; n=$((n + 1)); done
kill -TERM $simulation
wait $simulation
[ $? -eq 143 ] || fail 'not ended by the signal'
rmdir "$work/temporary" || fail 'something is left of an interrupted simulation'

printf 'events:\n- {at: 1h, do: explode}\n' | wrong '2:16' 'unknown'
printf 'events:\n- {at: 1h, do: end}\n' | wrong '2:3' 'needs a unit'
printf 'events:\n- {at: 1h, do: pause, unit: a.service}\n' | wrong '2:3' 'no unit'
printf 'until: 1h\nmachine: {start: "Someday 08:00"}\n' | wrong '2:18' 'moment of the week'
printf 'services:\n- {unit: a.service}\nrules:\n- {name: a, match: {unit: "*"}, place: nowhere}\n' | wrong '4:40' 'nowhere'
printf 'rules:\n- {name: a, match: {unit: "*"}, place: nodes, nodes: "9"}\n' | wrong '2:54' 'no node 9'
printf '{services: [], rules: []}\n' | wrong '1:2' 'begin'
printf -- '- a\n' | wrong '1:1' 'no scenario'
printf 'services: [\n' | wrong '2:1' ''

expect 2 simulate && has_err 'scenario' 'simulate alone'
expect 2 simulate --scenario "$office" --until forever
expect 2 simulate --scenario "$office" --until 0s
expect 2 simulate extra --scenario "$office"
expect 2 list --scenario "$office"
expect 78 simulate --scenario "$work/none.yaml" --topology "$machine"
expect 1 simulate --scenario "$office" --topology 'node:zero'
exit $failed
