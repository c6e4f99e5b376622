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

and optionally a section `[machine]` with `threads` (SMT threads per core, default 1; counted in `cpus`).
"""

import configparser
import dataclasses
import pathlib

from . import SYSTEM, VmError

NODES_MAX = 64
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


def size(text):
    """'768M' → bytes."""
    text = text.strip()
    factor = UNITS.get(text[-1:].upper(), 1)
    return int(text[:-1] if factor > 1 else text) * factor


class Topology:
    def __init__(self, name, nodes, threads):
        self.name, self.nodes, self.threads = name, nodes, threads
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


def _row(section, key, count, convert):
    text = section.get(key, '')
    row = [convert(word) for word in text.split()]
    if row and len(row) != count:
        raise ValueError(f'{key}: {len(row)} values for {count} nodes')
    return row


def _parse(parser):
    known = {'cpus', 'memory', 'distances', 'absent', 'latency', 'bandwidth', 'initiator'}
    names = [name for name in parser.sections() if name != 'machine']
    if not names or len(names) > NODES_MAX:
        raise ValueError(f'expected 1 to {NODES_MAX} nodes')
    threads = parser.getint('machine', 'threads', fallback=1)
    nodes, first_cpu = [], 0
    for i, name in enumerate(names):
        section = parser[name]
        if name != f'node {i}':
            raise ValueError(f'expected [node {i}], found [{name}]')
        if set(section) - known:
            raise ValueError(f'[{name}]: unknown key {", ".join(sorted(set(section) - known))}')
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
    return nodes, threads


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
        nodes, threads = _parse(parser)
    except (ValueError, configparser.Error) as error:
        raise VmError(f'{path}: {error}') from None
    return Topology(path.name, nodes, threads)
