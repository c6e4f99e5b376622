# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the kernel's own balancing: off while the daemon runs where it is told so, in the shipped unit and by the unit that may write it; put back; and seen
where it takes back what was moved."""

import json
import os
import pathlib
import signal

import pytest

import daemon
import lib
import numa

pytestmark = [pytest.mark.machine('devices', '4x2'), pytest.mark.usefixtures('fresh_daemon')]

NUMA_BALANCING = pathlib.Path('/proc/sys/kernel/numa_balancing')
SCAN = pathlib.Path('/sys/kernel/debug/sched/numa_balancing')


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    NUMA_BALANCING.write_text('0')


@pytest.fixture
def eager_kernel():
    """The kernel looks at a thread's pages after so much of its CPU time, up to a minute: here always soon."""
    if not SCAN.exists():
        lib.run('mount', '-t', 'debugfs', 'debugfs', '/sys/kernel/debug')
    periods = [SCAN / name for name in ('scan_period_min_ms', 'scan_period_max_ms')]
    before = [path.read_text() for path in periods]
    for path, value in zip(periods, ('100', '200')):
        path.write_text(value)
    yield
    for path, value in zip(periods, before):
        path.write_text(value)


def mode():
    return int(NUMA_BALANCING.read_text())


def is_off():
    return mode() == 0 and 'off while this runs' in daemon.status()['kernel_balancing_state']


def start_with_off(was):
    NUMA_BALANCING.write_text(str(was))
    daemon.configure([], kernel_balancing='off')
    daemon.start()
    daemon.wait_for('off', is_off)


def on_record():
    return json.loads(daemon.RECORD.read_text()).get('kernel_balancing')


def test_off_while_it_runs():
    start_with_off(1)
    assert on_record() == {'before': 1, 'ours': 0}
    assert 'was 1' in daemon.ctl('status').stdout
    ids = daemon.message_ids()
    assert lib.journal('numabalanced', MESSAGE_ID=ids['KERNEL_BALANCING'])[-1]['KERNEL_BALANCING_BEFORE'] == '1'
    daemon.stop()
    assert mode() == 1
    assert on_record() is None


def test_on_while_it_runs():
    NUMA_BALANCING.write_text('2')
    daemon.configure([], kernel_balancing='on')
    daemon.start()
    daemon.wait_for('on', lambda: mode() == 3 and 'on (3) while this runs' in daemon.status()['kernel_balancing_state'])
    assert on_record() == {'before': 2, 'ours': 3}
    daemon.stop()
    assert mode() == 2
    assert on_record() is None


def test_killed_started_restored():
    start_with_off(1)
    pid = daemon.main_pid()
    os.kill(pid, signal.SIGKILL)
    daemon.wait_for('another process', lambda: daemon.main_pid() not in (0, pid))
    daemon.wait_for('still off', is_off)
    assert on_record()['before'] == 1
    outcomes = json.loads(daemon.ctl('restore', '--json=short').stdout)
    assert [o['outcome'] for o in outcomes if o['unit'] == 'kernel.numa_balancing'] == ['restored']
    assert mode() == 1
    daemon.ctl('resume')
    daemon.wait_for('off again', is_off)


def test_somebody_else_sets_it():
    start_with_off(1)
    NUMA_BALANCING.write_text('2')
    daemon.wait_for('seen', lambda: 'somebody else' in daemon.status()['kernel_balancing_state'])
    daemon.stop()
    assert mode() == 2


def test_undone_is_noticed(nodes, eager_kernel):
    # Its threads stay on one node and its memory is to be on another: each page that they touch is brought back to them.
    home, away = nodes[0], nodes[1]
    cpus = ','.join(map(str, numa.cpus_of(away)))
    service = daemon.start_service('contested', size=48, node=away, threads=2, affinity=cpus, duty='20:60', no_thp=True)
    daemon.configure([{'name': 'contested', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': str(home), 'cpus': 'free', 'min-size': '1M', 'cooldown': '1s'}],
                     max_interval='2s')
    journal, ids = daemon.Journal(), daemon.message_ids()
    NUMA_BALANCING.write_text('1')
    daemon.start()
    undone = daemon.wait_for('undone', lambda: journal.of_unit(service.unit, ids['UNDONE']))[0]
    assert int(undone['WAIT_USEC']) >= 60e6
    assert int(undone['BYTES']) > 0
    daemon.wait_for('told', lambda: 'taken back' in daemon.service(service.unit)['reason'])
    assert any('contested' in e['MESSAGE'] for e in journal.entries(MESSAGE_ID=ids['KERNEL_BALANCING']))
    event = next(e for e in json.loads(daemon.ctl('history', service.unit, '--json=short').stdout) if e['event'] == 'undone')
    assert event['undone_by'] == undone['KERNEL_CAUSE'] == 'balancing'
    assert event['from_nodes'] == [home] and event['bytes'] == int(undone['BYTES'])
    # It could have been known before.
    warnings = json.loads(daemon.ctl('check', '--json=short').stdout)['warnings']
    assert len(warnings) == 1 and f'{daemon.CONFIG}:' in warnings[0] and 'memory: strict' in warnings[0]
