#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs cells in the guest: guest.py [--seconds S] [--mib N] [--duty MS:MS] [--hurry] CELL… Results go to /out, a cell's when it is done."""

import argparse
import pathlib
import re
import shutil
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import daemon
import lib
import numa
from comparelib import cells, figures, sampler, systems, workloads

OUT = pathlib.Path('/out')
POLL, ROW = 0.4, 1.0            # seconds between looks at CPU time, and between rows
SETTLED_ROWS = 5
QUIET_SECONDS = 10              # in a hurry: that doing nothing is watched
COUNTERS = ('pgmigrate_success', 'numa_pages_migrated', 'numa_hint_faults', 'numa_pte_updates')
PACKAGED = ('numad', 'redis-server', 'postgresql', 'postgresql@*')       # what packages start at boot is not part of any cell
CONTROL = pathlib.Path('/run/systemd/system.control')


def tidy():
    """The machine as every cell finds it."""
    workloads.end()
    systems.BALANCING.write_text('0')
    left = [path for path in CONTROL.glob('cmp-*')]         # what was set for units that are gone stays until the next boot
    for path in left:
        shutil.rmtree(path)
    if left:
        lib.run('systemctl', 'daemon-reload')
    pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')
    pathlib.Path('/proc/sys/vm/compact_memory').write_text('1')


class Settled:
    """Whether there is nothing more to see: locality is at its best and stays there."""

    def __init__(self, services, nodes):
        self._count, self._facts = len(services), {'nodes': ' '.join(map(str, nodes)), 'distances': ';'.join(
            ' '.join(map(str, row)) for row in sampler.online_distances(nodes))}
        self._header = sampler.header(nodes)

    def __call__(self, rows):
        last = [dict(zip(self._header, row)) for row in rows[-SETTLED_ROWS * self._count:]]
        series = figures.points(last, self._facts, False)
        return len(series) == SETTLED_ROWS and all(point.seconds > 0 and point.locality >= figures.GOALS[-1] for point in series)


def watch(services, nodes, seconds, began, rows, settled=None):
    """Samples for so many seconds, or until settled(rows). Times count from `began`."""
    node_of_cpu = numa.node_of_cpu()
    end, next_row = time.monotonic() + seconds, time.monotonic() + ROW
    while time.monotonic() < end:
        time.sleep(POLL)
        for service in services:
            service.poll(node_of_cpu)
        if time.monotonic() >= next_row:
            rows += [service.row(time.monotonic() - began, nodes) for service in services]
            next_row = max(next_row + ROW, time.monotonic())
            if settled and settled(rows):
                return


class Starting(threading.Thread):
    """Switches a system on while the workload is watched: a daemon takes seconds to start under emulation."""

    def __init__(self, system, services, rules):
        super().__init__()
        self._system, self._arguments, self._problem = system, (services, rules), None
        self.start()

    def run(self):
        try:
            self._system.start(*self._arguments)
        except Exception as error:
            self._problem = error

    def done(self):
        self.join()
        if self._problem:
            raise self._problem


def run_cell(cell, seconds, mib, hurry):
    nodes = numa.online_nodes()
    services = workloads.begin(cell.workload, f'cmp-{cell.workload}{cell.run}-{cell.system.replace("+", "_")}', mib)
    system = systems.CLASSES[cell.system]()
    rules = workloads.rules(cell.workload, services)
    rows = []
    watch(services, nodes, 2 * ROW + POLL, time.monotonic() + 2 * ROW + POLL, rows)       # as it was before, at negative times
    least = sum(service.least_pages() for service in services)
    cgroups = [service.cgroup for service in services]
    counted, spent = sampler.vmstat(*COUNTERS), sampler.cpu_usec(cgroups)
    began = time.monotonic()
    try:
        starting = Starting(system, services, rules)
        if hurry and cell.system == 'nothing':
            seconds = min(seconds, QUIET_SECONDS)
        watch(services, nodes, seconds, began, rows, Settled(services, nodes) if hurry else None)
        starting.done()
        cpu = system.cpu_seconds()
        lasted = time.monotonic() - began
        counters = [now - then for now, then in zip(sampler.vmstat(*COUNTERS), counted)]
        user, kernel = (now - then for now, then in zip(sampler.cpu_usec(cgroups), spent))
        log = system.log() if hasattr(system, 'log') else ''
    finally:
        system.stop()
    facts = {
        'workload': cell.workload, 'system': cell.system, 'run': cell.run, 'seconds': f'{lasted:.2f}', 'mib': mib, 'duty': workloads.duty(cell.workload),
        'kernel': re.search(r'version (\S+)', pathlib.Path('/proc/version').read_text())[1],
        'nodes': ' '.join(map(str, nodes)),
        'distances': ';'.join(' '.join(map(str, row)) for row in sampler.online_distances(nodes)),
        'pass_units': sum(service.stats.pass_units for service in services) / len(services),
        'least_pages': least, **dict(zip(COUNTERS, counters)),
        'system_cpu_seconds': '' if cpu is None else f'{cpu:.3f}',
        'workload_user_seconds': f'{user / 1e6:.3f}', 'workload_kernel_seconds': f'{kernel / 1e6:.3f}',
    }
    return facts, rows, log


def keep(cell, facts, rows, log):
    nodes = numa.online_nodes()
    if log:
        (OUT / f'{cell}.log').write_text(log)
    cells.write_csv(cells.samples_file(OUT, cell), [sampler.header(nodes), *rows])
    cells.write_csv(cells.facts_file(OUT, cell), [('what', 'value'), *facts.items()])
    cells.set_attempts(OUT, cell, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--mib', type=int, default=320)
    parser.add_argument('--duty', metavar='MS:MS', help="instead of each workload's own")
    parser.add_argument('--hurry', action='store_true', help='end a cell where there is nothing more to see')
    parser.add_argument('cells', nargs='+', type=cells.Cell.parse)
    options = parser.parse_args()
    workloads.duty_of_all = options.duty
    lib.run('systemctl', 'stop', *PACKAGED, check=False)
    daemon.reset()
    failed = 0
    for cell in options.cells:
        if cells.stop_file(OUT).exists():
            break
        if cell.system == 'numad':
            systems.wait_for_numad()
        tidy()
        cells.add_attempt(OUT, cell)
        print(f'compare: {cell}', flush=True)
        try:
            keep(cell, *run_cell(cell, options.seconds, options.mib, options.hurry))
        except Exception:       # this cell is lost, the others are not; the host counts
            failed += 1
            traceback.print_exc(file=sys.stdout)
    tidy()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
