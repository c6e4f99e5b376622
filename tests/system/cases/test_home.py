# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: misplaced services come home, and nobody else is touched."""

import pathlib

import pytest

import daemon
import lib
import numa
from daemon import at_home, next_cycles, settled, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]


def test_misplaced_service_comes_home_and_its_neighbour_is_spared():
    # Memory on node 2, and a rule that wants node 1; the neighbour lies the same way and no rule matches it.
    moved = start_service('moved', size=66, node=2, threads=1, duty='5:95', no_thp=True)
    spared = start_service('spared', size=16, node=2, threads=1, duty='5:100')
    before = spared.frames()
    journal = daemon.Journal()
    daemon.configure([{'name': 'one', 'match': {'unit': moved.unit}, 'place': 'nodes', 'nodes': '1'}])
    daemon.run('systemctl', 'enable', '--now', daemon.UNIT)

    # All of it but for pages that were busy just then.
    home = at_home(moved, [1], 0.98)
    wait_for('stable at home', lambda: (entry := home()) and entry['locality'] >= 0.98)
    assert daemon.cpusets(moved.cgroup)[2] == '2-3'        # node 1's CPUs, in the kernel's words
    assert daemon.cpusets(moved.cgroup)[3] == '0-3'        # memory: prefer leaves the memory nodes alone

    assert spared.frames() == before
    assert daemon.cpusets(spared.cgroup)[0] in ('', None)
    assert daemon.service(spared.unit)['state'] == 'observed'
    assert daemon.service(spared.unit)['rule'] is None

    decisions = journal.of_unit(moved.unit, IDS['DECISION'])
    moves = journal.of_unit(moved.unit, IDS['MOVED'])
    assert len(decisions) == 1
    assert {move['TO_NODES'] for move in moves} == {'1'}
    # In one go, and nothing twice.
    assert int(moves[0]['PAGES']) >= 0.97 * 66 * MIB / 4096
    assert sum(int(move['PAGES']) for move in moves) <= 1.1 * 66 * MIB / 4096
    # The thread was free to run beside its memory on node 2 before, so what locality was then says nothing (test_follow checks that).
    assert float(moves[-1]['LOCALITY_AFTER']) >= 0.98
    assert journal.of_unit(spared.unit) == []


def test_four_services_find_four_nodes():
    # Each piled on node 0, two free threads each that work a part of the time. We ask seldom: what we use ourselves crowds node 0.
    services = [start_service(f'four{i}', size=32, node=0, threads=2, duty='20:30', no_thp=True) for i in range(4)]
    daemon.configure([{'name': 'four', 'match': {'unit': 'four*.service'}, 'place': 'compact', 'max-nodes': 1, 'min-size': '16M'}])
    daemon.start()

    def apart():
        entries = [at_home(service)() for service in services]
        return (None not in entries and sorted(entry['home_nodes'] for entry in entries) == [[0], [1], [2], [3]] and
                min(entry['locality'] for entry in entries) >= 0.95)
    wait_for('a node each', apart, every=2)


def test_follow_moves_memory_to_the_threads_and_leaves_cpus():
    service = start_service('follows', size=24, node=3, threads=1, duty='5:95', affinity='0-1', no_thp=True)
    daemon.configure([{'name': 'f', 'match': {'unit': service.unit}, 'place': 'follow', 'min-size': '16M'}])
    journal = daemon.Journal()
    daemon.start()
    wait_for('at home', at_home(service, [0], restricted=False))
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    # Its thread is bound to node 0 and all its memory on node 3 at first.
    assert float(moves[0]['LOCALITY_BEFORE']) <= 0.1 and float(moves[-1]['LOCALITY_AFTER']) >= 0.95, moves
    assert daemon.cpusets(service.cgroup)[2] in (None, '0-7')


