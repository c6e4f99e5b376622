# SPDX-License-Identifier: GPL-2.0-or-later
"""The systems that are compared. Each is switched on when a cell's time begins and leaves nothing behind; cpu_seconds() is the CPU time of
its own processes, None where it has none: what the kernel does runs inside the workload, and is seen there."""

import pathlib
import time

import daemon
import lib
import numa

BALANCING = pathlib.Path('/proc/sys/kernel/numa_balancing')
THP_SCAN = pathlib.Path('/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs')
NUMAD_UPTIME = 315          # seconds: numad compares the time since boot with a stamp of zero, and leaves all alone for the first 300
HAND_UNIT = 'compare-hand.service'


def uptime():
    return float(pathlib.Path('/proc/uptime').read_text().split()[0])


def unit_cpu_seconds(unit):
    value = lib.show(unit, 'CPUUsageNSec').get('CPUUsageNSec', '')
    return int(value) / 1e9 if value.isdigit() else None


class Nothing:
    def start(self, services, rules):
        pass

    def cpu_seconds(self):
        return None

    def stop(self):
        pass


class Kernel(Nothing):
    def start(self, services, rules):
        BALANCING.write_text('1')

    def stop(self):
        BALANCING.write_text('0')


class Numad(Nothing):
    """As its package runs it: intervals of 5 to 15 seconds."""

    def start(self, services, rules):
        if uptime() < NUMAD_UPTIME:
            raise AssertionError('the machine has not been up for long enough: numad would not look at anything')
        self._thp_scan = THP_SCAN.read_text()       # numad writes it
        lib.run('systemctl', 'start', 'numad')

    def cpu_seconds(self):
        return unit_cpu_seconds('numad')

    def stop(self):
        lib.run('systemctl', 'stop', 'numad', check=False)
        lib.run('systemctl', 'reset-failed', 'numad', check=False)
        THP_SCAN.write_text(self._thp_scan)


class Hand(Nothing):
    """taskset and migratepages, process by process, by one who knows the best nodes."""
    PROPERTIES = ()
    COMMAND = 'taskset -apc {cpus} $p; migratepages $p {others} {home}'

    def start(self, services, rules):
        commands = []
        for service in services:
            home = ','.join(map(str, service.home))
            others = ','.join(str(node) for node in numa.online_nodes() if node not in service.home)
            cpus = ','.join(str(cpu) for node in service.home for cpu in numa.cpus_of(node))
            procs = service.cgroup / 'cgroup.procs'
            commands.append(f'for p in $(cat {procs}); do {self.COMMAND.format(cpus=cpus, others=others, home=home)}; done')
        # A process may be gone by its turn: a hand goes on with the next.
        lib.run('systemd-run', '--quiet', f'--unit={HAND_UNIT}', *self.PROPERTIES, '-pRemainAfterExit=yes',
                '/bin/sh', '-c', '; '.join(commands) + '; true')

    def cpu_seconds(self):
        return unit_cpu_seconds(HAND_UNIT)

    def stop(self):
        lib.run('systemctl', 'stop', HAND_UNIT, check=False)
        lib.run('systemctl', 'reset-failed', HAND_UNIT, check=False)


class HandThenKernel(Hand):
    """What the kernel makes of nodes that somebody has chosen, once all is there."""
    PROPERTIES = ('-pType=oneshot',)        # starting it ends when it is done

    def start(self, services, rules):
        super().start(services, rules)
        BALANCING.write_text('1')

    def stop(self):
        super().stop()
        BALANCING.write_text('0')


class KernelThenHand(HandThenKernel):
    """The same while the kernel moves pages, too."""

    def start(self, services, rules):
        BALANCING.write_text('1')
        super().start(services, rules)


class KernelThenCpus(KernelThenHand):
    """Pages are brought by the kernel alone."""
    COMMAND = 'taskset -apc {cpus} $p'


class Numabalanced(Nothing):
    """With one rule that names the services and their place, and not the nodes. Intervals as numad's, or shorter; and scan-cpu is far
    above its default, because all that reads is slower under emulation by a factor of tens."""

    def start(self, services, rules):
        self._began = uptime()
        daemon.configure(rules)
        daemon.start()

    def cpu_seconds(self):
        return unit_cpu_seconds(daemon.UNIT)

    def log(self):
        since = f'--since=-{uptime() - self._began + 1:.0f}s'
        return lib.run('journalctl', '--no-pager', since, '-o', 'short-monotonic', '-u', daemon.UNIT, check=False) + \
            daemon.run('numabalancectl', 'list', check=False).stdout

    def stop(self):
        daemon.reset()


class Both(Numabalanced):
    def start(self, services, rules):
        BALANCING.write_text('1')
        super().start(services, rules)

    def stop(self):
        super().stop()
        BALANCING.write_text('0')


CLASSES = {'nothing': Nothing, 'kernel': Kernel, 'numad': Numad, 'hand': Hand, 'numabalanced': Numabalanced, 'both': Both,
           'hand+kernel': HandThenKernel, 'kernel+hand': KernelThenHand, 'kernel+cpus': KernelThenCpus}


def wait_for_numad():
    """Until numad would look at anything."""
    left = NUMAD_UPTIME - uptime()
    if left > 0:
        print(f'compare: waiting {left:.0f} s, until numad would look at anything', flush=True)
        time.sleep(left)
