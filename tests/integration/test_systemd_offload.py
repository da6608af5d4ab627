# SPDX-License-Identifier: MIT
"""The unit that loads the kernel's programs, under a real systemd: within its sandbox, and for a mmproxy
within its own."""

import json
import re

import pytest

import offload
from headers import CLIENT4
from sessions import assert_alive, close, open_session
from settings import configuration, listener

pytestmark = offload.needs_bpf()

SERVICE, LOADER = "mmproxy.service", "mmproxy-offload.service"


@pytest.fixture
def loaded(systemd, host):
    """A host with an interface, the configuration in place, and a BPF file system as systemd mounts it:
    nobody but root may pass through it. (In a container systemd leaves that to others.)"""
    host.add_interface("198.51.100.2/24", "2001:db8:5::2/64")
    where = systemd.show(SERVICE, "ExecStart").split("--config ")[1].split()[0]
    top = {"user": "mmproxy", "offload": "auto"}
    systemd.install({where: configuration(listener(listen="*:8443", subnets="any"), **top)})
    systemd.config = where
    systemd.run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", "/sys/fs/bpf")
    systemd.run("mount", "-o", "remount,rw", "/proc/sys", check=False)
    return systemd


def ctl(systemd, *words, check=True):
    program = systemd.show(LOADER, "ExecStart").split("path=")[1].split(" ")[0]
    return systemd.run(program, *words, check=check)


def test_enabled_it_comes_with_the_host(loaded):
    loaded.systemctl("enable", LOADER)
    assert LOADER in loaded.show("multi-user.target", "Wants").split()


def test_it_loads_before_the_service_starts_and_leaves_what_it_loaded(loaded, host, upstream):
    before = offload.settings_of_lo(host)
    # As at boot the service has to wait for it.
    loaded.systemctl("start", LOADER, SERVICE)
    assert loaded.show(LOADER, "ActiveState") == "active"
    line = loaded.wait_for_log(SERVICE, "sessions may be handed to the kernel")
    assert re.search('interfaces="lo, (outside, nowhere|nowhere, outside)"', line)
    session = open_session(host, upstream, CLIENT4)
    assert_alive(*session)
    close(*session)
    shown = json.loads(ctl(loaded, "--json", "status").stdout)["offload"]
    assert shown["in_use"]
    loaded.systemctl("restart", SERVICE)
    loaded.systemctl("stop", SERVICE, LOADER)
    assert ctl(loaded, "offload", "status", "--config", loaded.config).returncode == 0
    ctl(loaded, "offload", "clear", "--config", loaded.config)
    assert offload.settings_of_lo(host) == before


def test_without_it_the_service_is_a_relay_and_says_so(loaded, host, upstream):
    loaded.systemctl("start", SERVICE)
    line = loaded.wait_for_log(SERVICE, "sessions stay relays")
    assert "nothing is loaded for this user" in line
    assert_alive(*open_session(host, upstream, CLIENT4))


def test_a_failure_is_the_units_and_not_the_services(loaded, host):
    loaded.run("umount", "/sys/fs/bpf")
    loaded.systemctl("start", LOADER, SERVICE, check=False)
    assert loaded.show(SERVICE, "ActiveState") == "active"
    assert loaded.show(LOADER, "ActiveState") == "failed"
    assert "cannot mount a BPF file system" in loaded.log(LOADER)
    # So that the service is not the only one that the end of the test finds.
    loaded.systemctl("stop", SERVICE)
