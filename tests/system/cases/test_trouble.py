# SPDX-License-Identifier: GPL-2.0-or-later
"""The worst moments: services that die or restart, broken files, kill -9, and giving everything back."""

import json
import os
import signal

import pytest

import daemon
import numa
from daemon import at_home, next_cycles, start_service, wait_for

MIB = 1 << 20
IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]
SLOW = {'migrate_rate': '1M'}      # a move that takes long enough to be caught in the middle; nobody waits for its end


def rule(unit, node='1', **more):
    return {'name': 'r', 'match': {'unit': unit}, 'place': 'nodes', 'nodes': node, 'min-size': '4M', 'cooldown': '2s', **more}


def begin_slow_move(name='slow', size=32):
    service = start_service(name, size=size, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule(service.unit)], **SLOW)
    daemon.start()
    wait_for('the move to begin', lambda: service.region_bytes().get(1, 0) > MIB)
    assert daemon.state(service.unit) == 'moving'
    return service


def daemon_comes_back(killed):
    """Waits until a daemon with another pid answers."""
    wait_for('running again', lambda: daemon.main_pid() not in (0, killed) and daemon.ctl('status', check=False).returncode == 0)


def kill_daemon():
    pid = daemon.main_pid()
    daemon.run('systemctl', 'kill', '-s', 'KILL', daemon.UNIT)
    return pid


def test_service_dies_while_it_is_moved():
    service = begin_slow_move()
    pid = daemon.main_pid()
    os.kill(service.pid, signal.SIGKILL)
    wait_for('gone from the list', lambda: daemon.service(service.unit) is None)
    assert daemon.main_pid() == pid
    # And the daemon still works.
    other = start_service('afterwards', size=8, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule(other.unit)])
    daemon.ctl('reload')
    wait_for('the next one comes home', at_home(other, [1]))


def test_managed_service_is_restarted():
    service = start_service('again', size=8, node=2, threads=1, duty='5:95', no_thp=True, unit_file=True)
    daemon.configure([rule(service.unit)])
    daemon.start()
    wait_for('at home', at_home(service, [1]))
    service.restart()
    home = at_home(service, [1])
    wait_for('at home again', lambda: home() and daemon.cpusets(service.cgroup)[2] == '2-3')


def test_reload_with_a_broken_file_keeps_the_old_rules():
    service = start_service('reloads', size=8, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule(service.unit)])
    daemon.start()
    wait_for('at home', at_home(service, [1]))
    journal = daemon.Journal()
    daemon.write_config('rules:\n  - name: x\n    match: {unit: a.service}\n    place: sideways\n')
    done = daemon.ctl('reload', check=False)
    assert done.returncode == 78
    assert f'{daemon.CONFIG}:4:12: ' in done.stderr
    # systemctl reload tells the administrator, too; a bare signal can only tell the journal.
    assert daemon.run('systemctl', 'reload', daemon.UNIT, check=False).returncode != 0
    daemon.run('systemctl', 'kill', '-s', 'HUP', '--kill-who=main', daemon.UNIT)
    wait_for('said in the journal', lambda: len(journal.entries(MESSAGE_ID=IDS['CONFIG_REJECTED'])) >= 3)
    assert daemon.service(service.unit)['rule'] == 'r'
    assert daemon.ctl('check', check=False).returncode == 78


def test_rule_taken_away_gives_the_cpus_back():
    service = start_service('released', size=8, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule(service.unit, memory='strict')])
    daemon.start()
    wait_for('narrowed at home', lambda: daemon.cpusets(service.cgroup)[2:] == ('2-3', '1') and daemon.state(service.unit) == 'stable')
    daemon.configure([])
    daemon.ctl('reload')
    wait_for('free again', lambda: daemon.cpusets(service.cgroup)[2:] in (('0-7', '0-3'), (None, None)))
    wait_for('forgotten', lambda: json.loads(daemon.RECORD.read_text()).get('entries') == [])


def assert_as_before(service):
    assert daemon.cpusets(service.cgroup)[2:] in (('0-7', '0-3'), (None, None))
    shown = daemon.run('systemctl', 'show', '-p', 'AllowedCPUs', '-p', 'AllowedMemoryNodes', service.unit).stdout
    # Empty, or (where the kernel refused to clear it) the whole machine: the same in effect.
    assert 'AllowedCPUs=2-3' not in shown and 'AllowedMemoryNodes=1\n' not in shown


