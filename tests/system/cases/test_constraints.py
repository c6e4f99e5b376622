# SPDX-License-Identifier: GPL-2.0-or-later
"""What rules say of each other and of nodes, on real pages: where a service may be, with whom, and who gives way."""

import json
import os
from pathlib import Path

import pytest

import daemon
import numa
from daemon import at_home, start_service, wait_for

IDS = daemon.message_ids()
pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('4x2', 'devices')]
# Small pages: one that is busy for a moment is a small part of the service.
SMALL = dict(size=8, threads=1, duty='5:95', no_thp=True)


def rule(name, **keys):
    """For the services NAME and NAME-1, NAME-2 …"""
    return {'name': name, 'match': {'unit': [f'{name}.service', f'{name}-*.service']}, 'place': 'compact', 'min-size': '4M', 'cooldown': '2s',
            **{key.replace('_', '-'): value for key, value in keys.items()}}


def sits(service):
    """Its home by the daemon's word, if it is there and the kernel agrees about pages and CPUs; else None."""
    entry = at_home(service)()
    agreed = entry and service.effective_cpus() == sorted(cpu for node in entry['home_nodes'] for cpu in numa.cpus_of(node))
    return entry['home_nodes'] if agreed else None


def home_of(service):
    """The same, waited for."""
    return wait_for(f'{service.unit} at home', lambda: sits(service))


def wait_for_homes(services, fit):
    """Waits until all of them are at home at once, in homes (a list in the order of services) that fit."""
    wait_for('all at home', lambda: None not in (homes := [sits(service) for service in services]) and fit(homes))


def assert_excluded(service, forbidden, constraint):
    """explain has no candidate with one of these nodes that could be, and names the constraint for one that could not."""
    candidates = json.loads(daemon.ctl('explain', service.unit, '--json=short').stdout)['candidates']
    barred = [c for c in candidates if forbidden & set(c['nodes'])]
    assert [c for c in barred if c['feasible']] == [], candidates
    assert any(constraint in c['verdict'] for c in barred), candidates


def test_allowed_and_avoided_nodes():
    within, shuns = start_service('within', node=0, **SMALL), start_service('shuns', node=1, **SMALL)
    daemon.configure([rule('within', allowed_nodes='2-3', max_nodes=1), rule('shuns', avoid_nodes='1')])
    daemon.start()
    wait_for_homes((within, shuns), lambda homes: homes[0] in ([2], [3]) and 1 not in homes[1])
    for service, forbidden, constraint in ((within, {0, 1}, 'allowed-nodes'), (shuns, {1}, 'avoid-nodes')):
        assert_excluded(service, forbidden, constraint)


def test_bounds_on_the_number_of_nodes():
    # One that would be fine on one node, and one whose three busy threads would be better off on two.
    wide = start_service('wide', node=2, **SMALL)
    narrow = start_service('narrow', size=10, node=0, threads=3, duty='30:10', no_thp=True)
    daemon.configure([rule('wide', min_nodes=2, allowed_nodes='2-3'), rule('narrow', max_nodes=1, allowed_nodes='0-1')])
    daemon.start()
    wait_for_homes((wide, narrow), lambda homes: homes[0] == [2, 3] and len(homes[1]) == 1)


def test_services_together():
    # Far from each other; a rule's own name holds its services together.
    other, *twins = [start_service(name, node=node, **SMALL) for name, node in (('web', 0), ('db-1', 3), ('db-2', 2))]
    daemon.configure([rule('db', together_with=['db']), rule('web', together_with=['db'])])
    daemon.start()
    wait_for_homes((other, *twins), lambda homes: homes[0] == homes[1] == homes[2] and len(homes[0]) == 1)


def test_replicas_apart():
    # All four on node 0, where they would have room; apart from their own rule means a node each.
    replicas = [start_service(f'replica-{i}', node=0, **SMALL) for i in range(4)]
    daemon.configure([rule('replica', apart_from=['replica'])])
    daemon.start()
    wait_for_homes(replicas, lambda homes: sorted(homes) == [[0], [1], [2], [3]])


