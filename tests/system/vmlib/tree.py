# SPDX-License-Identifier: GPL-2.0-or-later
"""The built tree as it will lie in the guest: `make install` of a build directory, or of a build in a chroot."""

import fcntl
import os
import pathlib
import re
import shutil
import subprocess

from . import TOP, VmError, cache, image

# What `configure` asks for, on Debian; used only where a chroot must be made.
BUILD_PACKAGES = ('autoconf', 'automake', 'libtool', 'autoconf-archive', 'make', 'gcc', 'libc6-dev', 'pkgconf',
                  'libsystemd-dev', 'libnuma-dev', 'libyaml-dev', 'libhwloc-dev', 'libjson-c-dev', 'libsmartcols-dev', 'libarchive-dev')
DIRECTORIES = ('--prefix=/usr', '--sysconfdir=/etc', '--localstatedir=/var')


def native_build_runs(build_glibc, guest_glibc):
    """Whether programs built on this machine run in the guest. Versions as strings, '2.36'.

    The rule is glibc's: symbols are versioned and never go away, so a program runs with the glibc it was linked with and
    any later one, and need not with an earlier one. The sonames of our other libraries (libsystemd, hwloc, libyaml,
    json-c, libsmartcols, libnuma) are the same in all suites that we support, and their symbols are versioned alike.
    """
    def number(version):
        return tuple(int(part) for part in re.findall(r'\d+', version)[:2])
    return number(build_glibc) <= number(guest_glibc)


def host_glibc():
    # For tests of this tool: pretend that this machine is another one.
    fake = os.environ.get('NUMABALANCED_VM_HOST_GLIBC')
    try:
        return fake or os.confstr('CS_GNU_LIBC_VERSION').split()[1]
    except (AttributeError, IndexError, ValueError):
        return '9999'           # not glibc at all: never runs in the guest


def _native(build, stage):
    with open(build / 'Makefile') as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)      # two machines started at once must not run two makes in there
        result = subprocess.run(['make', '-s', f'-j{os.cpu_count()}', '-C', build, 'install', f'DESTDIR={stage}'],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise VmError(f'make install in {build} failed:\n    ' + '\n    '.join(result.stdout.splitlines()[-25:]))


def _warn_about_prefix(build, say):
    try:
        match = re.search(r"^prefix = (.*)$", (build / 'Makefile').read_text(), re.MULTILINE)
    except OSError:
        return
    if match and match[1] != '/usr':
        say(f'warning: {build} is configured with prefix {match[1]}, and is installed there in the guest; '
            f'a package has {" ".join(DIRECTORIES)}')


def _sources():
    """The files of the source tree, generated ones left out."""
    listed = subprocess.run(['git', '-C', TOP, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                            capture_output=True)
    if listed.returncode == 0:
        names = listed.stdout.decode().split('\0')
    else:                       # a release's tarball
        names = [str(path.relative_to(TOP)) for path in TOP.rglob('*')
                 if not path.relative_to(TOP).parts[0].startswith('build')]
    return sorted(name for name in names if name and (TOP / name).is_file())


def _make_chroot(suite, directory, say):
    say(f'making a {suite} chroot to build in (about a minute; once, then cached)')
    image.mmdebstrap(suite, ['--variant=essential', '--include=' + ','.join(BUILD_PACKAGES),
                             '--aptopt=APT::Install-Recommends "false"', '--skip=output/dev',
                             *(f'--dpkgopt={option}' for option in image.DPKG_OPTIONS)],
                     str(directory / 'chroot.tar'), directory / 'log')


def _make_build(suite, chroot, names, directory, say, scratch):
    """Builds the sources in the chroot. mmdebstrap does it, as it knows how to be root in one without being root.

    Its own hooks (tar-in, upload, download) open our files as us: a command would be run as the user namespace's root, to whom
    the home directory that the cache is in is closed.
    """
    say(f'building in the {suite} chroot (this machine has a newer glibc than the guest)')
    sources = pathlib.Path(scratch) / 'sources.tar'
    subprocess.run(['tar', '-C', TOP, '-cf', sources, '--null', '-T', '-'], input='\0'.join(names).encode(), check=True)
    script = ('set -e; rm -rf /tmp/b; mkdir /tmp/b; tar -C /tmp/b -xf /sources.tar; cd /tmp/b; autoreconf -fi; '
              f'./configure {" ".join(DIRECTORIES)}; make -j{os.cpu_count()}; make install DESTDIR=/tmp/stage; '
              'tar -C /tmp/stage -cf /stage.tar .')
    image.mmdebstrap(suite, ['--variant=custom', '--format=null',
                             '--skip=update,cleanup,download/empty,check/empty',
                             f'--setup-hook=tar-in {chroot} /', f'--customize-hook=upload {sources} /sources.tar',
                             f"--customize-hook=chroot \"$1\" sh -c '{script}'",
                             f'--customize-hook=download /stage.tar {directory}/stage.tar'],
                     '-', directory / 'log')


def _in_chroot(suite, stage, scratch, say):
    recipe = cache.key(suite, ' '.join(BUILD_PACKAGES), pathlib.Path(__file__))
    chroot = cache.obtain('chroot', f'{suite}-{recipe}', lambda path: _make_chroot(suite, path, say), scratch, say)
    names = _sources()
    sources = cache.key(recipe, *(part for name in names for part in (name, TOP / name)))
    built = cache.obtain('build', f'{suite}-{sources}', lambda path: _make_build(
        suite, chroot / 'chroot.tar', names, path, say, scratch), scratch, say)
    subprocess.run(['tar', '-C', stage, '-xf', built / 'stage.tar'], check=True)


def stage(build, guest, scratch, say):
    """Directory with the tree as installed for the guest (an Image), or None if there is nothing to build yet."""
    directory = pathlib.Path(scratch) / 'stage'
    directory.mkdir()
    if native_build_runs(host_glibc(), guest.glibc):
        if not (build / 'Makefile').is_file():
            say(f'warning: {build} has no Makefile: the guest is without numabalanced (configure there, or --build DIR)')
            return None
        _warn_about_prefix(build, say)
        _native(build, directory)
    else:
        if not (TOP / 'configure.ac').is_file():
            say('warning: there is no configure.ac: the guest is without numabalanced')
            return None
        _in_chroot(guest.suite, directory, scratch, say)
    return directory


def programs(scratch, say):
    """Compiles tests/system/*.c and tests/bench/raw-*.c, statically, so that they run in every guest. Returns their paths.

    What lies in a directory of a program's name is part of it.
    """
    done = []
    for source in sorted((TOP / 'tests').glob('system/*.c')) + sorted((TOP / 'tests').glob('bench/raw-*.c')):
        program = pathlib.Path(scratch) / source.stem
        parts = sorted(source.with_suffix('').glob('*.c'))
        compiler = os.environ.get('CC') or shutil.which('gcc') or 'cc'
        result = subprocess.run([*compiler.split(), '-std=c17', '-O2', '-Wall', '-Wextra', '-static', '-pthread',
                                 '-o', program, source, *parts], stderr=subprocess.PIPE, text=True)
        if result.returncode:
            raise VmError(f'{source.name} does not compile:\n{result.stderr}')
        if result.stderr:
            say(result.stderr)
        done.append(program)
    return done
