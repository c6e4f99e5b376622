# SPDX-License-Identifier: GPL-2.0-or-later
"""From QEMU's start to the script's exit status: one event loop with three limits, so that nothing ever hangs.

A boot that fails before the script began is tried again, because emulation with several threads is known to crash now
and then; what happens after that is the script's result and never repeated.
"""

import collections
import os
import re
import selectors
import signal
import sys
import termios
import time
import tty

from . import VmError

BOOT_TRIES = 3
PANIC = re.compile(rb'Kernel panic - not syncing.*|vm-init: .*|You are in emergency mode')
CHUNK = 1 << 16
ESCAPE = b'\x1d'                # ^]: leaves the shell


class TimedOut(VmError):
    """One of the limits was reached; exit status 124."""


class BootFailed(Exception):
    """The machine ended or hung before the script began."""


class Limits:
    def __init__(self, boot, total, silence):
        """Seconds; 0 is without limit. total counts from the first boot."""
        self.boot, self.total, self.silence = boot, total, silence
        self.started = time.monotonic()


class Session:
    """One boot."""

    def __init__(self, vm, limits, say, interactive=False, console_log=None):
        self._vm, self._limits, self._say, self._interactive = vm, limits, say, interactive
        self._console = collections.deque(maxlen=40)    # last lines
        self._partial = b''
        self._console_log = console_log
        self._panic = None
        self._status_text = b''
        self.began = None
        self.status = None
        self._last_output = time.monotonic()

    # ---- what arrives ----

    def _on_console(self, data):
        if self._console_log:
            self._console_log.write(data)
            self._console_log.flush()
        *lines, self._partial = (self._partial + data).split(b'\n')
        for line in lines:
            line = line.rstrip(b'\r')
            self._console.append(line)
            found = PANIC.search(line)
            if found and not self._panic:
                self._panic = found[0].decode(errors='replace')
                self._panicked = time.monotonic()

    def _on_output(self, data):
        self._last_output = time.monotonic()
        while data:
            data = data[os.write(1, data):]

    def _on_status(self, data):
        self._status_text += data
        *lines, self._status_text = self._status_text.split(b'\n')
        for line in lines:
            if line == b'begin' and not self.began:
                self.began = self._last_output = time.monotonic()
                self._say(f'up after {self.began - self._booted:.0f} s')
            elif line.startswith(b'exit '):
                self.status = int(line[5:])

    # ---- the loop ----

    def _check(self):
        now = time.monotonic()
        limits = self._limits
        ended = self._vm.process.poll() is not None
        if self._panic and (ended or now - self._panicked > 1):         # a second for the call trace that follows
            self._fail(f'the guest died: {self._panic}')
        if ended and self._vm.process.returncode == 0:
            self._fail('the guest turned itself off or rebooted')
        if ended:
            self._fail(f'QEMU ended with status {self._vm.process.returncode}: {self._vm.messages()}')
        if limits.total and now - limits.started > limits.total:
            raise TimedOut(f'not done after {limits.total:.0f} s (--timeout){self.tail()}')
        if not self.began and limits.boot and now - self._booted > limits.boot:
            self._fail(f'no userspace after {limits.boot:.0f} s (--boot-timeout)')
        if self.began and limits.silence and now - self._last_output > limits.silence:
            raise TimedOut(f'the script printed nothing for {limits.silence:.0f} s (--silence){self.tail()}')

    def _fail(self, message):
        if self.began:
            raise VmError(message + self.tail())
        raise BootFailed(message + self.tail())

    def tail(self):
        lines = [line.decode(errors='replace') for line in [*self._console, self._partial] if line.strip()]
        return '\nlast lines of the console:\n    ' + '\n    '.join(lines) if lines else '\n(the console is empty)'

    def run(self):
        """Returns the script's exit status."""
        handlers = {'console': self._on_console, 'output': self._on_output, 'status': self._on_status}
        self._booted = time.monotonic()
        self._vm.start()
        with selectors.DefaultSelector() as selector:
            for name, handler in handlers.items():
                channel = self._vm.channel(name)
                channel.setblocking(False)
                selector.register(channel, selectors.EVENT_READ, handler)
            if self._interactive:
                selector.register(0, selectors.EVENT_READ, None)
            while self.status is None:
                for event, _ in selector.select(0.5):
                    if event.data is None:
                        if not self._from_terminal(os.read(0, CHUNK)):
                            return 0
                        continue
                    try:
                        data = event.fileobj.recv(CHUNK)
                    except (BlockingIOError, ConnectionResetError):
                        data = b''
                    if data:
                        event.data(data)
                    else:
                        selector.unregister(event.fileobj)
                if self.status is None:
                    self._check()
        self._drain()
        return self.status

    def _drain(self):
        """The status can overtake the last output: a write in the guest returns when QEMU has the data."""
        channel = self._vm.channel('output')
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            channel.settimeout(0.2)
            try:
                data = channel.recv(CHUNK)
            except OSError:
                return
            if not data:
                return
            self._on_output(data)

    def _from_terminal(self, data):
        """Passes keys on; False ends the shell."""
        if not data or (ESCAPE in data and not self.began) or data == ESCAPE:
            return False
        if self.began:
            channel = self._vm.channel('output')
            channel.settimeout(5)
            channel.sendall(data)
            channel.setblocking(False)
        elif b'\x03' in data:
            raise KeyboardInterrupt
        return True


def boot(make_machine, accelerators, limits, say, *, interactive=False, console_log=None):
    """Boots, runs the job and returns its exit status. make_machine(accel) makes a fresh Machine."""
    tries = [(accel, attempt) for accel in accelerators
             for attempt in range(1 if accel == 'kvm' and len(accelerators) > 1 else BOOT_TRIES)]
    for place, (accel, _) in enumerate(tries):
        vm = make_machine(accel)
        session = Session(vm, limits, say, interactive, console_log)
        terminal = None
        try:
            if interactive and sys.stdin.isatty():
                terminal = termios.tcgetattr(0)
                tty.setraw(0)
            return session.run()
        except BootFailed as failure:
            if place + 1 == len(tries):
                raise VmError(f'the machine did not boot: {failure}') from None
            say(f'the machine did not boot with {accel}: {failure}\nvm: the script had not begun: trying again with '
                f'{tries[place + 1][0]} ({place + 2} of {len(tries)})')
        finally:
            if terminal:
                termios.tcsetattr(0, termios.TCSADRAIN, terminal)
            vm.stop()
    raise AssertionError('unreachable')


def interrupt_on_signals():
    """Has TERM and HUP end us as ^C does, so that QEMU and the temporary files go with us."""
    def interrupt(number, frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
