# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel says about nodes, processes and cgroups, read without any of the daemon's code.

Tests judge the daemon by this, so it must not share its mistakes: numbers come from numa_maps, or page by page from
move_pages(2) and pagemap, which is slow and exact.
"""

import collections
import ctypes
import dataclasses
import os
import pathlib
import re
import struct
import time

PAGE = os.sysconf('SC_PAGESIZE')
CGROUP = pathlib.Path('/sys/fs/cgroup')
NODES = pathlib.Path('/sys/devices/system/node')
SYS_MOVE_PAGES = 279
PFN_MASK = (1 << 55) - 1

_libc = ctypes.CDLL(None, use_errno=True)


def parse_list(text):
    """'0-1,3' → [0, 1, 3]."""
    numbers = []
    for part in text.strip().split(','):
        if part:
            first, _, last = part.partition('-')
            numbers += range(int(first), int(last or first) + 1)
    return numbers


def online_nodes():
    return parse_list((NODES / 'online').read_text())


def node_of_cpu():
    """{cpu: node} for all CPUs that are online."""
    return {cpu: node for node in online_nodes() for cpu in parse_list((NODES / f'node{node}/cpulist').read_text())}


def cpus_of(node):
    return parse_list((NODES / f'node{node}/cpulist').read_text())


def node_meminfo(node):
    """{'MemTotal': bytes, 'MemFree': bytes, …} of a node."""
    found = re.findall(r'Node \d+ (\S+):\s+(\d+)( kB)?', (NODES / f'node{node}/meminfo').read_text())
    return {name: int(value) * (1024 if unit else 1) for name, value, unit in found}


# ---- a process's memory ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Mapping:
    start: int
    policy: str
    page_size: int
    pages: dict                 # node → pages of page_size
    tokens: list                # the line's other words

    def node_bytes(self):
        return {node: count * self.page_size for node, count in self.pages.items()}


def mappings(pid):
    """The lines of /proc/PID/numa_maps. A transparent huge page counts as 512 pages of 4 KiB there, a hugetlb page as one
    of its own size."""
    result = []
    for line in pathlib.Path(f'/proc/{pid}/numa_maps').read_text(errors='surrogateescape').splitlines():
        address, rest = line.split(' ', 1)
        match = re.match(r'(prefer \(many\):\S*|weighted interleave:\S*|\S+) ?', rest)
        tokens = rest[match.end():].split(' ')
        pages, page_size = {}, PAGE
        for token in tokens:
            if re.fullmatch(r'N\d+=\d+', token):
                node, count = token[1:].split('=')
                pages[int(node)] = int(count)
            elif token.startswith('kernelpagesize_kB='):
                page_size = int(token.partition('=')[2]) * 1024
        result.append(Mapping(int(address, 16), match[1], page_size, pages, tokens))
    return result


def add_up(many):
    """Sum of several {node: bytes}."""
    total = collections.Counter()
    for one in many:
        total.update(one)
    return dict(sorted(total.items()))


def process_bytes(pid):
    """{node: resident bytes}, hugetlb included."""
    return add_up(mapping.node_bytes() for mapping in mappings(pid))


def mapping_at(pid, address):
    return next(mapping for mapping in mappings(pid) if mapping.start == address)


def huge_bytes(pid):
    """(bytes in transparent huge pages, bytes in hugetlb pages)."""
    kinds = dict(re.findall(r'^(\w+):\s+(\d+) kB', pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text(), re.MULTILINE))
    def sum_of(*names):
        return sum(int(kinds.get(name, 0)) for name in names) * 1024
    return sum_of('AnonHugePages', 'ShmemPmdMapped', 'FilePmdMapped'), sum_of('Shared_Hugetlb', 'Private_Hugetlb')


def page_nodes(pid, start, size, step=PAGE):
    """Node of every step-th byte's page in a range, or a negative errno: what move_pages(2) without targets says."""
    count = size // step
    addresses = (ctypes.c_void_p * count)(*range(start, start + count * step, step))
    status = (ctypes.c_int * count)(*([-10000] * count))
    result = _libc.syscall(SYS_MOVE_PAGES, ctypes.c_int(pid), ctypes.c_ulong(count), addresses, None, status, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), f'move_pages({pid})')
    return list(status)