def test_stop_with_restore():
    service = start_service('stopped', size=8, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([rule(service.unit, memory='strict')], on_exit='restore')
    daemon.start()
    wait_for('at home', at_home(service, [1]))
    journal = daemon.Journal()
    daemon.stop()
    assert_as_before(service)
    assert len(journal.entries(MESSAGE_ID=IDS['RESTORED'])) == 1
    assert daemon.run('systemctl', 'show', '-P', 'Result', daemon.UNIT).stdout.strip() == 'success'


def test_restore_gives_back_what_the_administrator_had():
    service = start_service('mine', size=8, node=2, threads=1, duty='5:95', no_thp=True, properties={'AllowedCPUs': '0-5'})
    daemon.configure([rule(service.unit, memory='strict')])
    daemon.start()
    wait_for('seen', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
    # What the administrator set wins: the CPUs are left as they are.
    assert daemon.cpusets(service.cgroup)[2] == '0-5'
    daemon.ctl('restore')
    assert daemon.cpusets(service.cgroup)[2] == '0-5'


def test_cpus_set_by_the_administrator_in_the_middle_of_a_move():
    journal = daemon.Journal()
    service = begin_slow_move('midway', size=8)
    daemon.run('systemctl', 'set-property', '--runtime', service.unit, 'AllowedCPUs=0-4')
    # Where the machine was so slow that the move had ended by then, they stay just as well.
    ended = wait_for('the end of the move', lambda: journal.of_unit(service.unit, IDS['MOVE_FAILED']) +
                     journal.of_unit(service.unit, IDS['MOVED']))[0]
    assert ended['MESSAGE_ID'] == IDS['MOVED'] or 'somebody else has set its cpuset' in ended['MESSAGE'], ended
    next_cycles(2)
    assert daemon.cpusets(service.cgroup)[0] == '0-4'
    daemon.ctl('restore')
    assert daemon.cpusets(service.cgroup)[0] == '0-4'


def test_cpus_given_to_threads_inside_of_a_service_stay():
    """As libvirt pins a guest's virtual CPUs: in a threaded cgroup inside of its own. Restricting the whole would take that away."""
    service = start_service('guest', size=8, node=1, threads=1, duty='5:95', no_thp=True, properties={'Delegate': 'yes'})
    inside = service.cgroup / 'vcpu0'
    (service.cgroup / 'cgroup.subtree_control').write_text('+cpuset')
    inside.mkdir()
    (inside / 'cgroup.type').write_text('threaded')
    for thread in os.listdir(f'/proc/{service.pid}/task'):
        (inside / 'cgroup.threads').write_text(thread)
    (inside / 'cpuset.cpus').write_text('4-5')
    daemon.configure([rule(service.unit)])
    daemon.start()
    wait_for('left alone', lambda: 'cgroups inside of it' in (daemon.service(service.unit) or {}).get('reason', ''))
    assert daemon.cpusets(inside)[2] == '4-5'
    # Nobody sets any there: now it is restricted. And as soon as somebody does, that is given back.
    (inside / 'cpuset.cpus').write_text('0-7')
    wait_for('restricted', lambda: daemon.cpusets(service.cgroup)[2] == '2-3')
    (inside / 'cpuset.cpus').write_text('4-5')
    wait_for('given back', lambda: daemon.cpusets(inside)[2] == '4-5')


def test_kill_in_the_middle_of_a_move_then_restart_then_restore():
    service = begin_slow_move('killed')
    daemon.configure([rule(service.unit, memory='strict')], max_interval='1s')
    # Restart=on-failure brings it back by itself; it goes on where it was.
    daemon_comes_back(kill_daemon())
    home = at_home(service, [1])
    wait_for('narrowed at home', lambda: home() and daemon.cpusets(service.cgroup)[2:] == ('2-3', '1'))
    # Killed again now that everything is narrowed: it still knows what was there before.
    daemon_comes_back(kill_daemon())
    outcome = json.loads(daemon.ctl('restore', '--json=short').stdout)
    assert [o['outcome'] for o in outcome] == ['restored'], outcome
    assert_as_before(service)
    next_cycles(3)                 # restored must stay restored
    assert_as_before(service)
    assert daemon.status()['paused'] is True


@pytest.mark.usefixtures('unfragmented')
def test_pressure_is_not_an_excuse_to_fill_a_node():
    # Node 1 has less room than the service needs above keep-free: it is not filled, and that is said.
    free_mib = numa.node_meminfo(1)['MemFree'] // MIB
    hog = start_service('hog', size=max(free_mib - 160, 16), node=1, threads=1, duty='1:500')
    service = start_service('big', size=150, node=2, threads=1, duty='5:95')
    keep_free_bytes = 0.2 * numa.node_meminfo(1)['MemTotal']
    daemon.configure([rule(service.unit)], keep_free='20%', max_interval='1s')
    daemon.start()
    wait_for('decided', lambda: daemon.state(service.unit) in ('stable', 'blocked'))
    next_cycles(2)
    assert numa.node_meminfo(1)['MemFree'] >= min(keep_free_bytes, 160 * MIB) - 24 * MIB
    assert service.region_bytes().get(2, 0) >= 100 * MIB
    assert hog.is_active()
