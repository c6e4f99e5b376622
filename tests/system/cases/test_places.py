# SPDX-License-Identifier: GPL-2.0-or-later
"""place: spread, interleave and near on real pages, and the two modifiers that let more of them move."""

import subprocess
import sys

import pytest

import daemon
import machine
import numa
from daemon import settled, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]

# Maps a file wholly, and waits.
MAPPER = '''
import mmap, os, sys, time
memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
for at in range(0, len(memory), 4096):
    memory[at]
print('mapped', flush=True)
time.sleep(3600)
'''


def shares(by_node):
    total = sum(by_node.values())
    return {node: round(count / total, 3) for node, count in by_node.items()}


def place(service, **rule):
    daemon.configure([{'name': 'p', 'match': {'unit': service.unit}, 'min-size': '16M', 'cooldown': '5s', **rule}])


def wait_and_see_nothing_move(service):
    """A daemon that knows nothing of what was done goes over it again, and finds nothing to do."""
    journal, before = daemon.Journal(), service.frames()
    daemon.stop()
    daemon.RECORD.unlink(missing_ok=True)
    daemon.start()
    wait_for('a second look', settled(service.unit), 300)
    cycles = daemon.status()['cycles']
    wait_for('more cycles', lambda: daemon.status()['cycles'] >= cycles + 2, 300)
    assert service.frames() == before
    return journal


def test_spread_divides_memory_by_cores():
    service = start_service('spread', size=80, node=2, threads=4, duty='5:95')
    journal = daemon.Journal()
    place(service, place='spread')
    daemon.start()
    entry = wait_for('spread', settled(service.unit, [0, 1, 2, 3]), 400)
    for node, share in shares(service.region_bytes()).items():
        assert 0.22 <= share <= 0.28, (node, service.region_bytes())
    assert 'spread over nodes 0-3' in entry['reason'] or 'just ended' in entry['reason'], entry
    move = journal.of_unit(service.unit, IDS['MOVED'])[0]
    assert move['TO_NODES'] == '0-3'
    assert abs(int(move['BYTES']) - 60 * MIB) <= 6 * MIB        # what had to move, and no more
    assert daemon.cpusets(service.cgroup)[2] in (None, '0-7')
    wait_and_see_nothing_move(service)


def test_spread_over_two_nodes():
    service = start_service('spread2', size=60, node=0, threads=4, duty='5:95', thp=True)
    place(service, place='spread', **{'allowed-nodes': '2-3'})
    daemon.start()
    wait_for('spread', settled(service.unit, [2, 3]), 400)
    by_node = service.region_bytes()
    assert set(by_node) == {2, 3} and abs(by_node[2] - by_node[3]) <= 6 * MIB, by_node
    assert daemon.cpusets(service.cgroup)[2] == '4-7'


