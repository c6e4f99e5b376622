# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots machines until every cell is there. A boot runs many cells; one that ends early costs the cell that was running."""

import pathlib
import subprocess
import sys

from . import cells

HERE = pathlib.Path(__file__).resolve().parent
VM = HERE.parents[1] / 'system' / 'vm'


def packages(wanted):
    """Debian packages that the cells need besides those of every image."""
    return sorted({name for cell in wanted for word in (cell.workload, cell.system) for name in cells.PACKAGES.get(word, [])})


def boot(out, wanted, image_packages, options):
    """One machine; returns its exit status. What it did is in the directory."""
    command = [VM, 'run', '--suite', options.suite, '--topology', HERE / wanted[0].topology, '--build', options.build, '--out', out,
               '--timeout', str(options.boot_minutes * 60 + 600)]
    if image_packages:
        command += ['--install', ','.join(image_packages)]
    command += [HERE / 'guest.py', '--seconds', options.seconds, '--mib', options.mib, '--budget', options.boot_minutes * 60, *wanted]
    sys.stdout.flush()
    return subprocess.run([str(word) for word in command]).returncode


def run(out, wanted, options):
    """Runs what is not there yet. Returns the cells that are still missing, and whether more boots could change that."""
    out.mkdir(parents=True, exist_ok=True)
    image_packages = packages(wanted)       # of all cells, so that one image serves every boot
    for _ in range(options.boots):
        left = cells.pending(out, wanted)
        if not left:
            break
        together = [cell for cell in left if cell.topology == left[0].topology]
        before = {cell: (cells.is_done(out, cell), cells.attempts(out, cell)) for cell in together}
        print(f'compare: {len(left)} cells to go', flush=True)
        status = boot(out, together, image_packages, options)
        if status == 130:
            break
        if before == {cell: (cells.is_done(out, cell), cells.attempts(out, cell)) for cell in together}:
            print(f'compare: the machine ran no cell (status {status})', file=sys.stderr)
            break
    return [cell for cell in wanted if not cells.is_done(out, cell)], bool(cells.pending(out, wanted))
