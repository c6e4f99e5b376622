# SPDX-License-Identifier: GPL-2.0-or-later
"""What administrators and scripts see: the contract of numabalancectl, the unit, the journal's catalog."""

import json
import re

import pytest

import daemon
import numa
from daemon import at_home, next_cycles, settled, start_service, wait_for

IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]


def test_unit_is_hardened():
    out = daemon.run('systemd-analyze', 'security', '--no-pager', daemon.UNIT).stdout
    level = float(re.search(r'Overall exposure level for .*: ([0-9.]+)', out)[1])
    assert level <= 2.0, out


def test_verify_finds_nothing():
    done = daemon.run('systemd-analyze', 'verify', '--man=no', daemon.UNIT)
    assert [line for line in done.stderr.splitlines() if 'numabalanced' in line] == []


def test_without_configuration_it_only_observes():
    service = start_service('watched', size=24, node=2, threads=1, duty='5:100')
    before = service.frames()
    daemon.configure([])
    daemon.start()
    # CPU time is a difference: the first cycle that sees a service need not know it.
    entry = wait_for('seen', lambda: (e := daemon.service(service.unit)) and sum(e['cpu_by_node']) > 0 and e)
    assert entry['state'] == 'observed' and entry['rule'] is None and entry['place'] is None and entry['home_nodes'] == []
    assert service.frames() == before
    by_node = service.region_bytes()
    assert len(entry['bytes_by_node']) == 4
    assert abs(entry['bytes_by_node'][2] - by_node[2]) <= 4 << 20, (entry, by_node)
    assert abs(sum(entry['cpu_by_node']) - 1) < 0.01


def test_topology():
    nodes = json.loads(daemon.ctl('topology', '--json=short').stdout)['nodes']
    assert [n['id'] for n in nodes] == [0, 1, 2, 3]
    assert [n['cpus'] for n in nodes] == ['0-1', '2-3', '4-5', '6-7'] or [n['cpus'] for n in nodes] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    for n in nodes:
        with open(f'/sys/devices/system/node/node{n["id"]}/distance') as f:
            assert n['distances'] == [int(d) for d in f.read().split()]
        assert 0 < n['bytes_free'] <= n['bytes_total'] == numa.node_meminfo(n['id'])['MemTotal']


def test_exit_statuses():
    assert daemon.ctl('list', check=False).returncode == 3           # not running
    assert daemon.ctl('nonsense', check=False).returncode == 2
    assert daemon.run('numabalanced', '--nonsense', check=False).returncode == 2
    daemon.write_config('rules: 7\n')
    assert daemon.run('numabalanced', '--check', check=False).returncode == 78
    daemon.configure([])
    assert daemon.run('numabalanced', '--check', check=False).returncode == 0
    daemon.start()
    assert daemon.ctl('explain', 'no-such.service', check=False).returncode == 1


def test_reading_is_for_everyone_changing_for_root():
    daemon.configure([])
    daemon.start()
    as_nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'numabalancectl']
    assert daemon.run(*as_nobody, 'list', '--json=short', check=False).returncode == 0
    for verb in ('reload', 'restore', 'pause'):
        done = daemon.run(*as_nobody, verb, check=False)
        assert done.returncode == 1, (verb, done)
    assert daemon.status()['paused'] is False


def test_once_dry_run_changes_nothing_and_needs_nobody():
    service = start_service('once', size=66, node=2, threads=1, duty='5:95')
    before = service.frames()
    daemon.configure([{'name': 'o', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1'}])
    done = daemon.run('numabalanced', '--once', '--dry-run')
    assert service.unit in done.stdout and 'dry run' in done.stdout + done.stderr
    assert service.frames() == before
    assert daemon.cpusets(service.cgroup)[0] in ('', None)
    assert not daemon.RECORD.exists()


def test_once_acts():
    service = start_service('act', size=10, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([{'name': 'o', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '8M'}])
    daemon.run('numabalanced', '--once')
    assert service.region_share(1) >= 0.95
    assert daemon.cpusets(service.cgroup)[2] == '2-3'
    daemon.configure([])               # the daemon that comes later finds the record, and gives it back
    daemon.start()
    wait_for('given back', lambda: daemon.cpusets(service.cgroup)[2] in ('0-7', None))


def test_explain_and_catalog():
    service = start_service('explained', size=10, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([{'name': 'e', 'match': {'unit': service.unit}, 'place': 'compact', 'max-nodes': 1, 'min-size': '8M'}])
    daemon.start()
    wait_for('at home', settled(service.unit))
    text = daemon.ctl('explain', service.unit).stdout
    assert 'rejected' in text and service.unit in text
    explained = json.loads(daemon.ctl('explain', service.unit, '--json=short').stdout)
    assert sum(c['chosen'] for c in explained['candidates']) == 1
    catalog = daemon.run('journalctl', '-x', '--no-pager', '-u', daemon.UNIT, 'MESSAGE_ID=' + IDS['DECISION']).stdout
    assert '░░' in catalog and service.unit in catalog


def test_quiet_while_nothing_changes():
    service = start_service('quiet', size=10, node=2, threads=1, duty='5:95', no_thp=True)
    daemon.configure([{'name': 'q', 'match': {'unit': service.unit}, 'place': 'nodes', 'nodes': '1', 'min-size': '8M'}], max_interval='1s')
    daemon.start()
    wait_for('at home', at_home(service, [1]))
    journal = daemon.Journal()
    next_cycles(5)
    assert [e['MESSAGE'] for e in journal.entries()] == []


def test_topology_leaves_out_partitions():
    # CPUs 6-7, all of node 3, go to a cgroup of their own: they are no longer anybody else's.
    part = numa.CGROUP / 'partition'
    part.mkdir()
    try:
        (numa.CGROUP / 'cgroup.subtree_control').write_text('+cpuset')
        (part / 'cpuset.cpus').write_text('6-7')
        (part / 'cpuset.cpus.partition').write_text('root')
        assert (part / 'cpuset.cpus.partition').read_text().strip() == 'root'
        nodes = json.loads(daemon.ctl('topology', '--json=short').stdout)['nodes']
        assert [n['cpus'] for n in nodes] == ['0-1', '2-3', '4-5', '']
        (part / 'cpuset.cpus.partition').write_text('member')
        nodes = json.loads(daemon.ctl('topology', '--json=short').stdout)['nodes']
        assert [n['cpus'] for n in nodes] == ['0-1', '2-3', '4-5', '6-7']
    finally:
        part.rmdir()
