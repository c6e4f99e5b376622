# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the cases. They run in the guest: tests/system/vm run tests/system/cases/run [PYTEST ARGUMENTS]

@pytest.mark.machine('devices', …) says on which topologies a case makes sense; on others it is left out. Without: on all.
"""

import os
import pathlib

import pytest

import daemon
import lib
import numa

NUMA_BALANCING = pathlib.Path('/proc/sys/kernel/numa_balancing')


def pytest_configure(config):
    config.addinivalue_line('markers', 'machine(topology, …): the topologies that a case is made for')


def pytest_collection_modifyitems(config, items):
    def fits(item):
        marker = item.get_closest_marker('machine')      # a case's own before its file's
        return marker is None or os.environ.get('VM_TOPOLOGY') in marker.args
    left_out = [item for item in items if not fits(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if fits(item)]


@pytest.fixture(autouse=True)
def tidy():
    """Every service that a case started ends with it, and the kernel's own balancing, which would move pages that a case
    counts, is off; a case that wants it writes 1."""
    NUMA_BALANCING.write_text('0')
    yield
    lib.stop_all()


@pytest.fixture
def nodes():
    """Online nodes with CPUs and memory, at least two."""
    found = [node for node in numa.online_nodes() if numa.cpus_of(node) and numa.node_meminfo(node)['MemTotal']]
    if len(found) < 2:
        pytest.skip('needs two nodes with CPUs and memory')
    return found


@pytest.fixture
def fresh_daemon(request):
    """As freshly installed before and after a case: no daemon, no configuration, nothing on record. A failure shows what the daemon said."""
    daemon.reset()
    cursor = lib.journal_cursor()
    yield
    if getattr(request.node, 'failed', False):
        print(daemon.run('journalctl', '--no-pager', f'--after-cursor={cursor}', '-o', 'short-monotonic', '-u', daemon.UNIT, check=False).stdout)
        print(daemon.run('numabalancectl', 'list', check=False).stdout)
    lib.stop_all()
    daemon.reset()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.failed = getattr(item, 'failed', False) or outcome.get_result().failed
