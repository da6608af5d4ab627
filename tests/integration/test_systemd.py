# SPDX-License-Identifier: MIT
"""The packaged units under a real systemd."""

import time

import pytest

from headers import CLIENT4, v1, v2
from sessions import MMPROXY, open_session
from settings import configuration, listener
from traffic import EOF, read_exactly, read_to_end
from waiting import wait_until

SERVICE = "mmproxy.service"


def configure(systemd, *listeners, **top):
    """Where the installed unit reads it."""
    command = systemd.show(SERVICE, "ExecStart")
    where = command.split("--config ")[1].split()[0]
    systemd.install({where: configuration(*(listeners or [listener()]), **top)})


def assert_serves(host, upstream, client=CLIENT4):
    connection, accepted = open_session(host, upstream, client)
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"
    connection.close()
    assert read_to_end(accepted) == (b"", EOF)
    accepted.close()


def test_start_stop_start(systemd, host, upstream):
    configure(systemd)
    for port in range(41000, 41002):
        systemd.systemctl("start", SERVICE)
        assert systemd.show(SERVICE, "ActiveState") == "active"
        assert_serves(host, upstream, (CLIENT4[0], port))
        systemd.systemctl("stop", SERVICE)
        assert systemd.show(SERVICE, "Result") == "success"
        with pytest.raises(ConnectionRefusedError):
            host.connect(MMPROXY)
