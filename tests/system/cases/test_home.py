# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: misplaced services come home, and nobody else is touched."""

import pytest

import daemon
from daemon import at_home, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]


def test_misplaced_service_comes_home_and_its_neighbour_is_spared():
    # Memory on node 2, and a rule that wants node 1; the neighbour lies the same way and no rule matches it.
    moved = start_service('moved', size=24, node=2, threads=1, duty='5:95', no_thp=True)
    spared = start_service('spared', size=16, node=2, threads=1, duty='5:100')
    before = spared.frames()
    journal = daemon.Journal()
    daemon.configure([{'name': 'one', 'match': {'unit': moved.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '16M'}])
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
    assert int(moves[0]['PAGES']) >= 0.97 * 24 * MIB / 4096
    assert sum(int(move['PAGES']) for move in moves) <= 1.1 * 24 * MIB / 4096
    # The thread was free to run beside its memory on node 2 before, so what locality was then says nothing (test_follow checks that).
    assert float(moves[-1]['LOCALITY_AFTER']) >= 0.98
    assert journal.of_unit(spared.unit) == []


def test_four_services_find_four_nodes():
    # Each piled on node 0, two free threads each that work a part of the time. We ask seldom: what we use ourselves crowds node 0.
    services = [start_service(f'four{i}', size=12, node=0, threads=2, duty='15:35', no_thp=True) for i in range(4)]
    daemon.configure([{'name': 'four', 'match': {'unit': 'four*.service'}, 'place': 'compact', 'max-nodes': 1, 'min-size': '8M'}])
    daemon.start()

    def apart():
        entries = [at_home(service)() for service in services]
        return (None not in entries and sorted(entry['home_nodes'] for entry in entries) == [[0], [1], [2], [3]] and
                min(entry['locality'] for entry in entries) >= 0.95)
    wait_for('a node each', apart, every=2)
