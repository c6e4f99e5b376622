# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the cases. They run in the guest: tests/system/vm run tests/system/cases/run [PYTEST ARGUMENTS]

@pytest.mark.machine('devices', …) says on which topologies a case makes sense; on others it is left out. Without: on all.
"""

import os
import pathlib
import time

import pytest

import daemon
import lib
import numa

NUMA_BALANCING = pathlib.Path('/proc/sys/kernel/numa_balancing')
# What else of the kernel moves pages, and so would change frames that a case compares: khugepaged, and compaction ahead of need.
MOVES_PAGES = {pathlib.Path('/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs'): '4294967295',
               pathlib.Path('/proc/sys/vm/compaction_proactiveness'): '0'}


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


@pytest.fixture(scope='session', autouse=True)
def still():
    """Nobody but us and the daemon moves pages."""
    for file, value in MOVES_PAGES.items():
        if file.exists():
            file.write_text(value)


@pytest.fixture(scope='module')
def unfragmented():
    """Free memory in large pieces: without them the kernel splits huge pages, or cannot make any."""
    pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')


@pytest.fixture(autouse=True)
def tidy(request):
    """Every service that a case started ends with it, unless a whole file shares them, and the kernel's own balancing, which would move
    pages that a case counts, is off; a case that wants it writes 1. What we use of the CPUs ourselves is on node 0: a planner that avoids
    crowds finds the other nodes as the cases make them. (Before Linux 6.2 only until the case's first cpuset.)"""
    NUMA_BALANCING.write_text('0')
    os.sched_setaffinity(0, numa.cpus_of(0))
    journal = request.getfixturevalue('side_by_side') if 'side_by_side' in request.fixturenames else None
    yield
    if not journal:
        lib.stop_all()
    elif getattr(request.node, 'failed', False):
        show_daemon(journal.began)


@pytest.fixture
def nodes():
    """Online nodes with CPUs and memory, at least two."""
    found = [node for node in numa.online_nodes() if numa.cpus_of(node) and numa.node_meminfo(node)['MemTotal']]
    if len(found) < 2:
        pytest.skip('needs two nodes with CPUs and memory')
    return found


@pytest.fixture(scope='session')
def installed_daemon():
    daemon.reset()


def show_daemon(since):
    print(daemon.run('journalctl', '--no-pager', f'--since=@{since:.3f}', '-o', 'short-monotonic', '-u', daemon.UNIT, check=False).stdout)
    print(daemon.run('numabalancectl', 'list', check=False).stdout)


@pytest.fixture(scope='module')
def side_by_side(installed_daemon):
    """The daemon's journal from here on, for a file whose cases share one daemon and the services beside each other."""
    yield daemon.Journal()
    lib.stop_all()
    daemon.reset()


@pytest.fixture
def fresh_daemon(request, installed_daemon):
    """As freshly installed before and after a case: no daemon, no configuration, nothing on record. A failure shows what the daemon said."""
    began = time.time()
    yield
    if getattr(request.node, 'failed', False):
        show_daemon(began)
    lib.stop_all()
    daemon.reset()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.failed = getattr(item, 'failed', False) or report.failed
    item.took = getattr(item, 'took', 0) + call.duration
    report.took = item.took


def pytest_report_teststatus(report):
    """Says what each case took as it ends: a run that is interrupted tells too."""
    if report.when == 'call' and report.passed and not hasattr(report, 'wasxfail'):
        return 'passed', '.', f'PASSED ({report.took:.1f} s)'
