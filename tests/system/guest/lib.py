# SPDX-License-Identifier: GPL-2.0-or-later
"""What test cases in the guest are written with: services made of `workload`, waiting, and the journal.

    service = start('victim', '--node', 2, '--size', 100)
    wait_for(lambda: service.locality() >= 0.99, 120, lambda: service.describe())
"""

import atexit
import json
import pathlib
import re
import subprocess
import time

import numa

UNITS = pathlib.Path('/run/systemd/system')


def run(*command, check=True, timeout=120):
    """Runs a command and returns its output; says what the command said when it failed."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=timeout)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def wait_for(condition, limit, describe=None, every=0.5):
    """Waits until condition() is true, and returns what it gave. Fails after limit seconds with what describe() says.

    limit is generous on purpose: it catches a hang, it doesn't measure. AssertionError and OSError in the condition
    count as not yet.
    """
    end, problem = time.monotonic() + limit, None
    while True:
        try:
            value = condition()
            if value:
                return value
            problem = None
        except (AssertionError, OSError, StopIteration) as error:
            problem = error
        if time.monotonic() >= end:
            state = describe() if describe else ''
            raise AssertionError(f'not within {limit} s{f": {problem!r}" if problem else ""}\n{state}')
        time.sleep(every)


def show(unit, *names):
    """Properties of a unit as {name: text}."""
    text = run('systemctl', 'show', unit, *(f'-p{name}' for name in names))
    return dict(line.split('=', 1) for line in text.splitlines() if '=' in line)


class Service:
    """A unit, usually one that runs `workload`."""

    def __init__(self, unit):
        self.unit = unit if '.' in unit else unit + '.service'
        self._lasting = {}

    def show(self, name):
        return show(self.unit, name).get(name, '')

    def _told(self, name):
        """A property that lasts as long as the service runs: asked for once, as asking costs a tenth of a second under emulation."""
        if not self._lasting:
            found = show(self.unit, 'MainPID', 'ControlGroup', 'StatusText')
            if not found.get('ControlGroup') or int(found['MainPID']) == 0:
                raise AssertionError(f'{self.unit} is not running')
            self._lasting = found
        return self._lasting[name]

    def is_active(self):
        return self.show('ActiveState') == 'active'

    @property
    def pid(self):
        return int(self._told('MainPID'))

    @property
    def cgroup(self):
        return numa.CGROUP / self._told('ControlGroup').lstrip('/')

    def pids(self):
        return numa.cgroup_pids(self.cgroup)

    def region(self):
        """(start, size) of the workload's memory, which it reports in its status text."""
        start, size = re.search(r'region (0x[0-9a-f]+) (\d+)', self._told('StatusText')).groups()
        return int(start, 16), int(size)

    # ---- where it is ----

    def bytes(self):
        """{node: bytes} of all its processes, by numa_maps. A page shared by two of them counts twice."""
        return numa.add_up(numa.process_bytes(pid) for pid in self.pids())

    def region_bytes(self):
        """{node: bytes} of the workload's memory alone, asked page by page."""
        nodes = numa.page_nodes(self.pid, *self.region())
        return {node: nodes.count(node) * numa.PAGE for node in sorted(set(nodes))}

    def region_share(self, node):
        """Share of the workload's memory on a node."""
        return self.region_bytes().get(node, 0) / self.region()[1]

    def frames(self):
        """The physical pages of the workload's memory: compare before and after to prove that none was moved."""
        return numa.page_frames(self.pid, *self.region())

    def cpu_shares(self, seconds=2.0):
        return numa.cpu_shares(self.pids(), seconds)

    def locality(self, seconds=2.0):
        return numa.locality(self.cpu_shares(seconds), numa.shares(self.bytes()))

    def effective_cpus(self):
        return numa.cgroup_list(self.cgroup, 'cpuset.cpus.effective')

    def effective_nodes(self):
        return numa.cgroup_list(self.cgroup, 'cpuset.mems.effective')

    def describe(self):
        """Everything about it on a few lines, for messages."""
        try:
            mib = {node: f'{count / 2**20:.1f}M' for node, count in self.bytes().items()}
            cpu = self.cpu_shares(1.0)
            return (f'{self.unit}: memory {mib} CPU {({node: f"{share:.2f}" for node, share in cpu.items()})} '
                    f'locality {numa.locality(cpu, numa.shares(self.bytes())):.3f} '
                    f'cpus {self.effective_cpus()} nodes {self.effective_nodes()}')
        except (OSError, AssertionError) as error:
            return f'{self.unit}: {error}'

    # ---- what happens to it ----

    def restart(self):
        run('systemctl', 'restart', self.unit)
        self._lasting = {}

    def stop(self):
        stop(self)


_started = []


def start(name, *arguments, transient=True, properties=None, command='workload'):
    """Starts a service that runs `workload` (or a command with its whole path) with arguments, and returns when it has populated its memory.

    transient services go by systemd-run; the others get a unit file in /run, and so can be restarted. properties are
    those of the [Service] section.
    """
    service = Service(name)
    properties = {'Type': 'notify', **(properties or {})}
    words = [str(pathlib.Path('/usr/local/bin') / command), *map(str, arguments)]
    if transient:
        run('systemd-run', '--quiet', '--collect', f'--unit={service.unit}', *(f'-p{key}={value}' for key, value in properties.items()),
            *words)
    else:
        settings = ''.join(f'{key}={value}\n' for key, value in properties.items())
        UNITS.mkdir(exist_ok=True)
        (UNITS / service.unit).write_text(f'[Service]\nExecStart={" ".join(words)}\n{settings}')
        run('systemctl', 'daemon-reload')
        run('systemctl', 'start', service.unit)
    _started.append(service)
    return service


def stop(*services):
    """Stops services, and takes away what start() made for them."""
    if not services:
        return
    for service in services:
        if service in _started:
            _started.remove(service)
    run('systemctl', 'stop', *(service.unit for service in services), check=False)
    files = [UNITS / service.unit for service in services if (UNITS / service.unit).exists()]
    for file in files:
        file.unlink()
    if files:
        run('systemctl', 'reset-failed', *(file.name for file in files), check=False)
        run('systemctl', 'daemon-reload')


def stop_all():
    """Stops every service that start() made."""
    stop(*_started)


atexit.register(stop_all)


def journal(unit=None, cursor=None, **fields):
    """Journal entries of this boot as dicts, e.g. journal('numabalanced', MESSAGE_ID='…'). cursor: only later ones."""
    run('journalctl', '--sync', check=False)    # what was sent and not written yet, too
    command = ['journalctl', '--boot', '--output=json', '--no-pager', '--quiet']
    if unit:
        command.append(f'--unit={unit}')
    if cursor:                                  # no match then: see daemon.Journal
        command.append(f'--after-cursor={cursor}')
        matches = []
    else:
        matches = [f'{name}={value}' for name, value in fields.items()]
    entries = [json.loads(line) for line in run(*command, *matches).splitlines() if line.startswith('{')]
    return [entry for entry in entries if all(entry.get(name) == str(value) for name, value in fields.items())]


def journal_cursor():
    """Where the journal ends now."""
    return json.loads(run('journalctl', '--boot', '--output=json', '--lines=1', '--no-pager'))['__CURSOR']
