#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ./quickstart demo, inside the virtual machine: services whose memory is in the wrong place, and numabalanced bringing them home.
set -u
bold=$(printf '\033[1m') plain=$(printf '\033[0m')
say() { printf '\n%s==> %s%s\n' "$bold" "$*" "$plain"; }
workload=${WORKLOAD:-/usr/local/bin/workload}

# What this machine's kernel does by itself would only blur the picture.
echo 0 >/proc/sys/kernel/numa_balancing 2>/dev/null

say "The machine: four nodes, two CPUs each"
numabalancectl topology

say "Services start: a real redis-server with 90 MB of data, and three with 80 MB each, all with their memory in the wrong place"
systemctl stop redis-server 2>/dev/null
# Filled while it may only run on node 3, then run on node 0, and free to go anywhere: as after a bad night.
systemctl start redis-server
# A snapshot in the middle of the demo would share its pages with the child that writes it, and shared pages stay where they are.
redis-cli config set save '' >/dev/null
redis=$(systemctl show -P MainPID redis-server)
taskset -apc 6-7 "$redis" >/dev/null
redis-cli eval "for i = 1, 90000 do redis.call('set', 'key' .. i, string.rep('x', 900)) end" 0 >/dev/null
taskset -apc 0-1 "$redis" >/dev/null
for i in 1 2 3; do
        systemd-run --quiet --unit="shop-$i" -p Type=notify "$workload" --size 80 --slices 0,1,2,3 --threads 2 --duty 20:20
        echo "    shop-$i.service: memory in equal slices on all four nodes, threads anywhere"
done
taskset -apc 0-7 "$redis" >/dev/null
echo "    redis-server.service: memory on node 3, running elsewhere"

say "numabalanced starts without a rule: it only observes"
systemctl enable --now numabalanced 2>&1 | grep -v '^Created'
for _ in $(seq 60); do
        [ "$(numabalancectl list --json=short 2>/dev/null | grep -o '"unit":"shop-[123]' | wc -l)" = 3 ] && break
        sleep 0.5
done
sleep 4
numabalancectl list | grep -E 'UNIT|redis|shop'

say "The administrator writes two rules"
mkdir -p /etc/numabalanced/numabalanced.d
cat >/etc/numabalanced/numabalanced.d/demo.yaml <<'Y'
version: 1
daemon: {interval: 3s, scan-cpu: 50%}
rules:
  - name: cache                     # this one is wanted on node 0, memory and all
    match: {unit: redis-server.service}
    place: nodes
    nodes: "0"
    min-size: 16M
  - name: shops                     # these go where it is best
    match: {unit: "shop-*.service"}
    place: compact
    max-nodes: 1
Y
cat /etc/numabalanced/numabalanced.d/demo.yaml
numabalancectl check

say "numabalancectl reload, and the journal as it acts"
journalctl -f -n 0 -o cat -u numabalanced &
follower=$!
sleep 1
began=$SECONDS
numabalancectl reload
# All four at home, and looked at once more since.
at_home() {
        numabalancectl list --json=short | python3 -c '
import json, sys
ours = [s for s in json.load(sys.stdin) if s["rule"]]
sys.exit(not (len(ours) == 4 and all(s["state"] == "stable" and s["home_nodes"] and "just ended" not in s["reason"] for s in ours)))'
}
home=
until [ "$home" = yes ] || [ "$SECONDS" -ge $((began + 240)) ]; do
        sleep 1
        at_home && home=yes
done
kill "$follower"
wait "$follower" 2>/dev/null

say "After"
numabalancectl list | grep -E 'UNIT|redis|shop'
if [ "$home" != yes ]; then
        say "Not all of them are at home after four minutes: something is wrong here"
        exit 1
fi

say "Why? numabalancectl explain shop-1.service"
numabalancectl explain shop-1.service

say "All given back: numabalancectl restore"
numabalancectl restore
