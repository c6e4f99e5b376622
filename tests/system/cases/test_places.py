# SPDX-License-Identifier: GPL-2.0-or-later
"""place: spread and interleave on real pages, and the two modifiers that let more of them move."""

import subprocess
import sys

import pytest

import daemon
import machine
import numa
from daemon import at_home, next_cycles, settled, start_service, wait_for

MIB = 1 << 20
MIN_GAIN, NOISE = 0.05, 0.01      # the default; and what is not the workload's memory, but its program's and its stacks'
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


def few(pages, service):
    """So many can have been busy just then."""
    return pages <= service.region()[1] // 4096 // 100


def wait_and_see_nothing_move(service):
    """A daemon that knows nothing of what was done goes over it again, and finds nothing to do, but for pages that were busy before."""
    before = service.frames()
    daemon.stop()
    daemon.RECORD.unlink(missing_ok=True)
    daemon.start()
    wait_for('a second look', settled(service.unit))
    next_cycles(2)
    assert few(sum(now != then for now, then in zip(service.frames(), before)), service)


def excess(by_node, wanted):
    """The share of memory that is on nodes which have more than is wanted there (shares by node): what spread promises is less than min-gain."""
    total = sum(by_node.values())
    return sum(max(count / total - wanted.get(node, 0), 0) for node, count in by_node.items())


def test_spread_divides_memory_by_cores():
    # Small pages, so that they can be divided evenly.
    service = start_service('spread', size=40, node=2, threads=4, duty='5:95', no_thp=True)
    journal = daemon.Journal()
    place(service, place='spread')
    daemon.start()
    entry = wait_for('spread', settled(service.unit, [0, 1, 2, 3]))
    by_node = service.region_bytes()
    assert excess(by_node, dict.fromkeys(range(4), 0.25)) <= MIN_GAIN + NOISE, by_node
    assert 'spread over nodes 0-3' in entry['reason'], entry
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    assert {move['TO_NODES'] for move in moves} == {'0-3'}
    # What had to move, and no more.
    assert abs(sum(int(move['BYTES']) for move in moves) - 30 * MIB) <= (MIN_GAIN + NOISE) * 40 * MIB
    assert daemon.cpusets(service.cgroup)[2] in (None, '0-7')
    wait_and_see_nothing_move(service)


def test_spread_over_two_nodes():
    # In huge pages, of which one or two can be busy.
    service = start_service('spread2', size=64, node=0, threads=4, duty='5:95', thp=True)
    place(service, place='spread', **{'allowed-nodes': '2-3'})
    daemon.start()
    wait_for('spread', lambda: daemon.state(service.unit) in ('stable', 'blocked') and daemon.service(service.unit)['home_nodes'] == [2, 3] and
             excess(service.region_bytes(), {2: 0.5, 3: 0.5}) <= MIN_GAIN + NOISE + 4 / 64)
    wait_for('its CPUs', lambda: daemon.cpusets(service.cgroup)[2] == '4-7')


