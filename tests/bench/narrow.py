#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""What narrowing cpuset.mems costs inside the virtual machine: one write with all memory still on the other node, where the kernel moves it before the
write returns, beside the daemon's own narrowing of the same service after it has moved the pages (NARROW_USEC of its journal entry). The same cgroup of
nobody's but ours for both, so that both write the same file. No assertion on time; it fails only when something did not come home."""

import statistics
import sys
import time

import daemon
import lib
import numa

SIZE_MIB = 96
RUNS = 3
HOME, AWAY = 0, 2         # node 0 has a CPU on every machine
CGROUP = numa.CGROUP / 'bench-narrow'


def make_service(name, mems=None):
    """A workload in a cgroup that systemd does not know. With a set of memory nodes, or narrowing it would have the kernel move nothing; without one for
    the daemon, which leaves alone what somebody else has set."""
    (numa.CGROUP / 'cgroup.subtree_control').write_text('+cpuset')
    CGROUP.mkdir(exist_ok=True)
    if mems:
        (CGROUP / 'cpuset.mems').write_text(mems)
    service = daemon.start_service(name, size=SIZE_MIB, node=AWAY, threads=1, duty='5:95', no_thp=True)
    pid = service.pid
    (CGROUP / 'cgroup.procs').write_text(str(pid))
    start, size = service.region()
    return service, pid, start, size


def share_home(pid, start, size):
    nodes = numa.page_nodes(pid, start, size)
    return sum(node == HOME for node in nodes) / len(nodes)


def end(service, pid):
    lib.run('kill', '-9', str(pid))
    lib.wait_for(lambda: 'populated 0' in (CGROUP / 'cgroup.events').read_text(), 60)
    service.stop()
    CGROUP.rmdir()


def raw_write():
    """Seconds of one write, with everything left behind."""
    service, pid, start, size = make_service('bench-narrow-raw', f'{HOME},{AWAY}')
    assert share_home(pid, start, size) < 0.01
    began = time.monotonic()
    (CGROUP / 'cpuset.mems').write_text(str(HOME))
    seconds = time.monotonic() - began
    lib.wait_for(lambda: share_home(pid, start, size) > 0.95, 60)
    end(service, pid)
    return seconds


def with_daemon():
    service, pid, start, size = make_service('bench-narrow-ours')
    rule = {'name': 'bench', 'match': {'cgroup': '/bench-narrow'}, 'place': 'nodes', 'nodes': str(HOME), 'memory': 'strict', 'min-size': '16M'}
    daemon.configure([rule])
    cursor = lib.journal_cursor()
    daemon.start()
    ids = daemon.message_ids()
    lib.wait_for(lambda: lib.journal(cursor=cursor, MESSAGE_ID=ids['MOVED']), 300)
    moved = lib.journal(cursor=cursor, MESSAGE_ID=ids['MOVED'])[0]
    assert moved['MEMS_IN_FORCE'] == 'yes', moved
    assert share_home(pid, start, size) > 0.95
    daemon.reset()
    end(service, pid)
    return {key: int(moved[key]) / 1e6 for key in ('NARROW_USEC', 'LONGEST_SLICE_USEC', 'DURATION_USEC')}


def main():
    with open('/proc/sys/kernel/numa_balancing', 'w') as f:
        f.write('0')
    daemon.reset()
    raw, ours = [], []
    for i in range(RUNS):       # alternating, so that a slow phase of the host hits both
        raw.append(raw_write())
        ours.append(with_daemon())
        print(f'narrow: run {i + 1} of {RUNS}: raw write {raw[-1]:.4f} s, daemon {ours[-1]["NARROW_USEC"]:.4f} s', flush=True)

    def middle(key):
        return statistics.median(o[key] for o in ours)
    raw_seconds = statistics.median(raw)
    print(f'narrow: {SIZE_MIB} MiB in 4 KiB pages from node {AWAY} to node {HOME}, median of {RUNS}')
    print(f'narrow: raw write, all memory left behind   {raw_seconds:8.4f} s')
    print(f'narrow: daemon, narrowing after its move    {middle("NARROW_USEC"):8.4f} s   ratio {middle("NARROW_USEC") / raw_seconds:.3f}')
    print(f'narrow: daemon, longest slice of its move   {middle("LONGEST_SLICE_USEC"):8.4f} s   ratio {middle("LONGEST_SLICE_USEC") / raw_seconds:.3f}')
    print(f'narrow: daemon, all of it                   {middle("DURATION_USEC"):8.4f} s')
    print('narrow: complete')
    return 0


if __name__ == '__main__':
    sys.exit(main())
