#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own balancing beside us: per placement, who moves what once a service is at home; and on 2+1 its demotion (Linux 6.12), while somebody
reclaims the service's memory. Inside the virtual machine: tests/system/vm run --topology 4x2|2+1 tests/bench/balancing.py [SECONDS [WORD…]]. No assertion; it prints what it finds."""

import errno
import pathlib
import re
import sys
import threading
import time

import daemon
import lib
import numa

NUMA_BALANCING = pathlib.Path('/proc/sys/kernel/numa_balancing')
DEMOTION = pathlib.Path('/sys/kernel/mm/numa/demotion_enabled')
SIZE_MIB = 64

# name, the kernel's mode while it is measured, options of the workload, the rule. Each thread uses its own part of the memory.
CASES = {
    '4x2': [
        ('compact-1', 1, {'node': 2, 'threads': 2}, {'place': 'compact'}),
        ('compact-2', 1, {'slices': '0,1,2,3', 'threads': 4, 'duty': '20:60'}, {'place': 'compact', 'min-nodes': 2, 'max-nodes': 2}),
        ('cpus-free', 1, {'node': 2, 'threads': 2}, {'place': 'nodes', 'nodes': '0', 'cpus': 'free'}),
        ('follow', 1, {'node': 2, 'threads': 2}, {'place': 'follow'}),
        ('spread', 1, {'node': 2, 'threads': 4}, {'place': 'spread'}),
        ('interleave', 1, {'node': 2, 'threads': 4}, {'place': 'interleave'}),
        ('kernel-alone', 1, {'slices': '0,1,2,3', 'threads': 4, 'duty': '20:60'}, None),
    ],
    '2+1': [
        ('far-1', 1, {'node': 0, 'threads': 2}, {'place': 'nodes', 'nodes': '2', 'cpus': 'free'}),
        ('far-2', 2, {'node': 0, 'threads': 2}, {'place': 'nodes', 'nodes': '2', 'cpus': 'free'}),
        ('far-strict-1', 1, {'node': 0, 'threads': 2}, {'place': 'nodes', 'nodes': '2', 'cpus': 'free', 'memory': 'strict'}),
        ('far-strict-2', 2, {'node': 0, 'threads': 2}, {'place': 'nodes', 'nodes': '2', 'cpus': 'free', 'memory': 'strict'}),
        ('interleave-2', 2, {'node': 0, 'threads': 2}, {'place': 'interleave'}),
        ('demoted', 0, {'node': 0, 'threads': 1, 'duty': '10:990'}, {'place': 'compact', 'allowed-nodes': '0'}),
        ('demoted-strict', 0, {'node': 0, 'threads': 1, 'duty': '10:990'}, {'place': 'compact', 'allowed-nodes': '0', 'memory': 'strict'}),
        ('demoted-2', 2, {'node': 0, 'threads': 1, 'duty': '10:990'}, {'place': 'compact', 'allowed-nodes': '0'}),
    ],
}
RECLAIM = ('2', '16M')          # of what is demoted: every so many seconds, so much


def vmstat():
    words = (line.split() for line in pathlib.Path('/proc/vmstat').read_text().splitlines())
    return {name: int(value) for name, value in words if name.startswith(('numa_', 'pgpromote', 'pgdemote'))}


def since(before):
    return {name: value - before[name] for name, value in vmstat().items() if value != before[name] and not name.startswith(('numa_hit', 'numa_local', 'numa_miss', 'numa_other', 'numa_foreign'))}


def thread_part_locality(service):
    """Share of the pages that are on the node of the one thread that uses them: what counts where each thread has its own part."""
    pid = service.pid
    start, size = service.region()
    nodes = numa.page_nodes(pid, start, size)
    tids = sorted(int(p.name) for p in pathlib.Path(f'/proc/{pid}/task').iterdir() if int(p.name) != pid)
    part, hits, seen = len(nodes) // len(tids), 0, 0
    for i, tid in enumerate(tids):
        cpu = int(pathlib.Path(f'/proc/{pid}/task/{tid}/stat').read_text().rpartition(')')[2].split()[36])
        home = next(n for n in numa.online_nodes() if cpu in numa.cpus_of(n))
        mine = nodes[i * part:(i + 1) * part]
        hits += mine.count(home)
        seen += len(mine)
    return hits / seen


def moved_by_us(journal, unit, ids):
    return sum(int(e.get('PAGES', 0)) for e in journal.of_unit(unit, ids['MOVED']))


class Reclaimer(threading.Thread):
    """Asks for some of the service's memory again and again, as who reclaims what is not used does; with demotion on, it goes to slow memory."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.file = service.cgroup / 'memory.reclaim'
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(float(RECLAIM[0])):
            try:
                self.file.write_text(RECLAIM[1])
            except OSError as error:
                if error.errno != errno.EAGAIN:         # less than that was found
                    raise


def look(service):
    share = {n: f'{b / 2**20:.0f}M' for n, b in service.region_bytes().items()}
    return f'{share} own part local {thread_part_locality(service):.2f} locality {service.locality(2.0):.2f}'


def measure(name, mode, options, rule, seconds):
    NUMA_BALANCING.write_text('0')
    service = daemon.start_service('b-' + name, size=SIZE_MIB, no_thp=True, **options)
    ids = daemon.message_ids()
    journal = daemon.Journal()
    print(f'== {name} (kernel.numa_balancing={mode} from the start) {options} {rule}', flush=True)
    print('   start        ', look(service), flush=True)
    NUMA_BALANCING.write_text(str(mode))
    before, began, last = vmstat(), time.monotonic(), 0
    if rule:
        daemon.configure([{'name': 'bench', 'match': {'unit': service.unit}, 'cooldown': '10s', **rule}], interval='2s', **{'max-interval': '5s'})
        daemon.start()
    reclaimer = Reclaimer(service) if name.startswith('demoted') else None
    if reclaimer:
        DEMOTION.write_text('true')
        reclaimer.start()
    while time.monotonic() - began < seconds:
        time.sleep(max(0, seconds / 5 - 2))
        ours = moved_by_us(journal, service.unit, ids)
        print(f'   {time.monotonic() - began:5.0f} s  {look(service)} ours {ours} pages, kernel {since(before)}', flush=True)
    if reclaimer:
        DEMOTION.write_text('false')
        reclaimer.over.set()
        reclaimer.join()
    if rule:
        entry = daemon.service(service.unit)
        print('   says', entry and {key: entry[key] for key in ('state', 'reason', 'home_nodes', 'locality')}, flush=True)
        for e in journal.of_unit(service.unit):
            print('   journal:', e.get('MESSAGE', '')[:220], flush=True)
    stat = [line for line in (service.cgroup / 'memory.stat').read_text().splitlines() if line.startswith(('numa_', 'pgpromote', 'pgdemote'))]
    print('   memory.stat', stat, flush=True)
    NUMA_BALANCING.write_text('0')
    service.stop()
    daemon.reset()


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 75
    words = sys.argv[2:]
    daemon.reset()
    kernel = re.search(r'version (\S+)', pathlib.Path('/proc/version').read_text())[1]
    topology = '2+1' if len(numa.online_nodes()) == 3 else '4x2'
    print(f'Linux {kernel}, {topology}, {SIZE_MIB} MiB in 4 KiB pages; demotion', DEMOTION.read_text().strip() if DEMOTION.exists() else None)
    for name, mode, options, rule in CASES[topology]:
        if not words or any(w in name for w in words):
            measure(name, mode, options, rule, seconds)
    print('complete')
    return 0


if __name__ == '__main__':
    sys.exit(main())
