# SPDX-License-Identifier: GPL-2.0-or-later
"""place: spread and interleave on real pages: services beside each other under one daemon."""

import pytest

import daemon
import machine
import numa
from daemon import next_cycles, settled, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = pytest.mark.machine('4x2', 'devices')

ALL = [0, 1, 2, 3]
DUTY = {'duty': '1:199'}                # all CPUs of the guest are one of the host
SMALL_PAGES = {**DUTY, 'no_thp': True}
# name: (options of the workload, its rule)
SERVICES = {
    # Small pages, so that they can be divided evenly; of huge pages, one or two can be busy.
    'spread': ({**SMALL_PAGES, 'size': 16, 'node': 2, 'threads': 4}, {'place': 'spread'}),
    'spread-two': ({**DUTY, 'size': 64, 'node': 0, 'threads': 4, 'thp': True}, {'place': 'spread', 'allowed-nodes': '2-3'}),
    'pages': ({**SMALL_PAGES, 'size': 8, 'slices': '0,1,2,3', 'threads': 2}, {'place': 'interleave'}),
    'weighted': ({**SMALL_PAGES, 'size': 10, 'node': 2, 'threads': 2}, {'place': 'interleave', 'weights': {'0-1': 2, '3': 1}}),
    'bandwidth': ({**SMALL_PAGES, 'size': 8, 'node': 1, 'threads': 2}, {'place': 'interleave', 'weights': 'bandwidth'}),
    'huge-pages': ({**DUTY, 'size': 64, 'node': 2, 'threads': 1, 'thp': True}, {'place': 'interleave'}),
}


def rules(**changed):
    return [{'name': name, 'match': {'unit': f'{name}.service'}, 'min-size': '4M', 'cooldown': '1s', **rule, **changed.get(name, {})}
            for name, (_, rule) in SERVICES.items()]


@pytest.fixture(scope='module')
def services(unfragmented, side_by_side):
    """name → service, with what its cases compare with."""
    started = {name: start_service(name, **options) for name, (options, _) in SERVICES.items()}
    started['huge-pages'].huge_before = numa.huge_bytes(started['huge-pages'].pid)[0]
    daemon.configure(rules(), max_interval='2s')
    daemon.start()
    return started


@pytest.fixture
def journal(services, side_by_side):
    return side_by_side


def shares(by_node):
    total = sum(by_node.values())
    return {node: count / total for node, count in by_node.items()}


def excess(service, wanted):
    """The share of memory that is on nodes which have more than is wanted there (shares by node): spread promises less than min-gain."""
    return sum(max(share - wanted.get(node, 0), 0) for node, share in shares(service.region_bytes()).items())


def promised(megabytes):
    """How large the excess may be: min-gain's default or a huge page; and what is not the workload's memory, but its program's and its stacks'."""
    return max(0.05, 2 / megabytes) + 1 / megabytes