def assert_interleaved(service, pattern):
    """Page by page by its number."""
    start, size = service.region()
    nodes = numa.page_nodes(service.pid, start, size)
    wrong = [i for i, node in enumerate(nodes) if node != pattern[(start // 4096 + i) % len(pattern)]]
    assert not wrong, (len(wrong), len(nodes), wrong[:10])


def test_interleave_page_by_page():
    service = start_service('inter', size=40, slices='0,1,2,3', threads=2, duty='5:95', no_thp=True)
    cpusets = daemon.cpusets(service.cgroup)
    journal = daemon.Journal()
    place(service, place='interleave')
    daemon.start()
    entry = wait_for('interleaved', settled(service.unit, [0, 1, 2, 3]), 400)
    assert entry['place'] == 'interleave'
    assert_interleaved(service, [0, 1, 2, 3])
    move = journal.of_unit(service.unit, IDS['MOVED'])[0]
    assert int(move['PAGES']) >= 0.74 * 40 * MIB / 4096
    assert daemon.cpusets(service.cgroup) == cpusets
    again = wait_and_see_nothing_move(service).of_unit(service.unit, IDS['MOVED'])
    assert all(int(move['PAGES']) <= 64 for move in again), again


def test_interleave_by_given_weights():
    service = start_service('weighted', size=40, node=2, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights={'0-1': 2, '3': 1})
    daemon.start()
    wait_for('interleaved', settled(service.unit, [0, 1, 3]), 400)
    assert shares(service.region_bytes()) == pytest.approx({0: 0.4, 1: 0.4, 3: 0.2}, abs=0.001)
    # The same nodes, by other weights.
    place(service, place='interleave', weights={'0-1': 1, '3': 2})
    daemon.ctl('reload')
    wait_for('interleaved anew', lambda: shares(service.region_bytes()) == pytest.approx({0: 0.25, 1: 0.25, 3: 0.5}, abs=0.001), 400)


@pytest.mark.machine('4x2', 'devices')
def test_interleave_by_bandwidth_where_none_is_known():
    service = start_service('bandwidth', size=40, node=1, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights='bandwidth')
    daemon.start()
    wait_for('interleaved', settled(service.unit, [0, 1, 2, 3]), 400)
    assert_interleaved(service, [0, 1, 2, 3])
    assert 'bandwidth of its nodes is not known' in daemon.ctl('explain', service.unit).stdout


@pytest.mark.machine('hmat')
def test_interleave_by_bandwidth():
    asked = machine.asked()
    weights = {i: node.bandwidth[i] for i, node in enumerate(asked.nodes) if node.bandwidth and node.bandwidth[i]}
    service = start_service('bandwidth', size=60, node=1, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights='bandwidth')
    daemon.start()
    entry = wait_for('interleaved', settled(service.unit), 400)
    by_node = shares(service.region_bytes())
    for a in weights:
        for b in weights:
            assert by_node[a] / by_node[b] == pytest.approx(weights[a] / weights[b], rel=0.15), (entry, by_node, weights)


def test_interleaved_huge_pages_stay_huge():
    service = start_service('hugeinter', size=64, node=2, threads=1, duty='5:95', thp=True)
    huge_before = numa.huge_bytes(service.pid)[0]
    assert huge_before >= 48 * MIB, 'the workload has no huge pages: nothing to test'
    place(service, place='interleave')
    daemon.start()
    wait_for('interleaved', settled(service.unit, [0, 1, 2, 3]), 400)
    assert numa.huge_bytes(service.pid)[0] == huge_before
    by_node = service.region_bytes()
    assert max(by_node.values()) - min(by_node.values()) <= 4 * MIB, by_node
    wait_and_see_nothing_move(service)


@pytest.mark.machine('devices')
@pytest.mark.parametrize('device', ['card', 'disk'])
def test_near_a_device(device):
    name, _, node = machine.device(device)
    service = start_service('near', size=60, node=0, threads=1, duty='5:95')
    place(service, place='near', device=name)
    daemon.start()
    entry = wait_for('near it', settled(service.unit, [node]), 400)
    assert entry['locality'] >= 0.95, entry
    by_node = service.region_bytes()
    assert by_node.get(node, 0) >= 0.98 * sum(by_node.values()), by_node
    assert f'closest to {name}' in daemon.ctl('explain', service.unit).stdout


def test_near_a_device_that_is_not_there():
    service = start_service('lost', size=40, node=2, threads=1, duty='5:95')
    before = service.frames()
    place(service, place='near', device='net/nowhere0')
    daemon.start()
    wait_for('blocked', lambda: daemon.state(service.unit) == 'blocked', 60)
    assert 'no device net/nowhere0' in daemon.service(service.unit)['reason']
    assert service.frames() == before


class Mapper:
    """A process that maps the file too, in the service's cgroup or in this one."""

    def __init__(self, path, cgroup=None):
        self.process = subprocess.Popen([sys.executable, '-c', MAPPER, path], stdout=subprocess.PIPE, text=True)
        if cgroup:
            (cgroup / 'cgroup.procs').write_text(str(self.process.pid))
        assert self.process.stdout.readline() == 'mapped\n'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_shared_pages_of_one_service_move_when_told():
    service = start_service('sharing', size=40, node=2, threads=1, duty='5:95', shm='/dev/shm/own')
    with Mapper('/dev/shm/own', service.cgroup), Mapper('/dev/shm/own', service.cgroup):
        before = service.frames()
        journal = daemon.Journal()
        place(service, place='nodes', nodes='1')
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(service.unit), 400)
        wait_for('an end', lambda: daemon.state(service.unit) not in ('moving', 'pending'), 400)
        assert service.frames() == before       # skip is the default
        daemon.stop()
        place(service, place='nodes', nodes='1', **{'shared-pages': 'move'})
        daemon.start()
        wait_for('at home', settled(service.unit, [1]), 400)
        by_node = service.region_bytes()
        assert by_node.get(1, 0) >= 0.99 * sum(by_node.values()), by_node
        moves = journal.of_unit(service.unit, IDS['MOVED'])
        assert int(moves[-1]['PAGES']) <= 1.2 * 40 * MIB / 4096 + 4096      # once, not once for each process


def test_shared_pages_of_others_stay_though_told():
    service = start_service('sharing2', size=40, node=2, threads=1, duty='5:95', shm='/dev/shm/others')
    with Mapper('/dev/shm/others', service.cgroup), Mapper('/dev/shm/others'):
        before = service.frames()
        journal = daemon.Journal()
        place(service, place='nodes', nodes='1', **{'shared-pages': 'move'})
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(service.unit), 400)
        wait_for('an end', lambda: daemon.state(service.unit) not in ('moving', 'pending'), 400)
        assert service.frames() == before


def test_app_policy_override_moves_what_is_bound():
    service = start_service('bound', size=60, node=2, threads=1, duty='5:95', keep_policy=True)
    place(service, place='nodes', nodes='1', memory='strict', **{'app-policy': 'override'})
    daemon.start()
    wait_for('at home', settled(service.unit, [1]), 400)
    by_node = service.region_bytes()
    assert by_node.get(1, 0) >= 0.99 * sum(by_node.values()), by_node
    assert daemon.cpusets(service.cgroup)[3] == '1'


def test_app_policy_override_places_a_self_managed_service():
    service = start_service('selfish', size=60, node=2, threads=1, duty='5:95', task_policy='bind:2')
    place(service, place='nodes', nodes='1', **{'app-policy': 'override'})
    daemon.start()
    wait_for('at home', settled(service.unit, [1]), 400)
    by_node = service.region_bytes()
    assert by_node.get(1, 0) >= 0.99 * sum(by_node.values()), by_node
    assert daemon.cpusets(service.cgroup)[2] == '2-3'