def move_pages(pid, addresses, node, flags=1 << 1):
    """Moves; returns (rc or -errno, status with -10000 where nothing was written). MPOL_MF_MOVE unless told otherwise."""
    count = len(addresses)
    pages = (ctypes.c_void_p * count)(*addresses)
    nodes = (ctypes.c_int * count)(*([node] * count))
    status = (ctypes.c_int * count)(*([-10000] * count))
    result = _libc.syscall(SYS_MOVE_PAGES, ctypes.c_int(pid), ctypes.c_ulong(count), pages, nodes, status,
                           ctypes.c_int(flags))
    return (result if result >= 0 else -ctypes.get_errno()), list(status)


def page_frames(pid, start, size):
    """Physical frame numbers of a range's pages (0: not present). The same before and after: nobody moved anything."""
    with open(f'/proc/{pid}/pagemap', 'rb') as handle:
        handle.seek(start // PAGE * 8)
        data = handle.read(size // PAGE * 8)
    return [entry & PFN_MASK if entry >> 63 else 0 for entry in struct.unpack(f'<{len(data) // 8}Q', data)]


# ---- threads and CPUs --------------------------------------------------------------------------------------------------


def thread_stat(pid, tid):
    """(last CPU, CPU time in ns) of a thread. The name may hold anything: parse behind its last parenthesis."""
    task = pathlib.Path(f'/proc/{pid}/task/{tid}')
    fields = (task / 'stat').read_text(errors='replace').rpartition(')')[2].split()
    return int(fields[36]), int((task / 'schedstat').read_text().split()[0])


def threads(pid):
    return [int(entry) for entry in os.listdir(f'/proc/{pid}/task')]


def _snapshot(pids):
    found = {}
    for pid in pids:
        try:
            for tid in threads(pid):
                found[tid] = thread_stat(pid, tid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_shares(pids, seconds=2.0, every=0.1):
    """{node: share of CPU time} of processes over some seconds, charged to the node where a thread was last seen."""
    nodes, used = node_of_cpu(), collections.Counter()
    end, before = time.monotonic() + seconds, _snapshot(pids)
    while time.monotonic() < end:
        time.sleep(every)
        after = _snapshot(pids)
        for tid, (cpu, spent) in after.items():
            used[nodes[cpu]] += spent - before.get(tid, (cpu, spent))[1]
        before = after
    total = sum(used.values())
    return {node: spent / total for node, spent in sorted(used.items()) if spent} if total else {}


def shares(node_bytes):
    total = sum(node_bytes.values())
    return {node: count / total for node, count in node_bytes.items()} if total else {}


def locality(cpu, memory):
    """Of two {node: share}: sum over nodes of CPU share times memory share."""
    return sum(share * memory.get(node, 0) for node, share in cpu.items())


# ---- cgroups -----------------------------------------------------------------------------------------------------------


def cgroup_pids(path):
    """Processes of a cgroup (a Path below /sys/fs/cgroup) and of those in it."""
    pids = []
    for procs in [path / 'cgroup.procs', *path.glob('**/cgroup.procs')]:
        try:
            pids += [int(line) for line in procs.read_text().split()]
        except OSError:         # gone, or threaded
            continue
    return sorted(set(pids))


def cgroup_list(path, name):
    """A cpuset file's content as list. Where the controller is off, that of the nearest ancestor that has it."""
    while not (path / name).exists() and path != CGROUP:
        path = path.parent
    return parse_list((path / name).read_text())


def numa_stat(path, kinds=('anon', 'file', 'shmem')):
    """{node: bytes} of memory.numa_stat; shmem is part of file and only counted where asked for alone."""
    wanted = [kind for kind in kinds if not (kind == 'shmem' and 'file' in kinds)]
    return add_up({int(node): int(count) for node, count in re.findall(r'N(\d+)=(\d+)', line)}
                  for line in (path / 'memory.numa_stat').read_text().splitlines() if line.split()[0] in wanted)