def few(pages, service):
    """So many can have been busy just then: one in a hundred, or two huge ones."""
    return pages <= (2 * 512 if 'huge' in service.unit else service.region()[1] // 4096 // 100)


def assert_interleaved(service, pattern):
    """Page by page by its number."""
    start, size = service.region()
    nodes = numa.page_nodes(service.pid, start, size)
    wrong = [i for i, node in enumerate(nodes) if node != pattern[(start // 4096 + i) % len(pattern)]]
    assert few(len(wrong), service), (len(wrong), len(nodes), wrong[:10])


def test_spread_divides_memory_by_cores(services, journal):
    service = services['spread']
    entry = wait_for('spread', settled(service.unit, ALL))
    assert excess(service, dict.fromkeys(ALL, 0.25)) <= promised(16), service.region_bytes()
    assert 'spread over nodes 0-3' in entry['reason'], entry
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    assert {move['TO_NODES'] for move in moves} == {'0-3'}
    # What had to move, and no more.
    assert abs(sum(int(move['BYTES']) for move in moves) - 12 * MIB) <= promised(16) * 16 * MIB
    assert daemon.cpusets(service.cgroup)[2] in (None, '0-7')


def test_spread_over_two_nodes(services):
    service = services['spread-two']

    def divided():
        entry = daemon.service(service.unit)
        return (entry['state'] in ('stable', 'blocked') and entry['home_nodes'] == [2, 3] and daemon.cpusets(service.cgroup)[2] == '4-7' and
                excess(service, {2: 0.5, 3: 0.5}) <= promised(64) + 4 / 64)
    wait_for('spread', divided)


def test_interleave_page_by_page(services, journal):
    service = services['pages']
    entry = wait_for('interleaved', settled(service.unit, ALL))
    assert entry['place'] == 'interleave'
    assert_interleaved(service, ALL)
    moves = journal.of_unit(service.unit, IDS['MOVED'])
    assert 0.73 * 8 * MIB / 4096 <= sum(int(move['PAGES']) for move in moves) <= 0.8 * 8 * MIB / 4096
    assert daemon.cpusets(service.cgroup)[:2] in (('', ''), (None, None))


def test_interleave_by_given_weights(services):
    service = services['weighted']
    wait_for('interleaved', settled(service.unit, [0, 1, 3]))
    assert excess(service, {0: 0.4, 1: 0.4, 3: 0.2}) <= 0.01, service.region_bytes()
    # The same nodes, by other weights.
    daemon.configure(rules(weighted={'weights': {'0-1': 1, '3': 2}}), max_interval='2s')
    daemon.ctl('reload')
    wait_for('interleaved anew', lambda: excess(service, {0: 0.25, 1: 0.25, 3: 0.5}) <= 0.01)


def test_interleave_by_bandwidth_where_none_is_known(services):
    service = services['bandwidth']
    wait_for('interleaved', settled(service.unit, ALL))
    assert_interleaved(service, ALL)
    assert 'bandwidth of its nodes is not known' in daemon.ctl('explain', service.unit).stdout


def test_interleaved_huge_pages_stay_huge(services):
    service = services['huge-pages']
    assert service.huge_before >= 48 * MIB, 'the workload has no huge pages: nothing to test'
    wait_for('interleaved', lambda: daemon.state(service.unit) in ('stable', 'blocked') and
             excess(service, dict.fromkeys(ALL, 0.25)) <= 5 / 64)
    assert numa.huge_bytes(service.pid)[0] == service.huge_before


def test_daemon_that_knows_nothing_of_what_was_done_finds_nothing_to_do(services):
    # But for pages that were busy before.
    for service in services.values():
        wait_for('an end', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
    daemon.stop()
    watched = [services[name] for name in ('spread', 'pages', 'weighted', 'huge-pages')]
    before = [service.frames() for service in watched]
    daemon.RECORD.unlink(missing_ok=True)
    daemon.start()
    for service in watched:
        wait_for('a second look', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
    next_cycles(2)
    for service, then in zip(watched, before):
        assert few(sum(a != b for a, b in zip(service.frames(), then)), service), service.describe()


@pytest.mark.machine('hmat')
@pytest.mark.usefixtures('fresh_daemon')
def test_interleave_by_bandwidth():
    asked = machine.asked()
    weights = {i: node.bandwidth[i] for i, node in enumerate(asked.nodes) if node.bandwidth and node.bandwidth[i]}
    options, rule = SERVICES['bandwidth']
    service = start_service('bandwidth', **options)
    daemon.configure([{'name': 'p', 'match': {'unit': service.unit}, 'min-size': '4M', **rule}])
    daemon.start()
    entry = wait_for('interleaved', settled(service.unit))
    by_node = shares(service.region_bytes())
    for a in weights:
        for b in weights:
            assert by_node[a] / by_node[b] == pytest.approx(weights[a] / weights[b], rel=0.2), (entry, by_node, weights)
