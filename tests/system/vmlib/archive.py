# SPDX-License-Identifier: GPL-2.0-or-later
"""The archive of one boot: everything that isn't in the image, unpacked over it before systemd starts.

It is the second disk's content, a plain tar: the built tree, the script to run and the runner that reports its end. So
neither a rebuild nor a change in the tests makes a new image.
"""

import io
import os
import shlex
import tarfile

from . import SYSTEM, TOP, VmError

MERGED = ('bin', 'sbin', 'lib', 'lib64')        # links to usr/… in our suites; a directory must not replace them


class Archive:
    def __init__(self, path):
        self._path = path
        self._tar = tarfile.open(path, 'w', format=tarfile.GNU_FORMAT)

    def add_bytes(self, name, data, mode=0o644):
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        self._tar.addfile(info, io.BytesIO(data))

    def add_file(self, name, path, mode=None):
        info = self._tar.gettarinfo(path, name)
        info.uid = info.gid = 0
        info.uname = info.gname = 'root'
        info.mode = mode if mode is not None else info.mode
        if info.isreg():
            with open(path, 'rb') as handle:
                self._tar.addfile(info, handle)
        else:
            self._tar.addfile(info)

    def add_link(self, name, target):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def add_tree(self, stage):
        """Adds an installed tree. Returns the names of its files as they will be in the guest."""
        names = []
        for directory, subdirectories, files in os.walk(stage):
            relative = os.path.relpath(directory, stage)
            parts = [] if relative == '.' else relative.split('/')
            if parts and parts[0] in MERGED:
                parts.insert(0, 'usr')
            # Directories that the system has anyway keep its modes.
            if parts and (not (files or subdirectories) or os.stat(directory).st_mode & 0o777 != 0o755):
                self.add_file('/'.join(parts), directory)
            links = [name for name in subdirectories if os.path.islink(os.path.join(directory, name))]
            for name in sorted(files + links):
                guest_name = '/'.join([*parts, name])
                self.add_file(guest_name, os.path.join(directory, name))
                names.append('/' + guest_name)
        return names

    def close(self):
        self._tar.close()
        with open(self._path, 'ab') as handle:                  # a disk has whole blocks
            handle.truncate(-(-handle.tell() // 4096) * 4096)


def guest_command(script, arguments, share, archive):
    """The words to run in the guest. A file of the host is run in /src or /share if it lies there, copied otherwise; what
    isn't a file is a command of the guest, or without arguments a whole command line."""
    if not os.path.isfile(script):
        first = (script.split() or [''])[0]
        if '/' in first and not first.startswith('/'):
            raise VmError(f'{script}: no such file')
        return [script, *arguments] if arguments else ['/bin/sh', '-c', script]
    path = os.path.realpath(script)
    interpreter = [] if os.access(path, os.X_OK) else ['/bin/sh']
    for directory, mount in ((TOP, '/src'), (share, '/share')):
        if directory and path.startswith(os.path.realpath(directory) + '/'):
            return [*interpreter, mount + path[len(os.path.realpath(directory)):], *arguments]
    name = f'opt/vm/script/{os.path.basename(path)}'
    archive.add_file(name, path)
    return [*interpreter, '/' + name, *arguments]


def make(path, *, stage, programs, script, arguments, share, environment, mode):
    """Writes the boot archive. mode is 'script' or 'shell'."""
    archive = Archive(path)
    installed = archive.add_tree(stage) if stage else []
    archive.add_bytes('opt/vm/installed', ''.join(name + '\n' for name in installed).encode())
    for name in ('runner', 'postinst'):
        archive.add_file(f'opt/vm/{name}', SYSTEM / 'guest' / name, 0o755)
    unit = f'vm-{mode}.service'
    archive.add_file(f'etc/systemd/system/{unit}', SYSTEM / 'guest' / unit, 0o644)
    archive.add_link(f'etc/systemd/system/multi-user.target.wants/{unit}', f'/etc/systemd/system/{unit}')
    for program in programs:
        archive.add_file(f'usr/local/bin/{program.name}', program, 0o755)
    archive.add_link('usr/local/bin/where', '/src/tests/system/guest/where')

    command = ['/bin/bash', '-l'] if mode == 'shell' else guest_command(script, arguments, share, archive)
    job = [f'export {name}={shlex.quote(value)}' for name, value in sorted(environment.items())]
    job.append('set -- ' + ' '.join(shlex.quote(word) for word in command))
    archive.add_bytes('opt/vm/job', ('\n'.join(job) + '\n').encode())
    archive.close()
