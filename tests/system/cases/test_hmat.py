# SPDX-License-Identifier: GPL-2.0-or-later
"""A node with memory only, and firmware that tells latencies and bandwidths."""

import pathlib

import pytest

import daemon
import machine
import numa
from daemon import at_home, start_service, wait_for
from test_constraints import SMALL, home_of, rule

pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('hmat')]
MIB = 1 << 20
EXPANDER = 3                    # the node with memory only, behind node 0
SLOWER = 1                      # the node with CPUs whose memory has the higher latency


def test_topology_tells_latency_and_bandwidth():
    asked = machine.asked().nodes
    nodes = daemon.topology()['nodes']
    assert [node['id'] for node in nodes] == [0, 1, 2, EXPANDER]
    assert nodes[EXPANDER]['n_cpus'] == 0
    # Of a node's memory, as the CPUs read it that are closest; Linux tells of no others.
    assert [node['latency'] for node in nodes] == [asked[0].latency[0], asked[1].latency[1], asked[2].latency[2], asked[0].latency[EXPANDER]]
    assert [node['bandwidth'] for node in nodes] == [value >> 20 for value in (asked[0].bandwidth[0], asked[1].bandwidth[1],
                                                                               asked[2].bandwidth[2], asked[0].bandwidth[EXPANDER])]
    assert nodes[0]['latencies'] == [asked[0].latency[0], None, None, asked[0].latency[EXPANDER]]


def test_topology_tells_what_the_kernel_does():
    told = daemon.topology()
    tiers = pathlib.Path('/sys/devices/virtual/memory_tiering').glob('memory_tier*/nodelist')
    assert [(t['id'], t['nodes']) for t in told['memory_tiers']] == sorted((int(t.parent.name[11:]), numa.parse_list(t.read_text())) for t in tiers)
    assert told['kernel_balancing'] == int(pathlib.Path('/proc/sys/kernel/numa_balancing').read_text())
    assert told['kernel_demotion'] == (pathlib.Path('/sys/kernel/mm/numa/demotion_enabled').read_text() == 'true\n')


def test_faster_memory_is_preferred():
    # Half on each of two nodes between which the distances make no difference.
    service = start_service('undecided', size=16, slices=f'{SLOWER},2', threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule('undecided', allowed_nodes=f'{SLOWER},2', max_nodes=1)])
    daemon.start()
    assert home_of(service) == [2]


def test_memory_only_node_is_no_home_for_compact():
    service = start_service('stranded', node=EXPANDER, **SMALL)
    daemon.configure([rule('stranded')])
    daemon.start()
    assert EXPANDER not in home_of(service)


def test_memory_only_node_beside_a_node_with_cpus():
    # All on node 1; the rule gives it node 0's CPUs and the expander's memory too.
    service = start_service('given', node=1, **SMALL)
    daemon.configure([rule('given', place='nodes', nodes=f'0,{EXPANDER}', memory='strict')])
    daemon.start()
    wait_for('at home', at_home(service, [0, EXPANDER]))
    wait_for('narrowed', lambda: service.effective_cpus() == numa.cpus_of(0) and service.effective_nodes() == [0, EXPANDER])


def available():
    """Of node 0, free or kept for files that could be read again: what else runs here has more or less of them at any time."""
    node = numa.node_meminfo(0)
    return node['MemFree'] + node['FilePages'] - node['Shmem']


@pytest.mark.usefixtures('unfragmented')
def test_service_larger_than_the_room_beside_its_cpus():
    # keep-free leaves less room on node 0 than it needs; what has none goes to the expander, and node 0 is not filled.
    total, free = numa.node_meminfo(0)['MemTotal'], available()
    room = 80 * MIB
    keep_free = round(100 * (free - room) / total)
    service = start_service('large', size=140, node=2, threads=1, duty='5:95')
    daemon.configure([rule('large', place='nodes', nodes=f'0,{EXPANDER}')], keep_free=f'{keep_free}%')
    daemon.start()
    wait_for('at home', at_home(service, [0, EXPANDER]))
    by_node = service.region_bytes()
    assert by_node[0] >= 30 * MIB and by_node[EXPANDER] >= 30 * MIB, by_node
    assert available() >= keep_free / 100 * total - 24 * MIB
    assert service.effective_cpus() == numa.cpus_of(0)


def test_near_a_device_behind_a_node_without_cpus():
    # The nearest node with CPUs is the one that the expander hangs at.
    device, _, node = machine.device('disk')
    assert node == EXPANDER
    service = start_service('by-disk', node=2, **SMALL)
    daemon.configure([rule('by-disk', place='near', device=device)])
    daemon.start()
    entry = wait_for('at home', at_home(service))
    assert service.effective_cpus() == numa.cpus_of(0), entry
