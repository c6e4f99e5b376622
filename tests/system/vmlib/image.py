# SPDX-License-Identifier: GPL-2.0-or-later
"""Images: a Debian suite with given packages as kernel, initrd and root file system. image/customize is the recipe."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from . import SYSTEM, VmError, aptsources, cache

SUITES = ('bookworm', 'trixie')
# What the daemon links with, what its tests need, and a system to run them on.
PACKAGES = ('systemd', 'systemd-sysv', 'dbus', 'kmod', 'procps', 'libnuma1', 'libhwloc15', 'libyaml-0-2', 'libjson-c5',
            'libsmartcols1', 'libarchive13', 'numactl', 'hwloc-nox', 'python3', 'python3-pytest')
OUTPUTS = ('vmlinuz', 'initrd', 'root.ext4', 'manifest')
FREE_MIB = 1536                 # room for what tests write; the file is sparse
# Smaller and faster to make. Copyright files stay: they cost nothing.
DPKG_OPTIONS = ('path-exclude=/usr/share/man/*', 'path-exclude=/usr/share/locale/*', 'path-exclude=/usr/share/info/*',
                'path-exclude=/usr/share/doc/*', 'path-include=/usr/share/doc/*/copyright')


class Image:
    def __init__(self, suite, directory):
        self.suite = suite
        self.vmlinuz, self.initrd, self.root, manifest = (directory / name for name in OUTPUTS)
        facts = dict(line.split(None, 1) for line in manifest.read_text().splitlines()
                     if not line.startswith('package '))
        self.kernel, self.glibc = facts['kernel'], facts['glibc']


def mmdebstrap(suite, arguments, target, log):
    """Runs mmdebstrap with this machine's mirrors and settings; its output goes to the file log."""
    if not shutil.which('mmdebstrap', path=os.environ.get('PATH', '') + ':/usr/sbin'):
        raise VmError('mmdebstrap is missing (apt install mmdebstrap)')
    if os.geteuid() and not shutil.which('newuidmap'):
        raise VmError('mmdebstrap needs to be root, or newuidmap (apt install uidmap) and your range in /etc/subuid')
    command = ['mmdebstrap', *(f'--aptopt={line}' for line in aptsources.settings()), *arguments, suite, target, '-']
    with open(log, 'wb') as output:
        result = subprocess.run(command, input='\n'.join(aptsources.for_suite(suite)) + '\n', text=True,
                                stdout=output, stderr=subprocess.STDOUT)
    if result.returncode:
        tail = pathlib.Path(log).read_text(errors='replace').splitlines()[-25:]
        raise VmError('mmdebstrap failed:\n    ' + '\n    '.join(tail))


def _make(suite, packages, directory, say):
    say(f'building the {suite} image (about a minute; once, then cached)')
    started = time.monotonic()
    # In /tmp and open to all: in a user namespace the hook is nobody to us, and a home directory is closed to it.
    with tempfile.TemporaryDirectory(prefix='numabalanced-image-') as scratch:
        scratch = pathlib.Path(scratch)
        scratch.chmod(0o711)
        for name in OUTPUTS:
            (scratch / name).touch()
            (scratch / name).chmod(0o666)
        for name in ('customize', 'init'):
            shutil.copy(SYSTEM / 'image' / name, scratch / f'{name}.sh')
            (scratch / f'{name}.sh').chmod(0o755)
        environment = f'VM_OUT={scratch} VM_INIT={scratch}/init.sh VM_FREE_MIB={FREE_MIB}'
        mmdebstrap(suite, ['--variant=essential', '--format=null', '--include=' + ','.join(packages),
                           '--aptopt=APT::Install-Recommends "false"', *(f'--dpkgopt={o}' for o in DPKG_OPTIONS),
                           f'--customize-hook=env {environment} {scratch}/customize.sh "$1"'],
                   '-', scratch / 'log')
        for name in OUTPUTS:
            subprocess.run(['cp', '--sparse=always', scratch / name, directory / name], check=True)
            (directory / name).chmod(0o644)
    say(f'image built in {time.monotonic() - started:.0f} s')


def obtain(suite, install, scratch, say):
    """The image of a suite with the packages of `install` besides ours."""
    if suite not in SUITES:
        raise VmError(f"unknown suite '{suite}': expected {' or '.join(SUITES)}")
    packages = sorted({*PACKAGES, *install})
    name = cache.key(suite, ' '.join(packages), SYSTEM / 'image' / 'customize', SYSTEM / 'image' / 'init',
                     pathlib.Path(__file__))
    return Image(suite, cache.obtain('image', f'{suite}-{name}', lambda path: _make(suite, packages, path, say),
                                     scratch, say))
