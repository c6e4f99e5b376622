# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process: its command line, its accelerator, its three channels, and its end.

Channels are socket pairs, so nothing has a name that could collide: `console` (the kernel's serial console), `output`
(what the script prints; in a shell the terminal), `status` (begin and exit of the script).
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from . import TOP, VmError

CHANNELS = ('console', 'output', 'status')
# quiet: the emulated serial port costs a millisecond a line. mitigations=off: page table isolation doubles the price of
# every system call under emulation. Without a watchdog, as a slow emulated CPU isn't a locked up one. Modules that nobody
# uses take seconds to load. tsc=reliable: or the kernel, which cannot know that all emulated CPUs have one counter, asks an emulated
# device what time it is, which takes five times as long.
KERNEL_ARGS = ('console=ttyS0', 'quiet', 'panic=-1', 'oops=panic', 'mitigations=off', 'nowatchdog', 'audit=0', 'selinux=0',
               'apparmor=0', 'no_timer_check', 'tsc=reliable', 'random.trust_cpu=on', 'rcupdate.rcu_expedited=1',
               'systemd.show_status=no', 'systemd.getty_auto=no', 'systemd.gpt_auto=no',
               *(f'systemd.mask=modprobe@{module}.service' for module in ('configfs', 'dm_mod', 'drm', 'efi_pstore', 'fuse', 'loop')))
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def accelerators(wanted):
    """Accelerators to try, in this order. KVM counts only with a hardware driver behind it, and even then it is the boot
    that decides: where it fails, the next one is tried."""
    if wanted != 'auto':
        return [wanted]
    hardware = any(pathlib.Path(f'/sys/module/kvm_{vendor}').is_dir() for vendor in ('intel', 'amd'))
    return (['kvm'] if hardware and os.access('/dev/kvm', os.R_OK | os.W_OK) else []) + ['tcg']


def _accel_args(accel):
    if accel.partition(',')[0] == 'kvm':
        return ['-accel', accel, '-cpu', 'host']
    if accel == 'tcg':
        accel = 'tcg,thread=single'
    return ['-accel', accel + ',tb-size=512', '-cpu', 'max,la57=off']


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    def __init__(self, *, image, topology, archive, shares, accel, extra, append, interactive, scratch):
        """shares: {tag: (directory, writable)}. extra: more QEMU arguments; append: more kernel command line. Nothing runs before start()."""
        program = shutil.which('qemu-system-x86_64')
        if not program:
            raise VmError('qemu-system-x86_64 is missing (apt install qemu-system-x86)')
        self.accel, self._scratch = accel, scratch
        self._ours, self._theirs = {}, {}
        for name in CHANNELS:
            self._ours[name], self._theirs[name] = socket.socketpair()
        kernel = [*KERNEL_ARGS, 'vm.mounts=' + ','.join(shares), *topology.kernel_args(), *append.split()]

        command = [program, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                   '-machine', 'q35' + topology.qemu_machine(), *_accel_args(accel), *topology.qemu_args(),
                   '-kernel', image.vmlinuz, '-initrd', image.initrd, '-append', ' '.join(kernel),
                   '-drive', f'if=none,id=root,format=raw,file={_escape(image.root)},snapshot=on',
                   '-device', 'virtio-blk-pci,drive=root',
                   '-drive', f'if=none,id=archive,format=raw,file={_escape(archive)},readonly=on',
                   '-device', 'virtio-blk-pci,drive=archive', '-device', 'virtio-serial-pci']
        for name in CHANNELS:
            command += ['-chardev', f'socket,id={name},fd={self._theirs[name].fileno()}']
        command += ['-serial', 'chardev:console', '-device', 'virtserialport,nr=2,chardev=status,name=vm.status', '-device',
                    'virtconsole,nr=0,chardev=output' if interactive else
                    'virtserialport,nr=1,chardev=output,name=vm.output']
        for tag, (directory, writable) in shares.items():
            command += ['-virtfs', f'local,path={_escape(directory)},mount_tag={tag},security_model=none,multidevs=remap'
                        + ('' if writable else ',readonly=on')]
        self._command = [str(word) for word in command + topology.qemu_devices()] + list(extra)
        self.process = None

    def start(self):
        self._log = open(pathlib.Path(self._scratch) / 'qemu.log', 'w+b')
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno() for theirs in self._theirs.values()], start_new_session=True,
            preexec_fn=_die_with_parent, env={**os.environ, 'TMPDIR': str(self._scratch)})
        for theirs in self._theirs.values():
            theirs.close()

    def channel(self, name):
        return self._ours[name]

    def messages(self):
        """What QEMU itself said."""
        self._log.flush()
        self._log.seek(0)
        return self._log.read().decode(errors='replace').strip()

    def stop(self):
        """Ends it at once: the disk is a throw-away, and what /out received is on the host already."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for ours in self._ours.values():
            ours.close()
        if self.process:
            self._log.close()


def _escape(path):
    return str(path).replace(',', ',,')         # QEMU's own quoting


def source_share():
    return {'src': (TOP, False)}
