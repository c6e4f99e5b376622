# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots machines until every cell is there. A boot runs many cells; one that ends early costs the cell that was running."""

import pathlib
import subprocess
import sys
import threading

from . import cells

HERE = pathlib.Path(__file__).resolve().parent
VM = HERE.parents[1] / 'system' / 'vm'
# The emulated machine's clock goes by the instructions that it has run (2^2 ns each, all CPUs together), and where it idles to the next timer at
# once: so a busy host makes a cell last longer and changes nothing in it, and 60 of its seconds take half as many of ours.
VIRTUAL_TIME = '-icount shift=2,sleep=off'

SILENCE = 600           # seconds in which a machine must begin another cell
INTERRUPTED = 130


def packages(wanted):
    """Debian packages that the guest has besides those of every image: all that any cell needs, or none, so that there are only two images."""
    if any(word in cells.PACKAGES for cell in wanted for word in (cell.workload, cell.system)):
        return sorted({name for names in cells.PACKAGES.values() for name in names})
    return []


def boot(out, wanted, image_packages, options):
    """One machine; returns its exit status, 130 where a person ended it. What it did is in the directory."""
    command = [VM, 'run', '--suite', options.suite, '--topology', HERE / wanted[0].topology, '--build', options.build, '--out', out,
               '--timeout', '0', '--silence', str(SILENCE), '--accel', options.accel]
    if options.accel.startswith('tcg'):
        command += ['--qemu', VIRTUAL_TIME]
    if image_packages:
        command += ['--install', ','.join(image_packages)]
    command += [HERE / 'guest.py', '--seconds', options.seconds, '--mib', options.mib, *(['--duty', options.duty] if options.duty else []),
                *(['--hurry'] if options.hurry else []), *wanted]
    stop = cells.stop_file(out)
    stop.unlink(missing_ok=True)
    timer = threading.Timer(options.boot_minutes * 60, stop.touch)      # by our clock: the guest's may be far behind
    timer.daemon = True
    timer.start()
    sys.stdout.flush()
    try:
        return subprocess.run([str(word) for word in command]).returncode
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        timer.cancel()
        stop.unlink(missing_ok=True)


def _state(out, some):
    return {cell: (cells.is_done(out, cell), cells.attempts(out, cell)) for cell in some}


def run(out, wanted, options):
    """Runs what is not there yet. Returns the cells that are still missing, and whether more boots could change that."""
    out.mkdir(parents=True, exist_ok=True)
    image_packages = packages(wanted)       # of all cells, so that one image serves every boot
    for _ in range(options.boots):
        left = cells.pending(out, wanted)
        if not left:
            break
        together = [cell for cell in left if cell.topology == left[0].topology]
        before = _state(out, together)
        print(f'compare: {len(left)} cells to go', flush=True)
        status = boot(out, together, image_packages, options)
        if status == INTERRUPTED:
            for cell, (_, attempts) in before.items():
                cells.set_attempts(out, cell, attempts)         # not the cell's fault
            break
        if before == _state(out, together):
            print(f'compare: the machine ran no cell (status {status})', file=sys.stderr)
            break
    return [cell for cell in wanted if not cells.is_done(out, cell)], bool(cells.pending(out, wanted))
