# SPDX-License-Identifier: GPL-2.0-or-later
"""Where packages come from: the mirrors that this machine's own apt uses, with the suite's name exchanged.

Only Debian's own entries count (a Debian suite, component main); a machine that has none, because it isn't Debian or
because it has no sources at all, falls back to Debian's own mirror.
"""

import pathlib
import re
import subprocess

SUITES = ('bookworm', 'trixie', 'forky', 'sid', 'bullseye', 'stable', 'testing', 'unstable', 'oldstable')
SUITE = re.compile(r'^(%s)(-updates|-security)?/?$' % '|'.join(SUITES))
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
DEFAULT = (('http://deb.debian.org/debian', ''), ('http://deb.debian.org/debian', '-updates'),
           ('http://security.debian.org/debian-security', '-security'))
# What of the machine's apt settings must hold for ours too: how to reach a mirror, and whether to believe its clock.
SETTINGS = re.compile(r'^Acquire::((https?|ftp)::(Proxy|Verify-\w+|CaInfo|Timeout)\S*|Retries|Check-Valid-Until|Check-Date'
                      r'|ForceIPv[46]) ')


def _deb822(text):
    for paragraph in re.split(r'\n\s*\n', text):
        fields, key = {}, None
        for line in paragraph.splitlines():
            if line.startswith('#'):
                continue
            if line[:1].isspace() and key:
                fields[key] += '\n' + line.strip()
            elif ':' in line:
                key, _, value = line.partition(':')
                key = key.strip().lower()
                fields[key] = value.strip()
        if 'deb' not in fields.get('types', '').split() or fields.get('enabled', 'yes').lower() in ('no', 'false', '0'):
            continue
        for uri in fields.get('uris', '').split():
            for suite in fields.get('suites', '').split():
                yield uri, suite, fields.get('components', '').split(), fields.get('signed-by', '')


def _one_line(text):
    for line in text.splitlines():
        match = re.match(r'^\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)', line)
        if match:
            options = dict(word.partition('=')[::2] for word in (match[1] or '').split())
            yield match[2], match[3], match[4].split(), options.get('signed-by', '')


def entries(root=pathlib.Path('/etc/apt')):
    """All binary entries (uri, suite, components, signed-by) of the machine's sources."""
    found = []
    parts = sorted((root / 'sources.list.d').glob('*')) if (root / 'sources.list.d').is_dir() else []
    for path in [root / 'sources.list', *parts]:
        if not path.is_file() or path.suffix not in ('.list', '.sources'):
            continue
        text = path.read_text(errors='replace')
        found += _deb822(text) if path.suffix == '.sources' else _one_line(text)
    return found


def for_suite(suite, root=pathlib.Path('/etc/apt')):
    """Lines of a sources.list for the given suite."""
    usable = []
    for uri, name, components, signed_by in entries(root):
        match = SUITE.match(name)
        if match and 'main' in components and not uri.startswith('cdrom:'):
            usable.append((uri, match[1], match[2] or '', signed_by))
    own = [entry for entry in usable if entry[1] == suite]
    usable = own if any(entry[2] == '' for entry in own) else usable
    if not any(entry[2] == '' for entry in usable):
        usable = [(uri, suite, pocket, '') for uri, pocket in DEFAULT]
    lines = []
    for uri, _, pocket, signed_by in usable:
        keyring = signed_by if signed_by.startswith('/') and pathlib.Path(signed_by).is_file() else KEYRING
        option = f'[signed-by={keyring}] ' if pathlib.Path(keyring).is_file() else ''
        line = f'deb {option}{uri} {suite}{pocket} main'
        if line not in lines:
            lines.append(line)
    return lines


def settings():
    """The machine's apt settings that downloads need, as lines of an apt.conf."""
    try:
        dump = subprocess.run(['apt-config', 'dump'], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line for line in dump.splitlines() if SETTINGS.match(line) and not line.endswith(' "";')]
