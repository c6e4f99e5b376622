# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds of memory and of ownership: what moves, what stays, and what is said."""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

import daemon
import lib
import numa
from daemon import at_home, next_cycles, settled, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon', 'unfragmented'), pytest.mark.machine('4x2', 'devices')]

HERE = {'node': 2, 'threads': 1, 'duty': '5:95'}
NODE_1 = {'place': 'nodes', 'nodes': '1'}
# name: (options of the workload, its rule)
SERVICES = {
    'follows': ({**HERE, 'size': 8, 'node': 3, 'affinity': '0-1', 'no_thp': True}, {'place': 'follow'}),
    'strict': ({**HERE, 'size': 8, 'no_thp': True}, {**NODE_1, 'memory': 'strict'}),
    'huge': ({**HERE, 'size': 64, 'thp': True}, NODE_1),
    'hugetlb': ({**HERE, 'size': 32, 'hugetlb': True}, NODE_1),
    'pinned': ({**HERE, 'size': 16, 'pin': 128, 'no_thp': True}, NODE_1),
    # Not node 3, which is nearly as near to the memory that it bound, and might be the quieter one for a moment.
    'bound': ({**HERE, 'size': 8, 'keep_policy': True}, {'place': 'compact', 'memory': 'strict', 'avoid-nodes': '3'}),
    'overridden': ({**HERE, 'size': 8, 'keep_policy': True, 'no_thp': True}, {**NODE_1, 'memory': 'strict', 'app-policy': 'override'}),
    'selfish': ({**HERE, 'size': 8, 'task_policy': 'bind:2'}, NODE_1),
    'governed': ({**HERE, 'size': 8, 'task_policy': 'bind:2', 'no_thp': True}, {**NODE_1, 'app-policy': 'override'}),
    'lends': ({**HERE, 'size': 8, 'shm': '/dev/shm/lent'}, {**NODE_1, 'shared-pages': 'move'}),
}


def rule_for(name, rule):
    return {'name': name, 'match': {'unit': f'{name}.service'}, 'min-size': '4M', 'cooldown': '1s', **rule}


HUGETLB_POOLS = [numa.NODES / f'node{node}/hugepages/hugepages-2048kB/nr_hugepages' for node in (1, 2)]

# Maps a file wholly, and waits.
MAPPER = '''
import mmap, os, sys, time
memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
for at in range(0, len(memory), 4096):
    memory[at]
print('mapped', flush=True)
time.sleep(36000)
'''


class Mapper:
    """A process that maps the file too, in the service's cgroup or in this one."""

    def __init__(self, path, cgroup=None):
        self.process = subprocess.Popen([sys.executable, '-c', MAPPER, path], stdout=subprocess.PIPE, text=True)
        if cgroup:
            os.sched_setaffinity(self.process.pid, range(os.cpu_count()))       # not bound to node 0, as what the cases use is
            (cgroup / 'cgroup.procs').write_text(str(self.process.pid))
        assert self.process.stdout.readline() == 'mapped\n'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def remove(path):
    """A file in memory that is left behind has its pages where another case does not expect them."""
    pathlib.Path(path).unlink(missing_ok=True)


@pytest.fixture
def journal(fresh_daemon):
    return daemon.Journal()


@pytest.fixture
def hugetlb_pools():
    """20 pages of 2 MiB on each of nodes 1 and 2."""
    for file in HUGETLB_POOLS:
        file.write_text('20')
    yield
    lib.stop_all()
    for file in HUGETLB_POOLS:
        file.write_text('0')


@pytest.fixture
def service(request, journal):
    """The one of SERVICES that the case is about, with its frames as .before, and a daemon with its rule, just started."""
    options, rule = SERVICES[request.param]
    if options.get('hugetlb'):
        request.getfixturevalue('hugetlb_pools')
        assert [file.read_text().strip() for file in HUGETLB_POOLS] == ['20', '20'], 'the kernel could not reserve the pages: nothing to test'
    service = start_service(request.param, **options)
    with contextlib.ExitStack() as stack:
        if options.get('shm'):
            stack.callback(remove, options['shm'])
            stack.callback(lib.stop_all)
            stack.enter_context(Mapper(options['shm']))
        service.before, service.huge_before = service.frames(), numa.huge_bytes(service.pid)[0]
        daemon.configure([rule_for(request.param, rule)], max_interval='1s')
        daemon.start()
        yield service


def of(name):
    return pytest.mark.parametrize('service', [name], indirect=True)


@of('follows')
def test_follow_moves_memory_to_the_threads_and_leaves_cpus(service, journal):
    wait_for('at home', at_home(service, [0], restricted=False))
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    # Its thread is bound to node 0 and all its memory on node 3 at first.
    assert float(moves[0]['LOCALITY_BEFORE']) <= 0.1 and float(moves[-1]['LOCALITY_AFTER']) >= 0.95, moves
    assert daemon.cpusets(service.cgroup)[2] in (None, '0-7')


@of('strict')
def test_strict_narrows_memory_nodes_last(service):
    home = at_home(service, [1])
    wait_for('narrowed at home', lambda: home() and daemon.cpusets(service.cgroup)[2:] == ('2-3', '1'))


@of('huge')
def test_huge_pages_stay_huge(service):
    assert service.huge_before >= 48 * MIB, 'the workload has no huge pages: nothing to test'
    # One or two that are busy are more than a twentieth of it; that is said, and tried again much later.
    wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked') and service.region_share(1) >= 0.9)
    assert numa.huge_bytes(service.pid)[0] == service.huge_before