def assert_interleaved(service, pattern):
    """Page by page by its number."""
    start, size = service.region()
    nodes = numa.page_nodes(service.pid, start, size)
    wrong = [i for i, node in enumerate(nodes) if node != pattern[(start // 4096 + i) % len(pattern)]]
    assert few(len(wrong), service), (len(wrong), len(nodes), wrong[:10])


def test_interleave_page_by_page():
    service = start_service('inter', size=24, slices='0,1,2,3', threads=2, duty='5:95', no_thp=True)
    cpusets = daemon.cpusets(service.cgroup)
    journal = daemon.Journal()
    place(service, place='interleave')
    daemon.start()
    entry = wait_for('interleaved', settled(service.unit, [0, 1, 2, 3]))
    assert entry['place'] == 'interleave'
    assert_interleaved(service, [0, 1, 2, 3])
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    assert 0.73 * 24 * MIB / 4096 <= sum(int(move['PAGES']) for move in moves) <= 0.8 * 24 * MIB / 4096
    assert daemon.cpusets(service.cgroup) == cpusets
    wait_and_see_nothing_move(service)


def test_interleave_by_given_weights():
    service = start_service('weighted', size=20, node=2, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights={'0-1': 2, '3': 1})
    daemon.start()
    wait_for('interleaved', settled(service.unit, [0, 1, 3]))
    assert excess(service.region_bytes(), {0: 0.4, 1: 0.4, 3: 0.2}) <= 0.01, service.region_bytes()
    # The same nodes, by other weights.
    place(service, place='interleave', weights={'0-1': 1, '3': 2})
    daemon.ctl('reload')
    wait_for('interleaved anew', lambda: excess(service.region_bytes(), {0: 0.25, 1: 0.25, 3: 0.5}) <= 0.01)


@pytest.mark.machine('4x2', 'devices')
def test_interleave_by_bandwidth_where_none_is_known():
    service = start_service('bandwidth', size=20, node=1, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights='bandwidth')
    daemon.start()
    wait_for('interleaved', settled(service.unit, [0, 1, 2, 3]))
    assert_interleaved(service, [0, 1, 2, 3])
    assert 'bandwidth of its nodes is not known' in daemon.ctl('explain', service.unit).stdout


@pytest.mark.machine('hmat')
def test_interleave_by_bandwidth():
    asked = machine.asked()
    weights = {i: node.bandwidth[i] for i, node in enumerate(asked.nodes) if node.bandwidth and node.bandwidth[i]}
    service = start_service('bandwidth', size=24, node=1, threads=2, duty='5:95', no_thp=True)
    place(service, place='interleave', weights='bandwidth')
    daemon.start()
    entry = wait_for('interleaved', settled(service.unit))
    by_node = shares(service.region_bytes())
    for a in weights:
        for b in weights:
            assert by_node[a] / by_node[b] == pytest.approx(weights[a] / weights[b], rel=0.2), (entry, by_node, weights)


@pytest.mark.usefixtures('unfragmented')
def test_interleaved_huge_pages_stay_huge():
    service = start_service('hugeinter', size=64, node=2, threads=1, duty='5:95', thp=True)
    huge_before = numa.huge_bytes(service.pid)[0]
    assert huge_before >= 48 * MIB, 'the workload has no huge pages: nothing to test'
    place(service, place='interleave')
    daemon.start()
    # One or two may have been busy.
    wait_for('interleaved', lambda: daemon.state(service.unit) in ('stable', 'blocked') and
             excess(service.region_bytes(), dict.fromkeys(range(4), 0.25)) <= 4 / 64 + NOISE)
    assert numa.huge_bytes(service.pid)[0] == huge_before


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
    service = start_service('sharing', size=24, node=2, threads=1, duty='5:95', shm='/dev/shm/own')
    with Mapper('/dev/shm/own', service.cgroup), Mapper('/dev/shm/own', service.cgroup):
        before = service.frames()
        journal = daemon.Journal()
        place(service, place='nodes', nodes='1')
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(service.unit))
        wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
        assert service.frames() == before       # skip is the default
        daemon.stop()
        place(service, place='nodes', nodes='1', **{'shared-pages': 'move'})
        daemon.start()
        wait_for('at home', at_home(service, [1]))
        moves = journal.of_unit(service.unit, IDS['MOVED'])
        assert int(moves[-1]['PAGES']) <= 1.2 * 24 * MIB / 4096 + 4096      # once, not once for each process


def test_shared_pages_of_others_stay_though_told():
    service = start_service('sharing2', size=24, node=2, threads=1, duty='5:95', shm='/dev/shm/others')
    with Mapper('/dev/shm/others', service.cgroup), Mapper('/dev/shm/others'):
        before = service.frames()
        journal = daemon.Journal()
        place(service, place='nodes', nodes='1', **{'shared-pages': 'move'})
        daemon.start()
        wait_for('said something', lambda: journal.of_unit(service.unit))
        wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
        assert service.frames() == before


def test_app_policy_override_moves_what_is_bound():
    service = start_service('bound', size=24, node=2, threads=1, duty='5:95', keep_policy=True, no_thp=True)
    place(service, place='nodes', nodes='1', memory='strict', **{'app-policy': 'override'})
    daemon.start()
    home = at_home(service, [1])
    wait_for('narrowed at home', lambda: home() and daemon.cpusets(service.cgroup)[3] == '1')


def test_app_policy_override_places_a_self_managed_service():
    service = start_service('selfish', size=24, node=2, threads=1, duty='5:95', task_policy='bind:2', no_thp=True)
    place(service, place='nodes', nodes='1', **{'app-policy': 'override'})
    daemon.start()
    home = at_home(service, [1])
    wait_for('at home', lambda: home() and daemon.cpusets(service.cgroup)[2] == '2-3')
