# SPDX-License-Identifier: GPL-2.0-or-later
"""Topology files: which nodes a machine has, and the QEMU arguments that make them.

A topology file is an INI file with one section per node, `[node 0]` upwards without gaps:

    cpus        number of CPUs (0: a node with memory only)
    memory      size with suffix M or G (0: a node with CPUs only)
    distances   the node's row of the SLIT, one number per node, the own one 10
    absent      yes: the node is in the firmware's tables, but empty: its `cpus` are only possible ones. A gap in node ids
    latency     row of HMAT access latencies in ns, one per node; only on nodes with CPUs, all or none of them
    bandwidth   row of HMAT access bandwidths per second with suffix M or G, likewise
    initiator   for a node without CPUs: the node with CPUs that it is attached to (HMAT)

optionally a section for each device that is to sit behind a node, `[device NAME]`:

    kind        net (a network card: net/eth0 in the guest, or another number) or nvme (a disk: block/nvme0n1 …)
    node        the node behind whose PCI root it is

and optionally a section `[machine]` with `threads` (SMT threads per core, default 1; counted in `cpus`).
"""

import configparser
import dataclasses
import pathlib
import re

from . import SYSTEM, VmError

NODES_MAX = 64
DEVICES_MAX = 8                 # PCI roots need bus numbers of their own, of which there are 256
# Kind of a device → QEMU's backend and device, and the module that drives it: the guest has no udev that would load it. The card hangs at
# a hub where nobody else is, and the disk reads as zeros: nothing of the host is needed.
DEVICE_KINDS = {
    'net': (('-netdev', 'hubport,hubid={index},id={name}-backend'), 'virtio-net-pci,netdev={name}-backend,mac={mac}', 'virtio_net'),
    'nvme': (('-drive', 'if=none,driver=null-co,size=64M,read-zeroes=on,id={name}-backend'),
             'nvme,serial={name},drive={name}-backend', 'nvme'),
}
UNITS = {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}


@dataclasses.dataclass
class Node:
    cpus: int
    memory: int                 # bytes
    distances: list
    absent: bool
    latency: list
    bandwidth: list             # bytes per second
    initiator: int | None
    first_cpu: int = 0

    def cpu_range(self):
        return range(self.first_cpu, self.first_cpu + self.cpus)


@dataclasses.dataclass
class Device:
    name: str
    kind: str                   # of DEVICE_KINDS
    node: int
    mac: str                    # where it is a network card


def size(text):
    """'768M' → bytes."""
    text = text.strip()
    factor = UNITS.get(text[-1:].upper(), 1)
    return int(text[:-1] if factor > 1 else text) * factor


class Topology:
    def __init__(self, name, nodes, devices, threads):
        self.name, self.nodes, self.devices, self.threads = name, nodes, devices, threads
        self.cpus = sum(node.cpus for node in nodes if not node.absent)
        self.possible_cpus = sum(node.cpus for node in nodes)
        self.memory = sum(node.memory for node in nodes)
        self.hmat = any(node.latency for node in nodes)

    def qemu_machine(self):
        """Options to append to -machine."""
        return ',hmat=on' if self.hmat else ''

    def qemu_args(self):
        sizes = {node.cpus for node in self.nodes if node.cpus}
        sockets = sum(1 for node in self.nodes if node.cpus) if len(sizes) == 1 else 1
        cores = self.possible_cpus // sockets // self.threads
        args = ['-m', f'{self.memory >> 20}M',
                '-smp', f'{self.cpus},maxcpus={self.possible_cpus},sockets={sockets},cores={cores},threads={self.threads}']
        for i, node in enumerate(self.nodes):
            numa = f'node,nodeid={i}'
            if node.cpus:
                numa += f',cpus={node.first_cpu}-{node.first_cpu + node.cpus - 1}'
            if node.memory:
                args += ['-object', f'memory-backend-ram,id=mem{i},size={node.memory}']
                numa += f',memdev=mem{i}'
            if self.hmat:
                numa += f',initiator={i if node.initiator is None else node.initiator}'
            args += ['-numa', numa]
        for i, node in enumerate(self.nodes):
            for j, value in enumerate(node.distances):
                args += ['-numa', f'dist,src={i},dst={j},val={value}']
        for kind, row_of in (('latency', lambda n: n.latency), ('bandwidth', lambda n: n.bandwidth)):
            for i, node in enumerate(self.nodes):
                for j, value in enumerate(row_of(node)):
                    args += ['-numa', f'hmat-lb,initiator={i},target={j},hierarchy=memory,'
                                      f'data-type=access-{kind},{kind}={value}']
        return args

    def qemu_devices(self):
        """Arguments for the devices; to come after all others, which would end up behind a root of ours otherwise."""
        args = []
        for i, node in enumerate(sorted({device.node for device in self.devices})):
            args += ['-device', f'pxb-pcie,id=root{node},bus=pcie.0,bus_nr={32 + 16 * i},numa_node={node}']
        for i, device in enumerate(self.devices):
            (option, backend), front, _ = DEVICE_KINDS[device.kind]
            args += [option, backend.format(name=device.name, index=i),
                     '-device', f'pcie-root-port,id=port{i},bus=root{device.node},chassis={i + 1}',
                     '-device', front.format(name=device.name, mac=device.mac) + f',bus=port{i}']
        return args

    def kernel_args(self):
        """Words for the kernel's command line: systemd loads the devices' drivers."""
        modules = sorted({DEVICE_KINDS[device.kind][2] for device in self.devices})
        return ['modules_load=' + ','.join(modules)] if modules else []


