# SPDX-License-Identifier: GPL-2.0-or-later
"""What wakes the daemon while its interval is long. That the next cycle did not just happen to be due is told by what it says woke it."""

import contextlib
import json
import pathlib
import subprocess
import sys

import pytest

import daemon
import numa
from daemon import start_service, wait_for

MIB = 1 << 20
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]
CPU7 = pathlib.Path('/sys/devices/system/cpu/cpu7/online')

# Wants more memory than there is, again and again.
GREEDY = '''
import mmap, sys
print('here', flush=True)
sys.stdin.readline()
while True:
    with mmap.mmap(-1, 48 << 20) as m:
        for at in range(0, len(m), 4096):
            m[at] = 1
'''


def rule(**more):
    return {'name': 'r', 'place': 'nodes', 'nodes': '1', 'min-size': '8M', 'cooldown': '2s', **more}


def reasons():
    return daemon.status()['cycles_by_reason']


@contextlib.contextmanager
def greedy(cgroup):
    with subprocess.Popen([sys.executable, '-c', GREEDY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == 'here\n'
            (cgroup / 'cgroup.procs').write_text(str(process.pid))
            print(file=process.stdin, flush=True)
            yield
        finally:
            process.kill()


def test_memory_pressure_gives_memory_nodes_back():
    service = start_service('pressed', size=24, node=1, threads=1, duty='5:100')
    daemon.configure([rule(match={'unit': service.unit}, memory='strict')], interval='5min', max_interval='5min')
    daemon.start()
    wait_for('narrowed, and watched', lambda: daemon.cpusets(service.cgroup)[3] == '1' and daemon.status()['watched']['memory_pressure'] == 1)
    wait_for('at rest', lambda: daemon.status()['next_cycle_usec'] > 240e6)
    before = reasons()
    high = int((service.cgroup / 'memory.current').read_text()) + 8 * MIB
    (service.cgroup / 'memory.high').write_text(str(high))
    try:
        with greedy(service.cgroup):
            wait_for('given back', lambda: daemon.cpusets(service.cgroup)[3] == '0-3')
    finally:
        (service.cgroup / 'memory.high').write_text('max')
    after = reasons()
    assert after['pressure'] > before['pressure'] and after['timer'] == before['timer'], (before, after)
    told = json.loads(daemon.ctl('history', service.unit, '--json=short').stdout)
    assert any('memory pressure' in event['reason'] for event in told), told


def test_a_cgroup_of_nobody_is_seen_when_it_has_processes():
    service = start_service('outside', size=24, node=2, threads=1, duty='5:100')
    daemon.configure([rule(match={'cgroup': '/box'})], interval='6s', max_interval='5min')
    daemon.start()
    wait_for('at rest', lambda: daemon.status()['next_cycle_usec'] > 12e6)
    (numa.CGROUP / 'cgroup.subtree_control').write_text('+cpuset')      # the root is systemd's: the daemon would not
    box = numa.CGROUP / 'box'
    box.mkdir()
    try:
        (box / 'cgroup.procs').write_text(str(service.pid))
        CPU7.write_text('0')
        wait_for('placed', lambda: daemon.cpusets(box)[2] == '2-3')
        assert reasons()['cgroup'] >= 1, reasons()
        # Meanwhile a CPU was taken away.
        wait_for('said', lambda: any('restart the daemon' in text for text in daemon.status()['limitations']))
        wait_for('at home', lambda: service.region_bytes().get(1, 0) >= 0.95 * 24 * MIB)
    finally:
        CPU7.write_text('1')
        (service.cgroup / 'cgroup.procs').write_text(str(service.pid))
        box.rmdir()
