# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine that this boot's topology file asked for, and what the guest calls its devices."""

import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from vmlib import VmError, topology

NET, BLOCK = pathlib.Path('/sys/class/net'), pathlib.Path('/sys/class/block')


def asked():
    """The topology, as vmlib.topology describes it. Raises vmlib.VmError where it was a file outside the tree."""
    return topology.load(os.environ['VM_TOPOLOGY'])


def pci_directory(path):
    """The PCI device that a device of /sys/class hangs at."""
    device = path.resolve()
    while not (device / 'numa_node').exists() or not (device / 'vendor').exists():
        device = device.parent
        if device == pathlib.Path('/sys/devices'):
            raise AssertionError(f'{path} is at no PCI device')
    return device


def _is(path, device):
    """Names depend on the order in which drivers find them: only what the topology file gave the device tells it."""
    file, mark = ('address', device.mac) if device.kind == 'net' else ('device/serial', device.name)
    return (path / file).exists() and (path / file).read_text().strip() == mark


def device(name):
    """(what a rule calls it, its directory in /sys/class, node asked for) of a device by its name in the topology file."""
    wanted = next(device for device in asked().devices if device.name == name)
    kind, directory = ('net', NET) if wanted.kind == 'net' else ('block', BLOCK)
    path = next(path for path in sorted(directory.iterdir()) if _is(path, wanted))
    return f'{kind}/{path.name}', path, wanted.node
