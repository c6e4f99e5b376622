# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of tests/system/vm."""

import argparse
import os
import pathlib
import resource
import shlex
import shutil
import sys
import tempfile
import time

from . import TOP, VmError, archive, image, machine, session, topology, tree

EXIT_TIMEOUT, EXIT_TOOL, EXIT_INTERRUPTED = 124, 125, 130

DESCRIPTION = """\
Boots a virtual NUMA machine with numabalanced installed, runs something in it, and ends with its exit status.

  vm run SCRIPT [ARGS…]   run a script of the host (or a command line of the guest) as root under systemd
  vm shell                an interactive shell in the guest; ^D or ^] leaves
  vm image                only build the image, so that the next run is quick
"""

EPILOG = """\
In the guest: /src is the source tree (read-only), /share and /out are the directories given, /usr/local/bin has the
compiled tests/system/*.c and `where`. VM_SUITE, VM_TOPOLOGY and VM_ACCEL are set.

Exit status: the script's; 124 a limit was reached, 125 the tool or the machine failed, 130 interrupted.
Environment: NUMABALANCED_CACHE, NUMABALANCED_VM_ACCEL (as --accel), CC.
"""


def _packages(text):
    return [name for name in text.replace(',', ' ').split() if name]


def _parser():
    parser = argparse.ArgumentParser(prog='vm', description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='run|shell|image')

    what = argparse.ArgumentParser(add_help=False)
    what.add_argument('--suite', default='bookworm', help='Debian suite: bookworm (default) or trixie')
    what.add_argument('--install', action='append', type=_packages, default=[], metavar='PKG,…',
                      help='Debian packages to have in the guest')

    how = argparse.ArgumentParser(add_help=False)
    how.add_argument('--topology', default='4x2', metavar='NAME|FILE',
                     help='file in tests/system/topologies, or a path (default 4x2)')
    how.add_argument('--build', default=str(TOP / 'build'), metavar='DIR',
                     help='build directory to `make install` from (default: build)')
    how.add_argument('--share', metavar='DIR', help='make DIR readable at /share (live, by 9p)')
    how.add_argument('--out', metavar='DIR', help='make DIR writable at /out; created if absent')
    how.add_argument('--qemu', default='', metavar='ARGS', help="more QEMU arguments, e.g. '-device …'")
    how.add_argument('--append', default='', metavar='ARGS', help='more kernel command line')
    how.add_argument('--accel', default=os.environ.get('NUMABALANCED_VM_ACCEL', 'auto'), metavar='ACCEL',
                     help='auto (KVM where it boots, else tcg), kvm, tcg, or any value of -accel')
    how.add_argument('--timeout', type=float, metavar='S', help='limit of the whole run (default 1800; shell: none)')
    how.add_argument('--boot-timeout', type=float, default=240, metavar='S', help='limit of each boot (default 240)')
    how.add_argument('--silence', type=float, metavar='S',
                     help='limit for a script that prints nothing (default 600; shell: none)')
    how.add_argument('--console', metavar='FILE', help="write the guest's console to FILE")
    how.add_argument('-q', '--quiet', action='store_true', help='no progress messages, only warnings and errors')

    form = argparse.RawDescriptionHelpFormatter
    run = verbs.add_parser('run', parents=[what, how], epilog=EPILOG, formatter_class=form)
    run.add_argument('script', metavar='SCRIPT')
    run.add_argument('arguments', metavar='ARGS', nargs=argparse.REMAINDER)
    verbs.add_parser('shell', parents=[what, how], epilog=EPILOG, formatter_class=form)
    verbs.add_parser('image', parents=[what], epilog=EPILOG, formatter_class=form)
    return parser


def _sayer(quiet):
    def say(message):
        if not quiet or message.startswith('warning') or 'did not boot' in message:
            # \r: in a shell the terminal is raw by now
            print('vm: ' + message.replace('\n', '\r\n') + ('\r' if sys.stderr.isatty() else ''), file=sys.stderr,
                  flush=True)
    return say


def _shares(options):
    shares = machine.source_share()
    if options.share:
        if not os.path.isdir(options.share):
            raise VmError(f'--share {options.share}: not a directory')
        shares['share'] = (os.path.realpath(options.share), False)
    if options.out:
        pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
        shares['out'] = (os.path.realpath(options.out), True)
    return shares


def _run(options, scratch, say):
    interactive = options.verb == 'shell'
    nodes = topology.load(options.topology)
    guest = image.obtain(options.suite, sum(options.install, []), scratch, say)
    shares = _shares(options)
    disk = scratch / 'archive.tar'
    installed = tree.stage(pathlib.Path(options.build), guest, scratch, say)
    programs = tree.programs(scratch, say)

    def make_machine(accel):
        environment = {'VM_SUITE': options.suite, 'VM_TOPOLOGY': nodes.name, 'VM_ACCEL': accel}
        if interactive:
            size = shutil.get_terminal_size()
            environment.update(LINES=str(size.lines), COLUMNS=str(size.columns))
        archive.make(disk, stage=installed, programs=programs, script=getattr(options, 'script', None),
                     arguments=getattr(options, 'arguments', []), share=options.share, environment=environment,
                     mode='shell' if interactive else 'script')
        say(f'booting {options.suite} ({guest.kernel}) as {nodes.name}: {len(nodes.nodes)} nodes, {nodes.cpus} CPUs, '
            f'{nodes.memory >> 20} MiB, {accel}')
        return machine.Machine(image=guest, topology=nodes, archive=disk, shares=shares, accel=accel,
                               extra=shlex.split(options.qemu), append=options.append, interactive=interactive,
                               scratch=scratch)

    total, silence = (0, 0) if interactive else (1800, 600)
    limits = session.Limits(options.boot_timeout, total if options.timeout is None else options.timeout,
                            silence if options.silence is None else options.silence)
    console = open(options.console, 'wb') if options.console else None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        return session.boot(make_machine, machine.accelerators(options.accel), limits, say, interactive=interactive,
                            console_log=console)
    finally:
        if console:
            console.close()
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, elapsed = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, time.monotonic() - limits.started
        say(f'the machine took {elapsed:.0f} s, and {seconds:.0f} s of CPU time')


def main(arguments):
    options = _parser().parse_args(arguments)
    say = _sayer(getattr(options, 'quiet', False))
    session.interrupt_on_signals()
    try:
        with tempfile.TemporaryDirectory(prefix='numabalanced-vm-', ignore_cleanup_errors=True) as scratch:
            scratch = pathlib.Path(scratch)
            if options.verb == 'image':
                image.obtain(options.suite, sum(options.install, []), scratch, say)
                return 0
            return _run(options, scratch, say)
    except session.TimedOut as error:
        print(f'vm: {error}', file=sys.stderr)
        return EXIT_TIMEOUT
    except VmError as error:
        print(f'vm: {error}', file=sys.stderr)
        return EXIT_TOOL
    except KeyboardInterrupt:
        print('vm: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
