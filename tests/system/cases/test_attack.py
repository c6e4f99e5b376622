# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon promises while somebody works against it: paused, reloaded, without a bus, with a record that another run left."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

import daemon
import numa
from daemon import next_cycles, start_service, wait_for

IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]
FREE = (('0-7', '0-3'), (None, None))
QUICK = {'interval': '500ms', 'max_interval': '500ms'}         # cases that wait for cycles


def rule(unit, **more):
    return {'name': 'r', 'match': {'unit': unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '8M', 'cooldown': '2s', **more}


def entry(cgroup, owner, **sides):
    return {'cgroup': cgroup, 'unit': cgroup.rsplit('/', 1)[1], 'owner': owner, **sides}


def write_record(*entries):
    daemon.RECORD.parent.mkdir(exist_ok=True)
    daemon.RECORD.write_text(json.dumps({'version': 1, 'entries': list(entries)}))


def recorded():
    return [e['cgroup'] for e in json.loads(daemon.RECORD.read_text())['entries']]


def effective(service):
    return daemon.cpusets(service.cgroup)[2:]


def allowed(service):
    """What its process may use, as the kernel has it: CPUs and memory nodes."""
    status = Path(f'/proc/{service.pid}/status').read_text()
    return [line.split()[1] for line in status.splitlines() if line.startswith(('Cpus_allowed_list', 'Mems_allowed_list'))]


def narrowed(name):
    """A service on node 1, which the daemon has narrowed to it; where its memory is already, so that it takes no time."""
    service = start_service(name, size=16, node=1, threads=1, duty='5:100')
    daemon.configure([rule(service.unit, memory='strict')], **QUICK)
    daemon.start()
    wait_for('narrowed', lambda: effective(service) == ('2-3', '1') and daemon.state(service.unit) == 'stable')
    return service


def test_restore_tells_of_everything_on_record():
    cpus = {'before': None, 'ours': '2-3', 'seen': None}
    gone = [f'/gone/{name}' for name in ('a', 'b', 'c')]
    write_record(*(entry(cgroup, 'cgroupfs', cpus=cpus) for cgroup in gone))
    daemon.configure([])
    daemon.start()
    outcome = json.loads(daemon.ctl('restore', '--json=short').stdout)
    assert [(o['cgroup'], o['outcome']) for o in outcome] == [(cgroup, 'gone') for cgroup in gone]
    assert recorded() == []


def test_pause_and_reload_give_nothing_away():
    service = narrowed('held')
    daemon.ctl('pause')
    daemon.configure([], **QUICK)
    daemon.ctl('reload')
    next_cycles(2)
    assert effective(service) == ('2-3', '1')
    daemon.ctl('resume')
    wait_for('given back', lambda: effective(service) in FREE)
    assert allowed(service) == ['0-7', '0-3']       # its threads too: systemd may have taken the controller away
    # And what is restored stays so over a reload, until resume.
    daemon.configure([rule(service.unit)], **QUICK)
    daemon.ctl('reload')
    wait_for('narrowed', lambda: effective(service)[0] == '2-3')
    daemon.ctl('restore', service.unit)
    daemon.ctl('reload')
    next_cycles(3)
    assert effective(service)[0] in ('0-7', None)
    daemon.ctl('resume')
    wait_for('narrowed again', lambda: effective(service)[0] == '2-3')


def test_memory_nodes_are_given_back_once():
    service = narrowed('once')
    daemon.configure([rule(service.unit)], **QUICK)
    journal = daemon.Journal()
    daemon.ctl('reload')
    wait_for('memory is free', lambda: effective(service) == ('2-3', '0-3') and daemon.state(service.unit) == 'stable')
    said = len(journal.of_unit(service.unit))
    next_cycles(9)                 # more than two cooldowns
    assert len(journal.of_unit(service.unit)) == said


def test_without_the_bus_it_is_started_again():
    daemon.configure([])
    daemon.start()
    pid = daemon.main_pid()
    daemon.run('systemctl', 'kill', '-s', 'KILL', 'dbus.service')
    wait_for('a new one', lambda: daemon.main_pid() not in (0, pid) and daemon.ctl('status', check=False).returncode == 0)


def test_dry_run_changes_nothing_on_its_way_out():
    service = start_service('dry', size=16, node=1, threads=1, duty='5:100', properties={'AllowedCPUs': '2-3'})
    path = '/' + str(service.cgroup.relative_to('/sys/fs/cgroup'))
    write_record(entry(path, 'systemd', cpus={'before': None, 'ours': '2-3', 'seen': None}))
    daemon.configure([rule(service.unit)], **QUICK, on_exit='restore')
    process = subprocess.Popen(['numabalanced', '--dry-run'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for('it runs', lambda: daemon.status()['cycles'] > 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(400) == 0
    assert effective(service)[0] == '2-3'
    assert recorded() == [path]


def test_service_without_a_memory_controller():
    daemon.run('systemd-run', '--quiet', '--unit=bare.service', '-pDelegate=yes', '-pType=exec', 'bash', '-c',
               'g=/sys/fs/cgroup$(cut -d: -f3- /proc/self/cgroup); mkdir $g/inner; echo 0 >$g/inner/cgroup.procs; '
               'exec workload --size 24 --node 2 --threads 1 --duty 5:100')
    try:
        pid = int(daemon.run('systemctl', 'show', '-P', 'MainPID', 'bare.service').stdout)
        daemon.configure([{'name': 'r', 'match': {'cgroup': '*/bare.service/inner'}, 'place': 'nodes', 'nodes': '1', 'cpus': 'free',
                           'min-size': '8M', 'cooldown': '2s'}], **QUICK)
        daemon.start()
        wait_for('at home', lambda: numa.process_bytes(pid).get(1, 0) >= 20 << 20)
    finally:
        daemon.run('systemctl', 'stop', 'bare.service', check=False)


def test_once_ends_where_memory_maps_are_not_readable():
    service = start_service('closed', size=32, node=2, threads=1, duty='5:100')
    daemon.configure([rule(service.unit)])
    daemon.CONFIG.chmod(0o644)
    done = daemon.run('runuser', '-u', 'nobody', '--', 'numabalanced', '--once', '--dry-run', '--config', str(daemon.CONFIG))
    assert f'{service.unit}: pending: ' in done.stdout and 'could not be read' in done.stdout
