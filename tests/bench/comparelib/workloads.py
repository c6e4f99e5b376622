# SPDX-License-Identifier: GPL-2.0-or-later
"""The workloads, each started with its memory and threads in known wrong places, and for each service the nodes that are best for it."""

import pathlib

import numa
from comparelib import programs, sampler

STATS = pathlib.Path('/run/compare')
MIB = 1 << 20
# Milliseconds that each thread works and sleeps, nominally: a busy machine makes it work more. All CPUs of an emulated machine are one of the host.
DUTY, BUSY_DUTY = '2:28', {'c': '5:20'}
duty_of_all = None              # instead of these
READ = 1024                     # bytes that a pass reads of each page


def duty(workload):
    return duty_of_all or BUSY_DUTY.get(workload, DUTY)


def start(name, best, mib, *words, own=True, per_thread=False):
    STATS.mkdir(exist_ok=True)
    path, unit = STATS / f'{name}.stats', f'{name}.service'
    programs.launch(unit, '/usr/local/bin/workload', '--size', mib, '--stats', path, '--read', READ, *words)
    return sampler.Placed(unit, best, sampler.WorkloadStats(path, mib * MIB), own, per_thread)


def cpus(*nodes):
    return ','.join(str(cpu) for node in nodes for cpu in numa.cpus_of(node))


def one(name, mib, *words, threads=2, **more):
    """Three quarters of its memory on node 2, the rest on 3, and its threads begin on node 0: best is node 2."""
    return start(name, [2], mib, '--slices', '2,2,2,3', '--threads', threads, '--start-cpus', cpus(0), *words, **more)


def several(name, count, mib, *words):
    """Half of the memory on the node that is best, half on the next; threads begin two further on."""
    return [start(f'{name}-{i}', [i % 4], mib, '--no-thp', '--slices', f'{i % 4},{(i + 1) % 4}', '--threads', 2,
                  '--start-cpus', cpus((i + 2) % 4), *words) for i in range(count)]


def shared(name, mib, *words):
    """Two services with all their memory in common; the second one finds it populated."""
    file = pathlib.Path('/dev/shm/compare')
    file.unlink(missing_ok=True)
    first = one(f'{name}-0', mib, '--shm', file, *words, threads=1)
    return [first, start(f'{name}-1', [2], mib, '--shm', file, '--start-cpus', cpus(1), *words, own=False)]


def hugetlb(name, mib, *words):
    for node in numa.online_nodes():
        pool = numa.NODES / f'node{node}/hugepages/hugepages-2048kB/nr_hugepages'
        pool.write_text(str(mib // 2))
        if int(pool.read_text()) != mib // 2:
            raise AssertionError(f'node {node} has only {pool.read_text().strip()} free huge pages')
    return [one(name, mib, '--hugetlb', *words)]


def large(name, mib, *words):
    """Eight threads, each with two runs of pages on two nodes, all nodes alike. No node is best for the service: the threads are to be with
    their memory, so half of it must move at least. A hand takes two nodes beside each other."""
    service = start(name, numa.online_nodes(), 2 * mib, '--no-thp', '--slices', '0,1,1,2,2,3,3,0,0,2,1,3,2,0,3,1', '--threads', 8, *words,
                    per_thread=True)
    service.home = service.best[:2]
    service.least_pages = lambda: mib * MIB // numa.PAGE
    return [service]


def begin(workload, name, mib):
    """Starts a workload's services; returns them as sampler.Placed."""
    words = ('--duty', duty(workload))
    if workload == 'a':
        return [one(name, mib, '--no-thp', *words)]
    if workload == 'b':
        return several(name, 4, mib, *words)
    if workload == 'c':
        return several(name, 6, mib, *words)
    if workload == 'd':
        return [one(name, mib, '--thp', *words)]
    if workload == 'e':
        return hugetlb(name, mib, *words)
    if workload == 'f':
        return shared(name, mib, *words)
    if workload == 'g':
        return [one(name, mib, '--no-thp', '--churn', '2:16:1500', *words, threads=1)]
    if workload == 'h1':
        return [programs.redis(f'{name}.service')]
    if workload == 'h2':
        return [programs.postgres(f'{name}.service')]
    if workload in ('i', 'i4'):
        return large(name, mib, *words)
    raise ValueError(workload)


def end():
    """Nothing is left of any workload."""
    programs.stop_clients()
    programs.stop_services('cmp-*.service')
    pathlib.Path('/dev/shm/compare').unlink(missing_ok=True)
    for node in numa.online_nodes():
        pool = numa.NODES / f'node{node}/hugepages/hugepages-2048kB/nr_hugepages'
        if pool.exists():
            pool.write_text('0')


def rules(workload, services):
    """The rules of an administrator who knows the services, and not the nodes."""
    rule = {'name': 'compared', 'match': {'unit': 'cmp-*.service'}, 'place': 'compact', 'min-size': '16M'}
    if workload in ('g', 'h2'):             # whose processes share memory: by fork, or for a cache
        rule['shared-pages'] = 'move'
    if workload == 'f':
        first, second = (service.unit for service in services)
        return [{**rule, 'name': 'first', 'match': {'unit': first}, 'shared-pages': 'move'},
                {**rule, 'name': 'second', 'match': {'unit': second}, 'shared-pages': 'move', 'together-with': 'first'}]
    return [rule]
