# SPDX-License-Identifier: GPL-2.0-or-later
"""Cells of the comparison: one workload under one system, once. Their names, their order, and the two CSV files that keep one."""

import csv
import dataclasses
import pathlib

# Letter → (what it is, topology beside this file). The letters are those of README.md.
WORKLOADS = {
    'a': ('one misplaced service', '4x2-1g'),
    'b': ('four misplaced services, free threads', '4x2-1g'),
    'c': ('six services on four nodes, more threads than CPUs', '4x2-1g'),
    'd': ('transparent huge pages', '4x2-1g'),
    'e': ('hugetlb pages', '4x2-1g'),
    'f': ('two services that share their memory', '4x2-1g'),
    'g': ('short-lived processes in a long-lived service', '4x2-1g'),
    'h1': ('redis-server under redis-benchmark', '4x2-1g'),
    'h2': ('postgresql under pgbench', '4x2-1g'),
    'i': ('one service larger than a node, each thread with memory of its own', '4x2-512m'),
    'i4': ('as i, on nodes of four CPUs: two of them have one for each thread', '4x4-512m'),
}
SYSTEMS = {
    'nothing': 'nothing',
    'kernel': "the kernel's balancing",
    'numad': 'numad',
    'hand': 'by hand',
    'numabalanced': 'numabalanced',
    'both': "numabalanced and the kernel's balancing",
    'hand+kernel': "by hand, then the kernel's balancing",
    'kernel+hand': "the kernel's balancing, then by hand",
    'kernel+cpus': "the kernel's balancing, CPUs by hand",
}
# Run only where they are asked for: what the kernel makes of known nodes, without the daemon.
ON_REQUEST = ('hand+kernel', 'kernel+hand', 'kernel+cpus')
PACKAGES = {'numad': ['numad'], 'h1': ['redis-server', 'redis-tools'], 'h2': ['postgresql']}
ATTEMPTS = 2            # a cell that crashed the guest or failed so often is left out


@dataclasses.dataclass(frozen=True)
class Cell:
    workload: str
    system: str
    run: int

    def __str__(self):
        return f'{self.workload}-{self.system}-{self.run}'

    @property
    def topology(self):
        return WORKLOADS[self.workload][1]

    @classmethod
    def parse(cls, text):
        workload, system, run = text.split('-')
        if workload not in WORKLOADS or system not in SYSTEMS:
            raise ValueError(f'{text}: no such cell')
        return cls(workload, system, int(run))


def expand(text, known, what):
    """'a,h' → ['a', 'h1', 'h2']; raises ValueError on what is not known."""
    chosen = []
    for word in text.split(','):
        found = [name for name in known if name == word or (len(word) == 1 and name.rstrip('12') == word)]
        if not found:
            raise ValueError(f"{what} '{word}': expected some of {','.join(known)}")
        chosen += found
    return chosen


def all_cells(workloads, systems, runs):
    """In the order in which they are run: all once, then all again, so that what is there at any time is the most of a table; systems
    alternate, so that a slow phase of the host hits all of them."""
    return [Cell(workload, system, run) for run in range(1, runs + 1) for workload in workloads for system in systems]


# ---- files: DIR/CELL.csv has the samples, DIR/CELL.facts.csv the rest; the latter is written last, and so says that the cell is done --------


def samples_file(directory, cell):
    return pathlib.Path(directory) / f'{cell}.csv'


def facts_file(directory, cell):
    return pathlib.Path(directory) / f'{cell}.facts.csv'


def attempts_file(directory, cell):
    """A line per attempt that was begun; removed when the cell is done."""
    return pathlib.Path(directory) / f'{cell}.attempts'


def stop_file(directory):
    """While it is there, the guest begins no other cell."""
    return pathlib.Path(directory) / 'stop'


def is_done(directory, cell):
    return facts_file(directory, cell).exists()


def attempts(directory, cell):
    try:
        return len(attempts_file(directory, cell).read_text().splitlines())
    except FileNotFoundError:
        return 0


def add_attempt(directory, cell):
    set_attempts(directory, cell, attempts(directory, cell) + 1)


def set_attempts(directory, cell, count):
    path = attempts_file(directory, cell)
    if count > 0:
        path.write_text('begun\n' * count)
    else:
        path.unlink(missing_ok=True)


def pending(directory, cells):
    return [cell for cell in cells if not is_done(directory, cell) and attempts(directory, cell) < ATTEMPTS]


def write_csv(path, rows):
    """Appears whole or not at all."""
    part = path.with_name(path.name + '.part')
    with open(part, 'w', newline='') as handle:
        csv.writer(handle, lineterminator='\n').writerows(rows)
    part.replace(path)


def read_csv(path):
    """List of dicts by the header's names; ValueError says where it is not what it should be."""
    with open(path, newline='') as handle:
        reader = csv.DictReader(handle, strict=True)
        rows = []
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError('wrong number of fields')
                rows.append(row)
        except (csv.Error, ValueError) as error:
            raise ValueError(f'{path}:{reader.line_num}: {error}') from None
    return rows
