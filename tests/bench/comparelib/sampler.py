# SPDX-License-Identifier: GPL-2.0-or-later
"""Where services' CPU time and memory are, seen from outside by the kernel's word alone: numa_maps, and each thread's CPU time and last CPU.
What they get done, and their longest stall, they say themselves."""

import collections
import pathlib
import struct

import numa

SLOT = struct.Struct('<8Q')         # StatsSlot of tests/system/workload-stats.h
STALL_AT = 4 * 8
PAGES_STEP = 16 * numa.PAGE         # for the pages of single threads every 16th is asked


class WorkloadStats:
    """What the workload program says in the file of its --stats."""

    def __init__(self, path, unit_bytes):
        self._path, self.pass_units = path, unit_bytes

    def _slots(self):
        data = pathlib.Path(self._path).read_bytes()
        return [(offset, SLOT.unpack_from(data, offset)) for offset in range(0, len(data), SLOT.size)]

    def read(self):
        """(work done in bytes, longest stall in µs since the last call)."""
        done, longest = 0, 0
        with open(self._path, 'r+b') as handle:
            for offset, (_, _, _, touched, stall, *_) in self._slots():
                done += touched
                if stall:
                    longest = max(longest, stall)
                    handle.seek(offset + STALL_AT)
                    handle.write(bytes(8))
        return done, longest

    def parts(self):
        """{tid: (start, size)} of its threads."""
        return {tid: (start, size) for _, (tid, start, size, *_) in self._slots() if tid}


class Watched:
    """One service: its cgroup, what it says of itself, and whether its threads are to be looked at one by one."""

    def __init__(self, name, cgroup, stats, per_thread=False):
        self.name, self.cgroup, self.stats, self.per_thread = name, cgroup, stats, per_thread
        self._pids, self._tids = [], []             # as of the last row
        self._seen = {}                             # tid → CPU time in ns
        self._used = collections.Counter()          # node → ns since the last row
        self._used_by = collections.defaultdict(collections.Counter)    # tid → the same

    def look_again(self):
        """Which threads there are now. Not at every poll: looking costs as much as all the rest."""
        self._pids = numa.cgroup_pids(self.cgroup)
        self._tids = []
        for pid in self._pids:
            try:
                self._tids += [(pid, tid) for tid in numa.threads(pid)]
            except OSError:                         # gone meanwhile
                continue

    def poll(self, node_of_cpu):
        """Charges CPU time since the last poll to the node of each thread's last CPU. What began and ended between two rows is missed."""
        if not self._tids:
            self.look_again()
        seen = {}
        for pid, tid in self._tids:
            try:
                cpu, spent = numa.thread_stat(pid, tid)
            except (OSError, IndexError):
                continue
            seen[tid] = spent
            used = spent - self._seen.get(tid, spent)
            self._used[node_of_cpu[cpu]] += used
            self._used_by[tid][node_of_cpu[cpu]] += used
        self._seen = seen

    def memory(self):
        """{node: bytes} of all its processes."""
        found = []
        for pid in self._pids:
            try:
                found.append(numa.process_bytes(pid))
            except OSError:
                continue
        return numa.add_up(found)

    def _access(self, nodes):
        """Share of its threads' memory that each finds on the node where it runs, and its mean distance from there; None where that is not asked or
        not known."""
        if not self.per_thread:
            return None
        pid, weight, local, far = self._pids[0], 0, 0.0, 0.0
        distances = {node: dict(zip(nodes, row)) for node, row in zip(nodes, online_distances(nodes))}
        for tid, (start, size) in self.stats.parts().items():
            used = self._used_by.get(tid)
            total = sum(used.values()) if used else 0
            if total == 0:
                continue
            on = collections.Counter(numa.page_nodes(pid, start, size, PAGES_STEP))
            on = {node: n for node, n in on.items() if node in distances}       # the others are not there
            pages = sum(on.values())
            if pages == 0:
                continue
            weight += total
            local += sum(spent * on.get(node, 0) / pages for node, spent in used.items())
            far += sum(spent * n / pages * distances[node][other] for node, spent in used.items() for other, n in on.items())
        return (local / weight, far / weight) if weight else None

    def row(self, seconds, nodes):
        self.look_again()
        memory, access = self.memory(), self._access(nodes)
        done, stall = self.stats.read()
        row = [f'{seconds:.2f}', self.name, *(self._used.get(node, 0) for node in nodes), *(memory.get(node, 0) for node in nodes),
               done, stall, *(('', '') if access is None else (f'{access[0]:.4f}', f'{access[1]:.3f}'))]
        self._used.clear()
        self._used_by.clear()
        return row


class Placed(Watched):
    """A started service. best: nodes where its memory should be; home: of these, where a hand puts it. own: its memory counts for what must move
    (shared memory counts for one of those who share it)."""

    def __init__(self, unit, best, stats, own=True, per_thread=False):
        super().__init__(unit.removesuffix('.service'), cgroup_of(unit), stats, per_thread)
        self.unit, self.best, self.home, self.own = unit, best, best, own

    def least_pages(self):
        """How many base pages must move at least. Of its first process alone: what others have of their own does not live for long."""
        if not self.own:
            return 0
        return sum(away_bytes(numa.cgroup_pids(self.cgroup)[0], self.best).values()) // numa.PAGE


def cgroup_of(unit):
    """Where systemd puts a service that asks for nothing else."""
    return numa.CGROUP / 'system.slice' / unit


def header(nodes):
    return ['seconds', 'service', *(f'cpu{node}' for node in nodes), *(f'mem{node}' for node in nodes), 'done', 'stall_usec', 'access',
            'access_distance']


def cpu_usec(cgroups):
    """(user, system) CPU time of cgroups in µs."""
    total = collections.Counter()
    for cgroup in cgroups:
        for line in (cgroup / 'cpu.stat').read_text().splitlines():
            name, value = line.split()
            total[name] += int(value)
    return total['user_usec'], total['system_usec']


def vmstat(*names):
    """Counters of the whole machine; 0 where this kernel does not count such a thing."""
    counters = dict(line.split() for line in pathlib.Path('/proc/vmstat').read_text().splitlines())
    return [int(counters.get(name, 0)) for name in names]


def away_bytes(pid, best):
    """{node: bytes} of a process's own and shared memory, but not its programs and files, that is not on the nodes `best`."""
    total = collections.Counter()
    for mapping in numa.mappings(pid):
        file = next((token[5:] for token in mapping.tokens if token.startswith('file=')), '')
        if file and not file.startswith(('/dev/shm', '/dev/zero', '/anon_hugepage', '/SYSV', '/memfd')):
            continue
        for node, size in mapping.node_bytes().items():
            if node not in best:
                total[node] += size
    return total


def online_distances(nodes):
    return [[int(word) for word in (numa.NODES / f'node{node}/distance').read_text().split()] for node in nodes]
