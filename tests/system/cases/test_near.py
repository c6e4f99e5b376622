# SPDX-License-Identifier: GPL-2.0-or-later
"""place: near, with devices that the machine really has behind its nodes."""

import fcntl
import socket
import struct

import pytest

import daemon
import machine
from daemon import start_service, wait_for
from test_constraints import SMALL, home_of, rule, sits, wait_for_homes

pytestmark = [pytest.mark.usefixtures('fresh_daemon'), pytest.mark.machine('devices')]
SIOCSIFNAME = 0x8923


def near(name, device, **keys):
    return rule(name, place='near', device=device, **keys)


def rename(old, new):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFNAME, struct.pack('16s16s', old.encode(), new.encode()))


def test_topology_tells_devices():
    nodes = {node['id']: node for node in daemon.topology()['nodes']}
    for name in ('card', 'uplink', 'disk'):
        device, path, node = machine.device(name)
        assert device in nodes[node]['devices'], nodes
        assert f'pci/{machine.pci_directory(path).name}' in nodes[node]['devices'], nodes


def test_near_a_card_a_disk_and_a_pci_function():
    devices = {name: machine.device(name) for name in ('card', 'uplink', 'disk')}
    named = {'card': devices['card'][0], 'disk': devices['disk'][0], 'uplink': f'pci/{machine.pci_directory(devices["uplink"][1]).name}'}
    services = {name: start_service(f'by-{name}', node=0, **SMALL) for name in named}
    daemon.configure([near(f'by-{name}', device) for name, device in named.items()])
    daemon.start()
    wait_for_homes(services.values(), lambda homes: homes == [[devices[name][2]] for name in services])
    for name, service in services.items():
        assert f'closest to {named[name]}' in daemon.ctl('explain', service.unit).stdout


def test_near_several_devices():
    # Both nodes are as near to the two cards; the one with the disk is near neither.
    card, uplink = machine.device('card'), machine.device('uplink')
    service = start_service('both', node=1, **SMALL)
    daemon.configure([near('both', [card[0], uplink[0]])])
    daemon.start()
    assert home_of(service) in ([card[2]], [uplink[2]])


def test_near_obeys_constraints_and_grows_to_the_next_node():
    card = machine.device('card')
    elsewhere = start_service('elsewhere', node=0, **SMALL)
    # Three threads that are busy most of the time want more than the two CPUs there: the nearest other node is 3.
    busy = start_service('busy', size=10, node=2, threads=3, duty='60:10', no_thp=True)
    daemon.configure([near('elsewhere', card[0], avoid_nodes=str(card[2])), near('busy', card[0])])
    daemon.start()
    wait_for_homes((elsewhere, busy), lambda homes: homes == [[3], [2, 3]])


def test_device_that_comes_later():
    name, _, node = machine.device('uplink')
    old = name.removeprefix('net/')
    service = start_service('waits', node=0, **SMALL)
    frames = service.frames()
    daemon.configure([near('waits', 'net/late0')])
    daemon.start()
    wait_for('blocked', lambda: daemon.state(service.unit) == 'blocked')
    assert 'no device net/late0' in daemon.service(service.unit)['reason']
    assert service.frames() == frames
    rename(old, 'late0')
    try:
        daemon.ctl('reload')
        wait_for('by its device', lambda: sits(service) == [node])
    finally:
        rename('late0', old)
