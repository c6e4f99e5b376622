# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: directories named KIND-HASH that are complete or absent, never changed, and deleted when unused for long.

Who makes an entry holds a lock meanwhile, so that two machines started at once build an image once; of two suites, both at once. Where the cache
cannot be written, everything works from a temporary directory that goes away at exit.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile
import time

from . import VmError

KEEP_DAYS = 14
KEEP_ENTRIES = 8                # per kind


def root():
    """The cache directory, or None where it can't be written."""
    default = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'numabalanced'
    path = pathlib.Path(os.environ.get('NUMABALANCED_CACHE') or default)
    try:
        path.mkdir(parents=True, exist_ok=True)
        return path if os.access(path, os.W_OK) else None
    except OSError:
        return None


def key(*parts):
    """Hash over strings, bytes and the contents of files (as Path)."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else part
        data = data.encode() if isinstance(data, str) else data
        digest.update(b'%d:' % len(data) + data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _lock(path, waiting):
    with open(path, 'w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _prune(cache, kind, keep):
    entries = []
    for path in cache.glob(f'{kind}-*'):
        if path.is_dir() and path != keep:
            with contextlib.suppress(OSError):
                entries.append((path.stat().st_mtime, path))
    entries.sort(reverse=True)
    for place, (used, path) in enumerate(entries, start=1):
        # A running machine has its image open: what we delete stays readable until it ends.
        if place >= KEEP_ENTRIES or time.time() - used > KEEP_DAYS * 86400:
            shutil.rmtree(path, ignore_errors=True)


def obtain(kind, name, make, scratch, say):
    """Directory of entry kind-name, made by make(directory) if absent. scratch is where it goes without a cache."""
    cache = root()
    if cache is None:
        say('the cache directory cannot be written: working without')
        path = pathlib.Path(scratch) / f'{kind}-{name}'
        if not path.is_dir():
            path.mkdir()
            make(path)
        return path

    final = cache / f'{kind}-{name}'
    if not final.is_dir():
        what = f'{kind}-{name.rpartition("-")[0]}'              # without its hash: there are as many locks as suites
        with _lock(cache / f'{what}.lock', lambda: say(f'another one is making the {what}: waiting')):
            if not final.is_dir():
                for stale in cache.glob(f'.new-{what}-*'):      # of a maker that was killed: we hold the lock
                    shutil.rmtree(stale, ignore_errors=True)
                fresh = pathlib.Path(tempfile.mkdtemp(prefix=f'.new-{what}-', dir=cache))
                try:
                    fresh.chmod(0o755)
                    make(fresh)
                    fresh.rename(final)
                except OSError as error:
                    raise VmError(f'cannot make the {kind} in {cache}: {error}') from error
                finally:
                    shutil.rmtree(fresh, ignore_errors=True)
                _prune(cache, kind, final)
    with contextlib.suppress(OSError):
        os.utime(final)         # the time of last use, for pruning
    return final