def test_strict_narrows_memory_nodes_last():
    service = start_service('strict', size=24, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([{'name': 's', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'memory': 'strict', 'min-size': '16M'}])
    daemon.start()
    home = at_home(service, [1])
    wait_for('narrowed at home', lambda: home() and daemon.cpusets(service.cgroup)[2:] == ('2-3', '1'))


@pytest.mark.usefixtures('unfragmented')
def test_huge_pages_stay_huge():
    service = start_service('huge', size=64, node=2, threads=1, duty='5:95', thp=True)
    huge_before = numa.huge_bytes(service.pid)[0]
    assert huge_before >= 48 * MIB, 'the workload has no huge pages: nothing to test'
    daemon.configure([{'name': 'h', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M'}])
    daemon.start()
    # One or two that are busy are more than a twentieth of it; that is said, and tried again much later.
    wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked') and service.region_share(1) >= 0.9)
    assert numa.huge_bytes(service.pid)[0] == huge_before


@pytest.fixture
def hugetlb_pool(unfragmented):
    """20 pages of 2 MiB on each of nodes 1 and 2."""
    files = [numa.NODES / f'node{node}/hugepages/hugepages-2048kB/nr_hugepages' for node in (1, 2)]
    for file in files:
        file.write_text('20')
    yield [int(file.read_text()) for file in files]
    lib.stop_all()
    for file in files:
        file.write_text('0')


def test_hugetlb_pages_move(hugetlb_pool):
    assert hugetlb_pool == [20, 20], 'the kernel could not reserve the pages: nothing to test'
    service = start_service('hugetlb', size=32, node=2, threads=1, duty='5:95', hugetlb=True)
    daemon.configure([{'name': 'h', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M'}])
    daemon.start()
    wait_for('at home', lambda: settled(service.unit, [1])() and service.region_bytes() == {1: 32 * MIB})


@pytest.fixture
def shared_file():
    """A file that two services map. Left behind, its pages would be another case's."""
    path = pathlib.Path('/dev/shm/both')
    path.unlink(missing_ok=True)
    yield path
    lib.stop_all()
    path.unlink()


def test_shared_mapping_of_two_services(shared_file):
    # Both map the same 24 MB: pages that others map too stay where they are, and the report says so.
    first, second = [start_service(name, size=24, node=2, threads=1, duty='5:95', shm=str(shared_file)) for name in ('share1', 'share2')]
    before = first.frames()
    journal = daemon.Journal()
    daemon.configure([{'name': 's', 'match': {'unit': first.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M', 'cooldown': '2s'}])
    daemon.start()
    wait_for('said something', lambda: journal.of_unit(first.unit))
    wait_for('an end', lambda: daemon.state(first.unit) in ('stable', 'blocked'))
    assert first.frames() == before
    assert second.frames() == before
    assert daemon.cpusets(second.cgroup)[0] in ('', None)
    explained = daemon.ctl('explain', first.unit).stdout
    assert 'shared' in explained or 'cannot be moved' in explained, explained


def test_memory_bound_by_the_process_itself_is_respected():
    # mbind by the process: the mapping stays, it draws the home to itself, and strict does not narrow.
    # Without node 3, which is nearly as near and might be the quieter one for a moment.
    service = start_service('bound', size=24, node=2, threads=1, duty='5:95', keep_policy=True)
    before = service.frames()
    daemon.configure([{'name': 'b', 'match': {'unit': service.unit}, 'place': 'compact', 'memory': 'strict', 'min-size': '16M', 'avoid-nodes': '3'}])
    daemon.start()
    wait_for('its CPUs come to the memory', lambda: settled(service.unit, [2])() and daemon.cpusets(service.cgroup)[2] == '4-5')
    assert service.frames() == before
    assert daemon.cpusets(service.cgroup)[1] in ('', None)


def test_pinned_pages_are_told_and_not_tried_for_ever():
    service = start_service('pinned', size=24, node=2, threads=1, duty='5:95', pin=256, no_thp=True)
    journal = daemon.Journal()
    daemon.configure([{'name': 'p', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M', 'cooldown': '1s'}], max_interval='1s')
    daemon.start()
    move = wait_for('a move', lambda: journal.of_unit(service.unit, IDS['MOVED']) + journal.of_unit(service.unit, IDS['MOVE_FAILED']))[0]
    # A few others may have been busy just then.
    pinned, by_node = 256 * 4096, service.region_bytes()
    assert pinned <= by_node[2] <= pinned + MIB and by_node[1] + by_node[2] == 24 * MIB, by_node
    assert int(move['FAILED_BUSY']) + int(move['FAILED_OTHER']) >= 256
    next_cycles(5)
    assert len(journal.of_unit(service.unit)) <= 3


def test_service_under_its_own_task_policy_is_left_alone():
    service = start_service('selfish', size=24, node=2, threads=1, duty='5:95', task_policy='bind:2')
    before = service.frames()
    daemon.configure([{'name': 'b', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M'}])
    daemon.start()
    wait_for('seen as self-managed', lambda: 'self-managed' in (daemon.service(service.unit) or {}).get('reason', ''))
    assert service.frames() == before
    assert daemon.cpusets(service.cgroup)[0] in ('', None)
    assert 'bind:2' in daemon.service(service.unit)['reason']