@of('hugetlb')
def test_hugetlb_pages_move(service):
    wait_for('at home', lambda: settled(service.unit, [1])() and service.region_bytes() == {1: 32 * MIB})


@of('lends')
def test_pages_shared_with_others_stay_though_told(service, journal):
    wait_for('said something', lambda: journal.of_unit(service.unit))
    wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
    assert service.frames() == service.before


def test_shared_mapping_of_two_services(journal):
    # Both map the same 8 MB: pages that others map too stay where they are, and the other is not touched.
    with contextlib.ExitStack() as stack:
        stack.callback(remove, '/dev/shm/both')
        stack.callback(lib.stop_all)
        first, second = [start_service(name, **HERE, size=8, shm='/dev/shm/both') for name in ('shares1', 'shares2')]
        before = [first.frames(), second.frames()]
        daemon.configure([rule_for('shares1', NODE_1)], max_interval='1s')
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(first.unit))
        wait_for('an end', lambda: daemon.state(first.unit) in ('stable', 'blocked'))
        assert [first.frames(), second.frames()] == before
        assert daemon.cpusets(second.cgroup)[0] in ('', None)
        explained = daemon.ctl('explain', first.unit).stdout
        assert 'shared' in explained or 'cannot be moved' in explained, explained


@of('bound')
def test_memory_bound_by_the_process_itself_is_respected(service):
    # mbind by the process: the mapping stays, it draws the home to itself, and strict does not narrow.
    wait_for('its CPUs come to the memory', lambda: settled(service.unit, [2])() and daemon.cpusets(service.cgroup)[2] == '4-5')
    assert service.frames() == service.before
    assert daemon.cpusets(service.cgroup)[1] in ('', None)


@of('overridden')
def test_app_policy_override_moves_what_is_bound(service):
    home = at_home(service, [1])
    wait_for('narrowed at home', lambda: home() and daemon.cpusets(service.cgroup)[3] == '1')


@of('pinned')
def test_pinned_pages_are_told_and_not_tried_for_ever(service, journal):
    move = wait_for('a move', lambda: journal.of_unit(service.unit, IDS['MOVED']) + journal.of_unit(service.unit, IDS['MOVE_FAILED']))[0]
    # A few others may have been busy just then.
    pinned, by_node = 128 * 4096, service.region_bytes()
    assert pinned <= by_node[2] <= pinned + MIB // 4 and by_node[1] + by_node[2] == 16 * MIB, by_node
    assert int(move['FAILED_BUSY']) + int(move['FAILED_OTHER']) >= 128
    next_cycles(5)
    assert len(journal.of_unit(service.unit)) <= 3


@of('selfish')
def test_service_under_its_own_task_policy_is_left_alone(service):
    wait_for('seen as self-managed', lambda: 'self-managed' in (daemon.service(service.unit) or {}).get('reason', ''))
    assert service.frames() == service.before
    assert daemon.cpusets(service.cgroup)[0] in ('', None)
    assert 'bind:2' in daemon.service(service.unit)['reason']


@of('governed')
def test_app_policy_override_places_a_self_managed_service(service):
    wait_for('at home', at_home(service, [1]))


def test_shared_pages_of_one_service_move_when_told(journal):
    with contextlib.ExitStack() as stack:
        stack.callback(remove, '/dev/shm/own')
        stack.callback(lib.stop_all)
        service = start_service('sharing', **HERE, size=8, shm='/dev/shm/own')
        for _ in range(2):
            stack.enter_context(Mapper('/dev/shm/own', service.cgroup))
        before = service.frames()
        daemon.configure([rule_for('sharing', NODE_1)], max_interval='1s')
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(service.unit))
        wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
        assert service.frames() == before       # skip is the default
        daemon.stop()                           # or it would wait before it tries again
        daemon.configure([rule_for('sharing', {**NODE_1, 'shared-pages': 'move'})], max_interval='1s')
        daemon.start()
        wait_for('at home', at_home(service, [1]))
        moves = journal.of_unit(service.unit, IDS['MOVED'])
        assert int(moves[-1]['PAGES']) <= 1.2 * 8 * MIB / 4096 + 4096      # once, not once for each process


def test_services_kept_together_move_what_they_share(journal):
    # The second is charged with next to nothing, as the first has touched the file before it.
    with contextlib.ExitStack() as stack:
        stack.callback(remove, '/dev/shm/both')
        stack.callback(lib.stop_all)
        first, second = [start_service(name, **HERE, size=16, shm='/dev/shm/both') for name in ('first', 'second')]
        before = first.frames()
        told = {'min-size': '8M', 'shared-pages': 'move'}
        daemon.configure([rule_for('first', {**NODE_1, **told}),
                          rule_for('second', {'place': 'compact', 'together-with': 'first', **told})], max_interval='1s')
        with Mapper('/dev/shm/both'):           # nobody asked this one
            daemon.start()
            for service in (first, second):
                wait_for('said something', lambda: journal.of_unit(service.unit))
                wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
            assert first.frames() == before
            daemon.stop()                       # or it would wait before it tries again
        daemon.start()
        wait_for('the first at home', at_home(first, [1]))
        entry = wait_for('the second at home', at_home(second, [1]))
        assert entry['bytes_by_node'][1] >= 0.9 * 16 * MIB
        assert sum(int(move['PAGES']) for service in (first, second) for move in journal.of_unit(service.unit, IDS['MOVED'])) \
            <= 1.2 * 16 * MIB / 4096 + 4096     # once, not once for each service
