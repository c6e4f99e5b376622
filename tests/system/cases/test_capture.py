# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture of a real machine decides like the machine, and holds no secrets."""

import json
import pathlib
import shutil
import subprocess

import pytest

import daemon
import lib
from daemon import at_home, start_service, wait_for

OUT = pathlib.Path('/out')
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]


def replay(directory, *options):
    return daemon.run('numabalanced', '--once', '--dry-run', '--root', str(directory), *options).stdout


def decided(text):
    return {s['unit']: s for s in json.loads(text)['services']}


def test_capture_replays_to_the_same_plan_and_keeps_secrets(tmp_path):
    # Memory on node 2 and a rule that wants node 1; another on which its threads decide; one that no rule matches.
    pinned = start_service('pinned', size=66, node=2, threads=2, duty='10:90', properties={'Environment': 'PASSWORD=hunter2-in-environment'})
    packed = start_service('packed', size=66, node=3, threads=1, duty='10:90')
    start_service('loose', size=20, node=0, threads=1, duty='5:95')
    secret = pathlib.Path('/run/hunter2-mapped-file')
    secret.write_bytes(b'hunter2-content' * 1000)
    lib.run('systemd-run', '--quiet', '--unit=secretive', '-pType=exec', 'python3', '-c',
            'import mmap, time\n'
            f'f = open("{secret}", "r+b"); m = mmap.mmap(f.fileno(), 0); x = m[:]; time.sleep(1000)', 'hunter2-in-arguments')
    try:
        pid = lib.Service('secretive').pid
        wait_for('the file is mapped', lambda: str(secret) in pathlib.Path(f'/proc/{pid}/maps').read_text())
        daemon.configure([{'name': 'one', 'match': {'unit': pinned.unit}, 'place': 'nodes', 'nodes': '1'},
                          {'name': 'pack', 'match': {'unit': packed.unit}, 'place': 'compact', 'shared-pages': 'move'},
                          {'name': 'by-user', 'match': {'unit': 'secretive.service', 'user': 'root', 'exe': '/usr/bin/python3*'},
                           'place': 'compact', 'min-size': '1M'}], dry_run=True)
        archive = tmp_path / 'report.tar'
        said = daemon.ctl('capture', str(archive)).stdout
        assert 'report.tar' in said and '3 with a rule' in said, said
        assert archive.stat().st_mode & 0o777 == 0o600
        assert daemon.ctl('capture', str(archive), check=False).returncode == 1     # never into what is there

        lib.run('tar', 'xf', archive, '-C', tmp_path)
        report = tmp_path / 'report'
        then = (report / 'capture' / 'plan.json').read_text()
        assert replay(report, '--json=short') == then
        plan = decided(then)
        assert plan[pinned.unit]['rule'] == 'one' and plan[pinned.unit]['home_nodes'] == [1], plan[pinned.unit]
        assert plan[pinned.unit]['state'] == 'pending' and plan[pinned.unit]['seen']['memory_map_read']
        assert plan['secretive.service']['rule'] == 'by-user'
        assert plan['loose.service']['state'] == 'observed'
        assert 'What was decided then' in replay(report)

        assert b'hunter2' not in archive.read_bytes()
        names = subprocess.run(['tar', 'tf', str(archive)], text=True, capture_output=True, check=True).stdout
        assert 'cmdline' not in names and 'environ' not in names
        assert 'dmi' not in names and '/root' not in names

        # Elsewhere: a machine of another shape under the same tree does not matter, nor does what runs there now.
        pinned.stop()
        assert replay(report, '--json=short') == then
        if OUT.is_dir():
            shutil.copy(archive, OUT / 'report.tar')
    finally:
        lib.run('systemctl', 'stop', 'secretive.service', check=False)
        secret.unlink()


def test_capture_beside_the_daemon():
    # What the daemon has changed is known to the capture: its cpusets are not taken for the administrator's.
    moved = start_service('moved', size=10, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([{'name': 'one', 'match': {'unit': moved.unit}, 'place': 'nodes', 'nodes': '1', 'memory': 'strict', 'min-size': '8M'}])
    daemon.start()
    wait_for('at home', lambda: at_home(moved, [1])() and daemon.cpusets(moved.cgroup)[3] == '1')
    archive = pathlib.Path('/run/beside.tar')
    daemon.ctl('capture', str(archive))
    lib.run('tar', 'xf', archive, '-C', '/run')
    archive.unlink()
    report = pathlib.Path('/run/beside')
    state = json.loads((report / 'capture' / 'state.json').read_text())
    remembered = {h['cgroup']: h for h in state['history']}['/system.slice/moved.service']
    assert remembered['placed'] is True and remembered['home'] == [1], remembered
    assert {a['cgroup']: a['mems'] for a in state['applied']}['/system.slice/moved.service'] is True, state['applied']
    text = replay(report, '--json=short')
    assert text == (report / 'capture' / 'plan.json').read_text()
    shutil.rmtree(report)
    service = decided(text)[moved.unit]
    assert service['seen']['cpus_set_by_administrator'] is False, service
    assert service['home_nodes'] == [1] and service['state'] == 'stable', service
    assert json.loads(text)['topology']['nodes'][1]['cpus'] == '2-3'
