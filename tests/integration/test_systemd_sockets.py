# SPDX-License-Identifier: MIT
"""Listening sockets that a real systemd holds: restarts and crashes that refuse nobody, low ports."""

import os
import signal
import socket

import pytest

from headers import CLIENT4, v1, v2, v2_udp
from load import Load
from sessions import MMPROXY, assert_alive, close, open_session, send
from settings import listener, udp_listener
from test_systemd import (
    PLUGIN,
    SERVICE,
    configure,
    install_plugin,
    is_refused,
    restarts,
    wait_for_watchdog,
    watch_closely,
)
from traffic import read_exactly, wait_until_ended
from upstreams import Datagrams, Listener, Server, echo
from waiting import wait_until

SOCKET = "mmproxy.socket"


def use_socket(systemd, *lines, unit=SOCKET):
    """As an administrator does: addresses in a drop-in, then both units."""
    text = "\n".join(["[Socket]", "ListenStream=", *lines, ""])
    systemd.drop_in(unit, text)
    systemd.systemctl("start", unit)


def use_port(systemd, port=8443, **settings):
    configure(systemd, listener(listen=f"127.0.0.1:{port}"), **settings)
    use_socket(systemd, f"ListenStream=127.0.0.1:{port}", "FileDescriptorName=web")
    systemd.systemctl("start", SERVICE)


@pytest.fixture
def echoing(host):
    made = Server(host, echo)
    yield made
    made.close()


@pytest.fixture
def load(host, echoing):
    return Load(host, MMPROXY)


def is_active(systemd):
    return systemd.show(SERVICE, "ActiveState") == "active"


# Restarts.


def test_a_restart_under_load_refuses_and_resets_nobody(systemd, load):
    use_port(systemd, drain_timeout=20)
    with load:
        load.wait_for_more()
        for _ in range(3):
            systemd.systemctl("restart", SERVICE)
            load.wait_for_more()
    load.assert_all_served()
    assert systemd.show(SERVICE, "NRestarts") == "0"
    assert systemd.show(SOCKET, "ActiveState") == "active"


def test_a_session_that_ends_within_drain_timeout_survives_a_restart(systemd, host, upstream):
    use_port(systemd, drain_timeout=20)
    session = open_session(host, upstream)
    first = systemd.main_pid(SERVICE)
    systemd.systemctl("restart", "--no-block", SERVICE)
    systemd.wait_for_log(SERVICE, "draining|STOPPING|Stopping")
    assert_alive(*session)
    # One that comes meanwhile waits, and is served by the next process.
    waiting = host.connect(MMPROXY)
    waiting.sendall(v2((CLIENT4[0], 41001)) + b"later")
    assert_alive(*session)
    close(*session)
    accepted, peer = upstream.accept(30)
    assert peer == (CLIENT4[0], 41001)
    assert read_exactly(accepted, 5) == b"later"
    wait_until(lambda: is_active(systemd), 10, "the service is up again")
    assert systemd.main_pid(SERVICE) != first


def test_longer_sessions_are_ended_at_drain_timeout_logged_and_counted(systemd, host, upstream):
    use_port(systemd, drain_timeout=0.5)
    sessions = [open_session(host, upstream, (CLIENT4[0], 41000 + i)) for i in range(3)]
    systemd.systemctl("restart", SERVICE)
    for connection, _ in sessions:
        wait_until_ended(connection)
    systemd.wait_for_log(SERVICE, "session: closed .*reason=shutdown", count=3)
    counters = systemd.wait_for_log(SERVICE, "daemon: counters .*sessions_closed")
    assert "sessions_closed_shutdown=3" in counters.split()
    assert not is_refused(host)


def test_a_crash_refuses_nobody(systemd, host, load):
    use_port(systemd)
    with load:
        load.wait_for_more()
        os.kill(systemd.main_pid(SERVICE), signal.SIGKILL)
        restarted = lambda: systemd.show(SERVICE, "NRestarts") == "1" and is_active(systemd)
        wait_until(restarted, 20, "systemd has started it again")
        load.wait_for_more()
    assert load.results["refused"] == 0 and load.results["timeout"] == 0, load.results
    # Those that were live had their sockets in the process that died: at most one a thread.
    assert sum(load.results.values()) - load.results["served"] <= 8, load.results


