# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon under test, as its administrator handles it: the shipped unit, numabalancectl, the journal. Nothing here looks into
the daemon; where pages really are is told by lib.py, which does not ask it."""

import json
import pathlib
import subprocess
import time

import lib
import numa

CONFIG = pathlib.Path('/etc/numabalanced/numabalanced.d/test.yaml')
RECORD = pathlib.Path('/run/numabalanced/record.json')
UNIT = 'numabalanced.service'


def run(*command, check=True, timeout=400):
    done = subprocess.run(command, text=True, capture_output=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f'{" ".join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}')
    return done


def ctl(*arguments, check=True, timeout=400):
    return run('numabalancectl', *arguments, check=check, timeout=timeout)


def configure(rules, **settings):
    """Writes a drop-in with these rules (dicts) and daemon settings (under_scores become dashes). JSON is YAML. The short interval
    also shortens what the daemon measures before it decides for the first time."""
    daemon = {'interval': '1s', 'max-interval': '20s', 'scan-cpu': '100%'}
    daemon.update({key.replace('_', '-'): value for key, value in settings.items()})
    write_config(json.dumps({'version': 1, 'daemon': daemon, 'rules': rules}))


def write_config(text):
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(text)


def start():
    run('systemctl', 'start', UNIT)


def stop():
    run('systemctl', 'stop', UNIT)


def main_pid():
    return int(run('systemctl', 'show', '-P', 'MainPID', UNIT).stdout)


def reset():
    """No daemon, no configuration, nothing on record: as freshly installed."""
    run('systemctl', 'stop', UNIT, check=False)
    run('systemctl', 'reset-failed', UNIT, check=False)
    CONFIG.unlink(missing_ok=True)
    for path in RECORD.parent.glob('*'):
        path.unlink()


def services():
    return json.loads(ctl('list', '--json=short').stdout)


def service(unit):
    """What `list` says of a unit, or None."""
    for entry in services():
        if entry['unit'] == unit:
            return entry
    return None


def state(unit):
    entry = service(unit)
    return entry and entry['state']


def status():
    return json.loads(ctl('status', '--json=short').stdout)


def topology():
    return json.loads(ctl('topology', '--json=short').stdout)


def settled(unit, home=None):
    """A condition for wait_for: the daemon says that the unit is at home (at this one, if given), done, and looked at since. Gives its entry."""
    def look():
        entry = service(unit)
        done = entry and entry['state'] == 'stable' and 'just ended' not in entry['reason']
        return done and entry['home_nodes'] and (home is None or entry['home_nodes'] == home) and entry
    return look


def at_home(service, home=None, share=0.95, restricted=True):
    """The same of a service, once the kernel agrees that this share of its memory is there. All but a twentieth is what the daemon promises
    of a stable service: a page can be busy for a moment. Where its CPUs are to be restricted, the daemon is only asked once they are:
    asking it is dear under emulation, and what the guest does for us it does not do for the move."""
    look = settled(service.unit, home)

    def agree():
        if restricted and service.effective_cpus() == sorted(numa.node_of_cpu()):
            return None
        entry = look()
        if not entry:
            return None
        by_node = service.region_bytes()
        there = sum(by_node.get(node, 0) for node in entry['home_nodes'])
        return there >= share * sum(by_node.values()) and entry
    return agree


def next_cycles(n):
    """Waits until the daemon has looked n times more."""
    after = status()['cycles'] + n
    wait_for(f'{n} more cycles', lambda: status()['cycles'] >= after)


class Journal:
    """The daemon's entries from now on."""

    def __init__(self):
        # A cursor, not a time: what was written in this same second does not count, nor what was sent before and comes late.
        run('journalctl', '--sync', check=False)
        out = run('journalctl', '-n', '1', '--show-cursor', '-o', 'cat', check=False).stdout
        cursors = [line.split(': ', 1)[1] for line in out.splitlines() if line.startswith('-- cursor: ')]
        self.after = ['--after-cursor', cursors[-1]] if cursors else []
        self.began = time.time()

    def entries(self, **fields):
        # What was sent and not written yet counts too: on a busy machine the journal comes late.
        run('journalctl', '--sync', check=False)
        # No match is given: journalctl before systemd 253 leaves out the first entry after a cursor whose own entry does not match.
        out = run('journalctl', '-o', 'json', '--no-pager', *self.after).stdout
        entries = [json.loads(line) for line in out.splitlines() if line.startswith('{') and UNIT in line]
        fields['_SYSTEMD_UNIT'] = UNIT
        return [e for e in entries if all(e.get(key) == value for key, value in fields.items())]

    def of_unit(self, unit, message_id=None):
        fields = {'NUMABALANCED_UNIT': unit}
        if message_id:
            fields['MESSAGE_ID'] = message_id
        return self.entries(**fields)


def message_ids():
    """Name → id, from the header that the daemon is built with."""
    ids = {}
    for line in pathlib.Path('/src/daemon/report/message-ids.h').read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == '#define':
            ids[words[1].removeprefix('MESSAGE_ID_')] = words[2].strip('"')
    return ids


def cpusets(cgroup):
    """(configured cpus, configured mems, effective cpus, effective mems) as the kernel prints them; None where there is no file."""
    def read(name):
        try:
            return (cgroup / name).read_text().strip()
        except FileNotFoundError:
            return None
    return tuple(read(name) for name in ('cpuset.cpus', 'cpuset.mems', 'cpuset.cpus.effective', 'cpuset.mems.effective'))


def start_service(name, unit_file=False, properties=None, **options):
    """A service that runs workload: size=100, node=2 and so on are its options."""
    words = []
    for key, value in options.items():
        words.append('--' + key.replace('_', '-'))
        if value is not True:
            words.append(value)
    return lib.start(name, *words, transient=not unit_file, properties=properties)


def wait_for(what, condition, limit=400, every=0.5):
    """Waits for a state, never for a time; the limit is only there so that a failure ends. So nobody needs to choose one."""
    return lib.wait_for(condition, limit, lambda: f'{what}\n' + run('numabalancectl', 'list', check=False).stdout, every)
