# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs of Debian as workloads: a server as a service, populated and then put in the wrong place; a client that keeps it busy from
outside its cgroup; and what the client says of work done and the longest wait."""

import atexit
import csv
import os
import pathlib
import shutil
import subprocess
import threading
import time

import lib
import numa
from comparelib import sampler

REDIS_PORT, REDIS_KEYS, REDIS_VALUE, REDIS_BATCH = 7001, 60000, 1000, 5000
PG_PORT, PG_SCALE, PG_PER_SEC = 7002, 2, 250
REST = 2                        # redis-benchmark knows no rate: it rests so many times as long as a batch took
MEMORY, CPUS = 3, 0             # nodes where a server's memory and, at first, its threads are: best is the former, and nothing has to move

_clients = []


def launch(unit, *words, properties=()):
    """Starts a transient service and waits until it is ready. Each systemctl costs a second under emulation, so nothing is asked here."""
    lib.run('systemd-run', '--quiet', f'--unit={unit}', '-pType=notify', *(f'-p{one}' for one in properties), *words, timeout=300)


def stop_services(pattern):
    lib.run('systemctl', 'stop', pattern, check=False)
    lib.run('systemctl', 'reset-failed', pattern, check=False)


class ClientStats:
    """Requests done and the longest wait, added by a thread that reads what the client prints."""
    pass_units = 1

    def __init__(self):
        self._lock, self._done, self._longest = threading.Lock(), 0, 0

    def add(self, done, longest_usec):
        with self._lock:
            self._done += done
            self._longest = max(self._longest, longest_usec)

    def read(self):
        with self._lock:
            longest, self._longest = self._longest, 0
            return self._done, int(longest)


class Client(threading.Thread):
    """Runs a command again and again, and hands what each run printed to a function that gives (done, longest wait in µs). In between it rests for
    so many times as long as the run took: about a third of the machine is used, as services do, and not all of it."""

    def __init__(self, command, parse, stats, rest=0):
        super().__init__(daemon=True)
        self._command, self._parse, self._stats, self._rest = command, parse, stats, rest
        self._process, self._ended = None, threading.Event()
        self.problem = None

    def run(self):
        while not self._ended.is_set():
            began = time.monotonic()
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            output = self._process.communicate()[0]
            if self._ended.is_set():
                return
            if self._process.returncode:
                self.problem = output
                return
            self._stats.add(*self._parse(output))
            self._ended.wait(self._rest * (time.monotonic() - began))

    def end(self):
        self._ended.set()
        if self._process and self._process.poll() is None:
            self._process.terminate()
        self.join(20)


def stop_clients():
    while _clients:
        client = _clients.pop()
        client.end()
        if client.problem:
            print(f'compare: a client failed:\n{client.problem}', flush=True)


atexit.register(stop_clients)


def _misplace(unit):
    """All its memory to one node and its threads to another one, free to go on from there."""
    others = ','.join(str(node) for node in numa.online_nodes() if node != MEMORY)
    for pid in numa.cgroup_pids(sampler.cgroup_of(unit)):
        try:
            lib.run('migratepages', pid, others, MEMORY)
            for cpus in (numa.cpus_of(CPUS), range(os.cpu_count())):
                for tid in numa.threads(pid):
                    os.sched_setaffinity(tid, set(cpus))
        except (AssertionError, OSError):
            if os.path.exists(f'/proc/{pid}'):      # else it ended: processes of a server come and go
                raise


def parse_redis(output):
    """The CSV of redis-benchmark: the longest wait in ms, per test."""
    rows = list(csv.DictReader(line for line in output.splitlines() if line.startswith('"')))
    return (len(rows) * REDIS_BATCH, max(float(row['max_latency_ms']) for row in rows) * 1000)


def redis(unit):
    launch(unit, '/usr/bin/redis-server', '--port', REDIS_PORT, '--save', '""', '--appendonly', 'no', '--supervised', 'systemd', '--dir', '/tmp')
    benchmark = ['redis-benchmark', '-p', str(REDIS_PORT), '-r', str(REDIS_KEYS), '-d', str(REDIS_VALUE), '--csv', '-c', '8']
    lib.run(*benchmark, '-t', 'set', '-n', 2 * REDIS_KEYS, '-P', 16, timeout=300)
    _misplace(unit)
    stats = ClientStats()
    client = Client([*benchmark, '-t', 'get,set', '-n', str(REDIS_BATCH)], parse_redis, stats, REST)
    _clients.append(client)
    client.start()
    return sampler.Placed(unit, [MEMORY], stats)


def parse_pgbench(log_prefix):
    """pgbench's log, with one line per second: start, transactions, sum and sum of squares of the latencies, shortest, longest (µs)."""
    def parse(_output):
        done, longest = 0, 0
        for path in pathlib.Path(log_prefix).parent.glob(pathlib.Path(log_prefix).name + '.*'):
            for line in path.read_text().splitlines():
                words = line.split()
                done, longest = done + int(words[1]), max(longest, int(words[5]))
            path.unlink()
        return done, longest
    return parse


def _as_postgres(*words):
    return ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', *map(str, words)]


def _populated(binaries):
    """A directory with a cluster that pgbench has filled; made once a boot, because that takes minutes under emulation."""
    data, unit = pathlib.Path('/tmp/postgres-populated'), 'cmp-populate'
    if (data / 'is-whole').exists():
        return data
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    lib.run('chown', 'postgres', data)
    lib.run(*_as_postgres(binaries / 'initdb', '-D', data / 'd', '--no-sync', '-A', 'trust'), timeout=300)
    _serve(unit, binaries, data)
    lib.run(*_as_postgres(binaries / 'pgbench', '-h', data, '-p', PG_PORT, '-i', '-s', PG_SCALE, '-q', 'postgres'), timeout=400)
    lib.run('systemctl', 'stop', unit)
    (data / 'is-whole').touch()
    return data


def _serve(unit, binaries, data):
    launch(unit, binaries / 'postgres', '-D', data / 'd', '-p', PG_PORT, '-k', data, '-c', 'shared_buffers=96MB', '-c', 'fsync=off',
           '-c', 'huge_pages=off', properties=['User=postgres'])


def postgres(unit):
    binaries = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'))[-1]
    data = pathlib.Path(f'/tmp/{unit}')
    lib.run('cp', '-a', _populated(binaries), data)
    _serve(unit, binaries, data)
    stats, prefix = ClientStats(), data / 'log'
    # Reading all of it fills its buffers; a rate, because a machine that is all busy tells of nothing but its emulator.
    where = ['-h', data, '-p', PG_PORT]
    lib.run(*_as_postgres(binaries / 'psql', *where, '-qAt', '-c', 'select sum(abalance) from pgbench_accounts', 'postgres'), timeout=300)
    client = Client(_as_postgres(binaries / 'pgbench', *where, '-n', '-c', 4, '-j', 2, '-T', 5, '-S', '-R', PG_PER_SEC, '-l',
                                 '--aggregate-interval=1', f'--log-prefix={prefix}', 'postgres'), parse_pgbench(prefix), stats)
    _clients.append(client)
    client.start()
    time.sleep(2)               # its connections are processes of the service, and are to be misplaced too
    _misplace(unit)
    return sampler.Placed(unit, [MEMORY], stats)