def test_a_stuck_worker_refuses_nobody(systemd, host, upstream):
    """The watchdog's end of the process is a crash like any other."""
    install_plugin(systemd, "stuck")
    systemd.install({"/etc/hold": ""})
    watch_closely(systemd)
    config = {"while": "/etc/hold", "port": 1666}
    entry = {"name": "stuck", "path": PLUGIN.format("stuck"), "config": config}
    use_port(systemd, workers=1, plugins=[entry])
    send(host, v2((CLIENT4[0], 1666)))
    systemd.wait_for_log(SERVICE, "a worker is stuck|Watchdog timeout")
    # Nobody accepts this one until the next process does.
    waiting = send(host, v2(CLIENT4) + b"hello")
    wait_for_watchdog(systemd)
    accepted, peer = upstream.accept(20)
    assert peer == CLIENT4
    assert read_exactly(accepted, 5) == b"hello"
    assert restarts(systemd) >= 1
    waiting.close()


def test_datagrams_wait_for_the_next_process(systemd, host):
    upstream = Datagrams(host)
    configure(systemd, udp_listener(listen="127.0.0.1:8443"), workers=1, drain_timeout=0)
    use_socket(systemd, "ListenDatagram=127.0.0.1:8443", "FileDescriptorName=dns")
    systemd.systemctl("start", SERVICE)
    balancer = host.socket(kind=socket.SOCK_DGRAM)
    balancer.sendto(v2_udp(CLIENT4) + b"before", MMPROXY)
    assert upstream.receive() == (b"before", CLIENT4)
    os.kill(systemd.main_pid(SERVICE), signal.SIGKILL)
    wait_until(lambda: not is_active(systemd), 10, "it has ended")
    balancer.sendto(v2_udp(CLIENT4) + b"meanwhile", MMPROXY)
    assert upstream.receive() == (b"meanwhile", CLIENT4)


def test_a_reload_under_load_refuses_and_resets_nobody(systemd, load):
    use_port(systemd)
    with load:
        load.wait_for_more()
        for sessions in range(1000, 1005):
            configure(systemd, listener(max_sessions=sessions))
            systemd.systemctl("reload", SERVICE)
            load.wait_for_more(20)
    load.assert_all_served()


def test_the_first_client_starts_the_service(systemd, host, upstream):
    configure(systemd)
    use_socket(systemd, "ListenStream=127.0.0.1:8443", "FileDescriptorName=web")
    assert not is_active(systemd)
    assert_alive(*open_session(host, upstream))


# Addresses and names.


def test_a_low_port_comes_from_the_socket_unit(systemd, host):
    upstream = Listener(host, ("127.0.0.1", 8080))
    configure(systemd, listener(listen="127.0.0.1:443", forward={"ipv4": "127.0.0.1:8080"}))
    use_socket(systemd, "ListenStream=127.0.0.1:443", "FileDescriptorName=web")
    systemd.systemctl("start", SERVICE)
    connection = host.connect(("127.0.0.1", 443))
    connection.sendall(v1(CLIENT4))
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert_alive(connection, accepted)


def test_a_low_port_without_the_socket_unit_is_refused_and_the_way_is_named(systemd, host):
    configure(systemd, listener(listen="127.0.0.1:443"))
    assert systemd.systemctl("start", SERVICE, check=False).returncode != 0
    line = systemd.wait_for_log(SERVICE, "cannot listen")
    assert "`systemctl edit mmproxy.socket`" in line and "FileDescriptorName=" in line


def test_a_listener_may_leave_its_address_to_the_socket_unit(systemd, host, upstream):
    configure(systemd, listener(listen=None))
    use_socket(systemd, "ListenStream=127.0.0.1:8443", "FileDescriptorName=web")
    systemd.systemctl("start", SERVICE)
    assert_alive(*open_session(host, upstream))


def test_one_unit_may_have_sockets_of_several_listeners(systemd, host, upstream):
    """Those that the name does not say are found by their address."""
    datagrams = Datagrams(host)
    configure(systemd, listener(), udp_listener(listen="127.0.0.1:8444"), drain_timeout=0)
    lines = ["ListenStream=127.0.0.1:8443", "ListenDatagram=127.0.0.1:8444"]
    use_socket(systemd, *lines, "FileDescriptorName=web")
    systemd.systemctl("start", SERVICE)
    assert_alive(*open_session(host, upstream))
    balancer = host.socket(kind=socket.SOCK_DGRAM)
    balancer.sendto(v2_udp(CLIENT4) + b"question", ("127.0.0.1", 8444))
    assert datagrams.receive() == (b"question", CLIENT4)