def test_exclusive_node():
    # Three lie on node 1, which one of them gets for itself; the third is nobody's business.
    alone, other, unmatched = [start_service(name, node=1, **SMALL) for name in ('alone', 'other', 'unmatched')]
    frames = unmatched.frames()
    daemon.configure([rule('other'), rule('alone', place='nodes', nodes='1', exclusive=True, priority=101)])
    daemon.start()
    wait_for_homes((alone, other), lambda homes: homes[0] == [1] and 1 not in homes[1])
    assert_excluded(other, {1}, 'exclusive')
    assert unmatched.frames() == frames
    assert daemon.cpusets(unmatched.cgroup)[0] in ('', None)


def test_stronger_rule_displaces_a_weaker_one():
    # Where the weak one is does not matter, but that it stays there until it is displaced.
    weak = start_service('weak', node=1, **SMALL)
    daemon.configure([rule('weak', priority=50, cooldown='1h')])
    daemon.start()
    home, = home_of(weak)
    strong = start_service('strong', node=(home + 1) % 4, **SMALL)
    journal = daemon.Journal()
    daemon.configure([rule('weak', priority=50), rule('strong', place='nodes', nodes=str(home), exclusive=True, priority=200)])
    daemon.ctl('reload')
    wait_for_homes((strong, weak), lambda homes: homes[0] == [home] and home not in homes[1])
    reasons = [entry['MESSAGE'] for entry in journal.of_unit(weak.unit, IDS['DECISION'])]
    assert any('strong' in reason and 'priority 200' in reason for reason in reasons), reasons


def test_weaker_rule_that_can_go_nowhere_is_blocked():
    # Two services of the stronger rule take both nodes for themselves. That there are two can't be seen in the file.
    strong = [start_service(f'strong-{node}', node=node, **SMALL) for node in (0, 1)]
    weak = start_service('weak', node=1, **SMALL)
    frames = weak.frames()
    daemon.configure([rule('weak', allowed_nodes='0-1', priority=50),
                      rule('strong', allowed_nodes='0-1', max_nodes=1, exclusive=True, priority=200)])
    daemon.start()
    wait_for_homes(strong, lambda homes: sorted(homes) == [[0], [1]])
    wait_for('blocked', lambda: daemon.state(weak.unit) == 'blocked')
    reason = daemon.service(weak.unit)['reason']
    assert 'strong' in reason and 'priority 200' in reason, reason
    assert weak.frames() == frames
    assert daemon.cpusets(weak.cgroup)[0] in ('', None)


def test_threads_that_are_bound_keep_their_cpus():
    # Its CPUs are on node 0, and its memory is wanted on node 3: a cpuset of node 3 would take its threads along.
    bound = start_service('bound', node=2, affinity='0-1', **SMALL)
    daemon.configure([rule('bound', place='nodes', nodes='3')])
    daemon.start()
    entry = wait_for('moved', at_home(bound, [3], restricted=False))
    assert 'bound to CPUs' in entry['reason'], entry
    assert daemon.cpusets(bound.cgroup)[0] in ('', None)
    assert all(os.sched_getaffinity(int(thread.name)) == {0, 1} for thread in Path(f'/proc/{bound.pid}/task').iterdir())


def test_move_that_would_not_pay_is_not_made():
    # 60 MB at 64 KiB a second: a quarter of an hour, for half of the way over the ten minutes that it is expected to last.
    service = start_service('slow', size=60, node=2, threads=1, duty='5:95', affinity='0-1')
    frames = service.frames()
    daemon.configure([rule('slow', place='follow', migrate_rate='64K')])
    daemon.start()
    entry = wait_for('decided', lambda: (e := daemon.service(service.unit)) and 'would not pay for itself' in e['reason'] and e)
    assert entry['state'] == 'stable', entry
    assert service.frames() == frames
