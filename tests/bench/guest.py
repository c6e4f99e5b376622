#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of measurements inside the virtual machine. Everything stands beside a bare move_pages(2) loop over the same pages, measured in
the same run: absolute times under emulation say nothing. No assertion on time; it fails only when something did not come home."""

import re
import statistics
import sys
import time

import daemon
import lib
import numa

SIZE_MIB = 96
RUNS = 3
PAGES = SIZE_MIB * 256
PER_CALL = 2048         # throughput is flat from about 1,280 pages a call


def start_misplaced(name):
    # 4 KiB pages, and threads that mostly sleep; the same for both sides.
    return daemon.start_service(name, size=SIZE_MIB, node=2, threads=1, duty='5:95', no_thp=True)


def raw_loop():
    """(pages, seconds) of the bare loop over one misplaced service."""
    service = start_misplaced('bench-raw')
    pages, seconds = lib.run('/usr/local/bin/raw-move', service.pid, 1, PER_CALL).split()
    assert service.region_share(1) > 0.99, service.describe()
    service.stop()
    return int(pages), float(seconds)


def daemon_cpu_seconds():
    return int(lib.show(daemon.UNIT, 'CPUUsageNSec')['CPUUsageNSec']) / 1e9


def with_daemon():
    """One misplaced service, from `systemctl start numabalanced` to 95 % of its memory at home, and what that took."""
    service = start_misplaced('bench-daemon')
    daemon.configure([{'name': 'bench', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1'}])
    journal = daemon.Journal()
    began = time.monotonic()
    daemon.start()
    first = None
    while (share := service.region_share(1)) < 0.95:
        if share > 0 and first is None:
            first = time.monotonic() - began
        if time.monotonic() - began > 300:
            raise AssertionError('not at home in 300 s: ' + service.describe())
        time.sleep(0.05)
    to_95 = time.monotonic() - began
    ids = daemon.message_ids()
    moved = daemon.wait_for('the report', lambda: journal.of_unit(service.unit, ids['MOVED']), 120)[0]
    result = {
        'to_95': to_95,
        'first': first if first is not None else to_95,
        'duration': int(moved['DURATION_USEC']) / 1e6,
        'pages': int(moved['PAGES']),
        'asked': int(moved['ASKED_PAGES']),
        'cpu': daemon_cpu_seconds(),
        'locality': float(moved['LOCALITY_AFTER']),
    }
    service.stop()
    daemon.reset()
    return result


def stable_cost(seconds=30):
    """CPU time of the daemon while nothing changes, as a share of one CPU."""
    service = daemon.start_service('bench-stable', size=SIZE_MIB, node=1, threads=1, duty='5:95', affinity='2-3')
    daemon.configure([{'name': 'bench', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1'}], interval='10s', max_interval='5min', scan_cpu='1%')
    daemon.start()
    daemon.wait_for('at home', lambda: daemon.state(service.unit) == 'stable', 120)
    time.sleep(5)
    before = daemon_cpu_seconds()
    time.sleep(seconds)
    spent = daemon_cpu_seconds() - before
    service.stop()
    daemon.reset()
    return spent / seconds


def main():
    for path in ('/proc/sys/kernel/numa_balancing',):
        with open(path, 'w') as f:
            f.write('0')
    daemon.reset()
    raw, ours = [], []
    for i in range(RUNS):           # alternating, so that a slow phase of the host hits both
        raw.append(raw_loop())
        ours.append(with_daemon())
        print(f'bench: run {i + 1} of {RUNS}: raw loop {raw[-1][1]:.2f} s, daemon {ours[-1]["to_95"]:.2f} s to 95 % '
              f'(first page after {ours[-1]["first"]:.2f} s)', flush=True)
    raw_seconds = statistics.median(seconds for _, seconds in raw)

    def middle(key):
        return statistics.median(o[key] for o in ours)
    kernel = re.search(r'version (\S+)', open('/proc/version').read())[1]
    print(f'bench: Linux {kernel}, {SIZE_MIB} MiB in 4 KiB pages from node 2 to node 1, median of {RUNS}')
    print(f'bench: raw move_pages loop                    {raw_seconds:8.2f} s   {PAGES / raw_seconds:10.0f} pages/s')
    print(f'bench: daemon, start to 95 % at home          {middle("to_95"):8.2f} s   ratio to raw {middle("to_95") / raw_seconds:.2f}')
    print(f'bench: daemon, start to the first page        {middle("first"):8.2f} s   (measuring before deciding)')
    moving = statistics.median(o['to_95'] - o['first'] for o in ours) / 0.95
    print(f'bench: daemon, moving alone                   {moving:8.2f} s   ratio to raw {moving / raw_seconds:.2f}')
    print(f'bench: pages moved / pages that had to move   {middle("pages") / PAGES:8.3f}     asked {middle("asked") / PAGES:.3f}')
    print(f'bench: CPU time of the daemon for all of it   {middle("cpu"):8.2f} s   ratio to raw loop\'s time {middle("cpu") / raw_seconds:.2f}')
    print(f'bench: locality after                         {middle("locality"):8.3f}')
    print(f'bench: CPU of the daemon while nothing moves  {stable_cost() * 100:8.3f} % of one CPU')
    print('bench: complete')
    return 0


if __name__ == '__main__':
    sys.exit(main())