def test_each_worker_has_a_datagram_socket_where_the_unit_has_as_many(systemd, host):
    upstream = Datagrams(host)
    configure(systemd, udp_listener(listen=None), workers=4, drain_timeout=0)
    lines = ["ListenDatagram=127.0.0.1:8443"] * 4
    use_socket(systemd, *lines, "ReusePort=yes", "FileDescriptorName=dns")
    systemd.systemctl("start", SERVICE)
    assert "sockets=4" in systemd.wait_for_log(SERVICE, "listener: listening")
    for port in range(21000, 21050):  # none that a balancer gets for its own
        balancer = host.socket(kind=socket.SOCK_DGRAM)
        balancer.sendto(v2_udp((CLIENT4[0], port)) + b"question", MMPROXY)
        assert upstream.receive() == (b"question", (CLIENT4[0], port))


def test_each_socket_unit_has_a_name_of_its_own(systemd, host, upstream):
    """As doc/service.md says: a copy with Service=."""
    elsewhere = Listener(host, ("127.0.0.1", 8080))
    imap = listener("imap", listen=None, forward={"ipv4": "127.0.0.1:8080"})
    configure(systemd, imap, listener(listen=None))
    lines = ["Service=mmproxy.service", "FileDescriptorName=imap", "ListenStream=127.0.0.1:143"]
    unit = "\n".join(["[Socket]", *lines, ""])
    systemd.install({"/etc/systemd/system/mmproxy-imap.socket": unit})
    systemd.systemctl("start", "mmproxy-imap.socket")
    use_socket(systemd, "ListenStream=127.0.0.1:8443", "FileDescriptorName=web")
    systemd.systemctl("start", SERVICE)
    assert_alive(*open_session(host, upstream))
    connection = host.connect(("127.0.0.1", 143))
    connection.sendall(v1(CLIENT4))
    assert_alive(connection, elsewhere.accept()[0])


def test_an_instance_has_a_socket_unit_of_its_own(systemd, host, upstream):
    configure(systemd, listener(listen=None), unit="mmproxy@one.service")
    lines = ["ListenStream=127.0.0.1:8443", "FileDescriptorName=web"]
    use_socket(systemd, *lines, unit="mmproxy@one.socket")
    assert_alive(*open_session(host, upstream))
    first = systemd.main_pid("mmproxy@one.service")
    assert first and not systemd.main_pid(SERVICE)
    systemd.systemctl("restart", "mmproxy@one.service")
    assert_alive(*open_session(host, upstream, (CLIENT4[0], 41001)))
    assert systemd.main_pid("mmproxy@one.service") != first


def test_addresses_are_changed_by_a_restart_of_both(systemd, host, upstream):
    use_port(systemd)
    configure(systemd, listener(listen="127.0.0.1:8444"))
    text = "[Socket]\nListenStream=\nListenStream=127.0.0.1:8444\nFileDescriptorName=web\n"
    systemd.drop_in(SOCKET, text)
    systemd.systemctl("stop", SERVICE)
    systemd.systemctl("restart", SOCKET)
    systemd.systemctl("start", SERVICE)
    assert is_refused(host)
    connection = host.connect(("127.0.0.1", 8444))
    connection.sendall(v1(CLIENT4))
    assert_alive(connection, upstream.accept()[0])


def test_clients_cannot_start_a_service_with_mistakes_for_ever(systemd, host, upstream):
    """systemd gives up and closes the sockets; the way back is what doc/service.md says."""
    configure(systemd, listener(lissten="*:1"))
    use_socket(systemd, "ListenStream=127.0.0.1:8443", "FileDescriptorName=web")
    host.connect(MMPROXY)
    has_failed = lambda: systemd.show(SOCKET, "ActiveState") == "failed"
    wait_until(has_failed, 20, "the socket unit has failed", interval=0.1)
    assert is_refused(host)
    configure(systemd)
    systemd.systemctl("restart", SOCKET)
    systemd.systemctl("start", SERVICE)
    assert_alive(*open_session(host, upstream))


def test_a_socket_that_is_no_listeners_is_a_mistake(systemd, host):
    configure(systemd, listener(listen="127.0.0.1:8444"))
    use_socket(systemd, "ListenStream=127.0.0.1:8445", "FileDescriptorName=other")
    assert systemd.systemctl("start", SERVICE, check=False).returncode != 0
    systemd.wait_for_log(SERVICE, "127.0.0.1:8445")
