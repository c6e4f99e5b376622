#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Does the machine work at all? tests/system/vm run [--suite …] [--topology …] tests/system/smoke.sh
#
# Prints what it is, and puts a workload on its last node that has memory.

set -eu

echo "$VM_SUITE $VM_TOPOLOGY $VM_ACCEL: Linux $(uname -r), $(systemctl --version | head -n 1)"
state=$(systemctl is-system-running --wait || true)
echo "system: $state"
[ "$state" = running ] || { systemctl --failed --no-pager; exit 1; }
systemd-analyze time | head -n 1
numactl -H

node=$(sed 's/.*[-,]//' /sys/devices/system/node/has_memory)
systemd-run --quiet --unit=smoke -p Type=notify workload --size 64 --node "$node" --threads 2
where smoke.service
python3 - "$node" <<'END'
import sys
import lib
share = lib.Service('smoke').region_share(int(sys.argv[1]))
print(f'share of the workload on node {sys.argv[1]}: {share:.4f}')
sys.exit(share != 1)
END
systemctl stop smoke
if [ -w /out ] && mountpoint -q /out; then
        echo "$VM_SUITE,$VM_TOPOLOGY,$(cut -d ' ' -f 1 /proc/uptime)" >>/out/smoke.csv
fi
echo 'smoke: fine'
