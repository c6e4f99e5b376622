# SPDX-License-Identifier: GPL-2.0-or-later
"""A process whose address space is locked for as long as we like: it writes to a file of a file system that is frozen. Whoever reads its map
waits until the end of that, and must be the only one who does."""

import gzip
import json
import pathlib

import pytest

import daemon
import lib
from daemon import at_home, next_cycles, start_service, wait_for

IDS = daemon.message_ids()
IMAGE = pathlib.Path('/run/frozen.ext4')
MOUNT = pathlib.Path('/run/frozen')
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('devices')]


class Freezer:
    """A small file system of its own: mke2fs -t ext4 -O ^has_journal,^metadata_csum,^64bit,^resize_inode -b 1024 -N 16 of 512 KiB."""

    def __init__(self):
        IMAGE.write_bytes(gzip.decompress(pathlib.Path(__file__).with_name('small.ext4.gz').read_bytes()))
        MOUNT.mkdir(exist_ok=True)
        daemon.run('modprobe', 'loop')
        daemon.run('mount', '-o', 'loop', str(IMAGE), str(MOUNT))
        self.frozen = False

    def freeze(self, service):
        self.frozen = True
        daemon.run('fsfreeze', '--freeze', str(MOUNT))
        wait_for('its address space is locked', lambda: n_blocked(service.pid) >= 2)

    def thaw(self):
        if self.frozen:
            daemon.run('fsfreeze', '--unfreeze', str(MOUNT))
        self.frozen = False

    def remove(self):
        self.thaw()
        lib.stop_all()             # they hold it
        daemon.run('umount', str(MOUNT))
        IMAGE.unlink()


@pytest.fixture
def freezer():
    freezer = Freezer()
    try:
        yield freezer
    finally:
        freezer.remove()


def n_blocked(pid):
    """Threads in uninterruptible sleep. (This file of /proc can be read in any case.)"""
    stats = (task / 'stat' for task in pathlib.Path(f'/proc/{pid}/task').iterdir())
    return [stat.read_text().rpartition(')')[2].split()[0] for stat in stats].count('D')


def rule(name, service, node):
    return {'name': name, 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': node, 'min-size': '4M', 'cooldown': '2s',
            'memory': 'strict'}


def test_address_space_that_is_locked(freezer):
    frozen = start_service('frozen', size=8, node=2, threads=1, duty='5:95', no_thp=True, hold=MOUNT / 'file')
    lively = start_service('lively', size=8, node=2, threads=1, duty='5:95', no_thp=True)
    # Before Linux 6.2 the kernel waits for every process of the slice when the first service in it is given a cpuset: one has it already.
    start_service('first', size=4, threads=1, duty='0:1000', properties={'AllowedCPUs': '0-7'})
    freezer.freeze(frozen)
    daemon.configure([rule('frozen', frozen, '1'), rule('lively', lively, '1')])
    daemon.start()

    # A thread of ours hangs, and the daemon can be stopped all the same.
    wait_for('its map is being read', lambda: n_blocked(daemon.main_pid()) == 1)
    daemon.stop()
    assert daemon.run('systemctl', 'show', '-P', 'Result', daemon.UNIT).stdout.strip() == 'success'

    # It alone is left alone, which is said once, by its number.
    journal = daemon.Journal()
    daemon.start()
    pid = daemon.main_pid()
    wait_for('the other comes home', at_home(lively, [1]))
    next_cycles(2)
    said = [entry['MESSAGE'] for entry in journal.of_unit(frozen.unit, IDS['PROCESS_STUCK'])]
    assert len(said) == 1 and str(frozen.pid) in said[0], said
    assert [line for line in daemon.status()['stuck'] if frozen.unit in line and str(frozen.pid) in line], daemon.status()
    assert daemon.state(frozen.unit) == 'pending' and 'does not respond' in daemon.service(frozen.unit)['reason']
    assert n_blocked(pid) == 1
    freezer.thaw()
    wait_for('it comes home, too', at_home(frozen, [1]))
    assert daemon.status()['stuck'] == [] and daemon.main_pid() == pid

    # A change of its memory nodes would have the kernel wait, and everybody else who changes a cgroup: it is not begun.
    freezer.freeze(frozen)
    outcome = {o['unit']: o for o in json.loads(daemon.ctl('restore', '--json=short', check=False).stdout)}
    assert outcome[lively.unit]['outcome'] == 'restored', outcome
    assert outcome[frozen.unit]['outcome'] == 'failed' and 'hangs in the kernel' in outcome[frozen.unit]['detail'], outcome
    assert daemon.cpusets(frozen.cgroup)[2:] == ('0-7', '1'), daemon.cpusets(frozen.cgroup)  # its CPUs did not have to wait
    freezer.thaw()
    outcome = json.loads(daemon.ctl('restore', '--json=short').stdout)
    assert [o['outcome'] for o in outcome] == ['restored'], outcome