def _row(section, key, count, convert):
    text = section.get(key, '')
    row = [convert(word) for word in text.split()]
    if row and len(row) != count:
        raise ValueError(f'{key}: {len(row)} values for {count} nodes')
    return row


def _refuse_unknown(section, known):
    unknown = sorted(set(section) - known)
    if unknown:
        raise ValueError(f'[{section.name}]: unknown key {", ".join(unknown)}: expected {", ".join(sorted(known))}')


def _parse_devices(parser, names, n_nodes):
    devices = []
    for name in names:
        section, short = parser[name], name.removeprefix('device ').strip()
        _refuse_unknown(section, {'kind', 'node'})
        if not re.fullmatch(r'[a-z][a-z0-9]{0,15}', short):
            raise ValueError(f'[{name}]: a device is named by lower-case letters and digits')
        if section.get('kind') not in DEVICE_KINDS:
            raise ValueError(f'[{name}]: kind: expected {" or ".join(DEVICE_KINDS)}, found {section.get("kind")}')
        node = section.getint('node', -1)
        if not 0 <= node < n_nodes:
            raise ValueError(f'[{name}]: node: expected a node of this file, 0 to {n_nodes - 1}')
        devices.append(Device(short, section['kind'], node, f'52:54:00:4e:55:{len(devices):02x}'))
    if len(devices) > DEVICES_MAX:
        raise ValueError(f'{len(devices)} devices: at most {DEVICES_MAX}')
    return devices


def _check_hmat(nodes):
    """QEMU's own messages for these are riddles."""
    with_cpus = [i for i, node in enumerate(nodes) if node.cpus]
    if not any(node.latency for node in nodes):
        if any(node.initiator is not None for node in nodes):
            raise ValueError('initiator is for machines with latency and bandwidth')
        return
    for i, node in enumerate(nodes):
        if bool(node.latency) != bool(node.cpus):
            raise ValueError(f'[node {i}]: latency and bandwidth belong to all nodes with CPUs, and to no other')
        if node.cpus and node.initiator not in (None, i):
            raise ValueError(f'[node {i}]: initiator is for nodes without CPUs')
        if not node.cpus and node.initiator not in with_cpus:
            raise ValueError(f'[node {i}]: initiator: expected the node with CPUs that it is attached to')


def _parse(parser):
    known = {'cpus', 'memory', 'distances', 'absent', 'latency', 'bandwidth', 'initiator'}
    if parser.has_section('machine'):
        _refuse_unknown(parser['machine'], {'threads'})
    device_names = [name for name in parser.sections() if name.startswith('device ')]
    names = [name for name in parser.sections() if name != 'machine' and name not in device_names]
    if not names or len(names) > NODES_MAX:
        raise ValueError(f'expected 1 to {NODES_MAX} nodes')
    threads = parser.getint('machine', 'threads', fallback=1)
    if threads < 1:
        raise ValueError(f'threads: expected 1 or more, found {threads}')
    nodes, first_cpu = [], 0
    for i, name in enumerate(names):
        section = parser[name]
        if name != f'node {i}':
            raise ValueError(f'expected [node {i}], found [{name}]')
        _refuse_unknown(section, known)
        node = Node(cpus=section.getint('cpus', 0), memory=size(section.get('memory', '0')),
                    distances=_row(section, 'distances', len(names), int), absent=section.getboolean('absent', False),
                    latency=_row(section, 'latency', len(names), int),
                    bandwidth=_row(section, 'bandwidth', len(names), size),
                    initiator=section.getint('initiator', None), first_cpu=first_cpu)
        if node.cpus % threads:
            raise ValueError(f'[{name}]: {node.cpus} CPUs are not whole cores of {threads} threads')
        if bool(node.latency) != bool(node.bandwidth):
            raise ValueError(f'[{name}]: latency and bandwidth go together')
        if node.absent and node.memory:
            raise ValueError(f'[{name}]: an absent node has no memory')
        if node.cpus and not node.absent and any(earlier.absent for earlier in nodes):
            raise ValueError(f'[{name}]: CPUs behind an absent node: those of absent nodes have to be the last ones')
        first_cpu += node.cpus
        nodes.append(node)
    if not nodes[0].cpus or not nodes[0].memory or nodes[0].absent:
        raise ValueError('[node 0] needs CPUs and memory: the machine boots on it')
    _check_hmat(nodes)
    return nodes, _parse_devices(parser, device_names, len(nodes)), threads


def load(name):
    """Loads a topology by the name of a file in tests/system/topologies, or by path."""
    path = SYSTEM / 'topologies' / name
    if '/' in name or not path.is_file():
        path = pathlib.Path(name)
    if not path.is_file():
        have = ', '.join(sorted(p.name for p in (SYSTEM / 'topologies').iterdir()))
        raise VmError(f"no topology '{name}': neither a file nor one of {have}")
    parser = configparser.ConfigParser(inline_comment_prefixes=('#',))
    try:
        parser.read_string(path.read_text())
        nodes, devices, threads = _parse(parser)
    except (ValueError, configparser.Error) as error:
        raise VmError(f'{path}: {error}') from None
    return Topology(path.name, nodes, devices, threads)
