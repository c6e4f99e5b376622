# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the machine the one that its topology file describes? Without numabalanced: what the kernel shows in /sys, and what hwloc's own
lstopo makes of it. Where these fail, cases about devices and latencies mean nothing."""

import subprocess
import xml.etree.ElementTree

import pytest

import machine
import numa


@pytest.fixture(scope='module')
def asked():
    try:
        return machine.asked()
    except machine.VmError as error:
        pytest.skip(f'a topology file of somebody: {error}')


def present(asked):
    return [(i, node) for i, node in enumerate(asked.nodes) if not node.absent]


@pytest.fixture(scope='module')
def lstopo():
    return xml.etree.ElementTree.fromstring(subprocess.run(['lstopo-no-graphics', '--of', 'xml'], stdout=subprocess.PIPE, check=True).stdout)


def test_nodes_and_distances(asked):
    assert numa.online_nodes() == [i for i, _ in present(asked)]
    for i, node in present(asked):
        assert numa.cpus_of(i) == list(node.cpu_range())
        # What the kernel keeps for itself is not in MemTotal: more on the node that holds its image.
        assert 0.8 * node.memory <= numa.node_meminfo(i)['MemTotal'] <= node.memory
        shown = [int(word) for word in (numa.NODES / f'node{i}/distance').read_text().split()]
        assert shown == [node.distances[j] for j, _ in present(asked)]


def fastest(asked, target):
    """The nodes from which the target's memory is read the fastest: the kernel tells of no others."""
    best = min(node.latency[target] for node in asked.nodes if node.latency)
    return {i for i, node in enumerate(asked.nodes) if node.latency and node.latency[target] == best}


@pytest.mark.machine('hmat', '2+1')
def test_latency_and_bandwidth(asked, lstopo):
    nodes = {o.get('gp_index'): int(o.get('os_index')) for o in lstopo.iter('object') if o.get('type') == 'NUMANode'}
    told = {(attribute.get('name'), nodes[value.get('target_obj_gp_index')]): int(value.get('value'))
            for attribute in lstopo.iter('memattr') for value in attribute.iter('memattr_value')}
    for target, _ in present(asked):
        initiators = numa.NODES / f'node{target}/access0/initiators'
        near = {int(path.name.removeprefix('node')) for path in initiators.glob('node*')}
        assert near and near <= fastest(asked, target)
        for initiator in near:
            node = asked.nodes[initiator]
            assert int((initiators / 'read_latency').read_text()) == node.latency[target]
            assert int((initiators / 'read_bandwidth').read_text()) == node.bandwidth[target] >> 20
            assert told['Latency', target] == node.latency[target]
            assert told['Bandwidth', target] == node.bandwidth[target] >> 20


@pytest.mark.machine('devices', 'hmat')
def test_devices_are_behind_their_nodes(asked, lstopo):
    hwloc = {}
    def walk(element, nodes):
        for child in element.findall('object'):
            if child.get('type') == 'OSDev':
                hwloc[child.get('name')] = nodes
            walk(child, {int(n.get('os_index')) for n in child.findall('object') if n.get('type') == 'NUMANode'} or nodes)
    walk(lstopo, set())
    for device in asked.devices:
        name, path, node = machine.device(device.name)
        assert int((machine.pci_directory(path) / 'numa_node').read_text()) == node, name
        # hwloc goes by CPUs: a device behind a node without CPUs hangs at the whole machine there, and its node has to be read in /sys.
        assert hwloc[path.name] == ({node} if asked.nodes[node].cpus else set()), (name, hwloc)
