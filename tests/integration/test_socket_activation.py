# SPDX-License-Identifier: MIT
"""Listening sockets that a service manager has opened: which listener gets which, what is refused,
and that one that stays open across a restart refuses nobody."""

import signal
import socket

import pytest

from daemon import passing
from headers import CLIENT4, v1, v2
from sessions import MMPROXY, open_session
from settings import configuration, listener, udp_listener
from traffic import EOF, read_exactly, read_to_end
from udp import Balancer, round_trip


def inheriting(held):
    """As passing(), with a socket that this process keeps."""
    launch = passing(f"inherited/{held.fileno()}/web")
    return {**launch, "pass_fds": [held.fileno()]}


def start(start_daemon, host, specs, *listeners, ready=True, **top):
    config = configuration(*listeners, **{"drain_timeout": 0, **top})
    return start_daemon(host, config=config, launch=passing(*specs), ready=ready)


def assert_served(host, upstream, client=CLIENT4):
    connection, accepted = open_session(host, upstream, client)
    assert accepted.getpeername() == client
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"
    accepted.sendall(b"pong")
    assert read_exactly(connection, 4) == b"pong"
    return connection, accepted


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_listener_takes_the_socket_of_its_name(workers, host, start_daemon, upstream):
    mmproxy = start(
        start_daemon, host, ["tcp/127.0.0.1:8443/web"], listener(listen=None), workers=workers
    )
    line = mmproxy.wait_for_log("listener: listening")
    assert line["passed"] == "yes"
    assert line["listen"] == "127.0.0.1:8443"
    for number in range(8):
        assert_served(host, upstream, (CLIENT4[0], 41000 + number))


def test_a_listener_takes_the_socket_of_its_address(host, start_daemon, upstream):
    """A socket unit has one name for all of its sockets."""
    mmproxy = start(
        start_daemon,
        host,
        ["tcp/127.0.0.1:8443/mmproxy.socket", "udp/127.0.0.1:8443/mmproxy.socket"],
        listener(),
        udp_listener(listen="127.0.0.1:8443"),
    )
    assert len(mmproxy.log_lines("passed=yes")) == 2
    assert_served(host, upstream)


def test_what_was_not_passed_is_opened(host, start_daemon, upstream):
    mmproxy = start(
        start_daemon,
        host,
        ["tcp/127.0.0.1:8443/web"],
        listener(listen=["127.0.0.1:8443", "127.0.0.1:8444"]),
    )
    assert_served(host, upstream)
    other = host.connect(("127.0.0.1", 8444))
    other.sendall(v2((CLIENT4[0], 42000)))
    accepted, peer = upstream.accept()
    assert peer == (CLIENT4[0], 42000)
    assert len(mmproxy.log_lines("passed=yes")) == 1
    other.close()
    accepted.close()


def test_a_socket_for_both_families(host, start_daemon, upstream):
    start(start_daemon, host, ["tcp/*:8443/web"], listener(listen="*:8443"))
    assert_served(host, upstream)
    over_ipv6 = host.connect(("::1", 8443))
    over_ipv6.sendall(v1((CLIENT4[0], 41001), ("198.51.100.1", 443)))
    accepted, peer = upstream.accept()
    assert peer == (CLIENT4[0], 41001)
    over_ipv6.close()
    accepted.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_all_flows_of_a_udp_socket_that_was_passed(workers, host, start_daemon, udp_upstream):
    mmproxy = start(
        start_daemon,
        host,
        ["udp/127.0.0.1:8443/dns"],
        udp_listener(listen=None),
        workers=workers,
    )
    balancer = Balancer(host)
    clients = [(CLIENT4[0], 41000 + number) for number in range(20)]
    for _ in range(3):
        for client in clients:
            assert round_trip(balancer, udp_upstream, client) == client
    # Each stayed with the worker it had come to.
    assert mmproxy.counters()["sessions_relayed"] == len(clients)


def test_several_udp_sockets_of_an_address_have_a_worker_each(host, start_daemon, udp_upstream):
    mmproxy = start(
        start_daemon,
        host,
        ["udp/127.0.0.1:8443/dns/reuseport", "udp/127.0.0.1:8443/dns/reuseport"],
        udp_listener(listen=None),
        workers=2,
    )
    assert mmproxy.wait_for_log("listener: listening")["sockets"] == "2"
    for number in range(16):
        balancer = Balancer(host, source=f"127.0.0.{number + 1}")
        client = (CLIENT4[0], 41000 + number)
        assert round_trip(balancer, udp_upstream, client) == client
    assert mmproxy.counters()["sessions_relayed"] == 16


# What is refused.

REFUSED = {
    "no_listener_for_it": (
        ["tcp/127.0.0.1:9999/other"],
        [listener()],
        r'socket 3, passed as \\"other\\" \(tcp 127.0.0.1:9999\): no listener has its name',
    ),
    "another_protocol": (
        ["udp/127.0.0.1:8443/web"],
        [listener()],
        r"\(udp 127.0.0.1:8443\): no listener has its name and protocol",
    ),
    "another_address": (
        ["tcp/127.0.0.1:8444/web"],
        [listener()],
        r"mmproxy.conf:\d+: socket 3, .* listen of .*web.* has another address",
    ),
    "a_unix_socket": (
        ["unix//web"],
        [listener()],
        r"neither TCP nor UDP; write ListenStream=",
    ),
    "a_connection": (
        ["tcp/127.0.0.1:8443/web/connected"],
        [listener()],
        r"does not listen; write Accept=no",
    ),
    "nothing_under_its_name": (
        ["tcp/127.0.0.1:8443/web"],
        [listener(), listener("second", listen=None)],
        r"second.*: listen is missing, and no tcp socket was passed under this name",
    ),
}


@pytest.mark.parametrize("specs, listeners, named", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_named_and_nothing_starts(
    specs, listeners, named, host, start_daemon
):
    mmproxy = start(start_daemon, host, specs, *listeners, ready=False)
    assert mmproxy.wait_until_ended() == 2
    assert len(mmproxy.log_lines("error ")) == 1, mmproxy.log()
    assert mmproxy.log_lines(named), mmproxy.log()


def test_without_listen_the_check_says_what_it_takes(host, start_daemon):
    checked = start_daemon(
        host, config=configuration(listener(listen=None)), arguments=["--check"], ready=False
    )
    assert checked.wait_until_ended() == 0
    assert "no listen: it takes sockets that the service manager passes" in checked.log()


# Reload and restart.


def test_a_reload_keeps_and_lets_go_of_what_was_passed(host, start_daemon, upstream):
    mmproxy = start(
        start_daemon,
        host,
        ["tcp/127.0.0.1:8443/web"],
        listener(),
        listener("second", listen="127.0.0.1:8444"),
        workers=2,
    )
    session = assert_served(host, upstream)
    mmproxy.write_config(configuration(listener(header_timeout=3), workers=2, drain_timeout=0))
    assert mmproxy.reload().event == "config: reloaded"
    assert_served(host, upstream, (CLIENT4[0], 41001))

    # Its listener goes: whoever comes waits in the queue.
    second = configuration(
        listener("second", listen="127.0.0.1:8444"), workers=2, drain_timeout=0
    )
    mmproxy.write_config(second)
    assert mmproxy.reload().event == "config: reloaded"
    assert mmproxy.log_lines("socket 3, .*: no listener is there for it any more")
    waiting = host.connect(MMPROXY)
    waiting.sendall(v2((CLIENT4[0], 41002)) + b"patience")
    session[0].sendall(b"still")
    assert read_exactly(session[1], 5) == b"still"

    # And it comes back.
    mmproxy.write_config(configuration(listener(), workers=2, drain_timeout=0))
    assert mmproxy.reload().event == "config: reloaded"
    accepted, peer = upstream.accept()
    assert peer == (CLIENT4[0], 41002)
    assert read_exactly(accepted, 8) == b"patience"
    waiting.close()
    accepted.close()


def test_who_waits_while_it_stops_is_served_by_the_next(host, start_daemon, upstream):
    """The socket is somebody else's; closing ours neither resets nor accepts who is in its queue."""
    with host.entered():
        held = socket.create_server(MMPROXY, backlog=64)
    host.keep(held)

    def start_with_held():
        return start_daemon(
            host,
            config=configuration(listener(), workers=2),
            launch=inheriting(held),
        )

    first = start_with_held()
    session = assert_served(host, upstream)
    first.terminate()
    first.wait_for_log("daemon: stopping")
    first.wait_until_idle()
    late = host.connect(MMPROXY)
    late.sendall(v2((CLIENT4[0], 41001)) + b"late")
    # The one that was there goes on until its end.
    session[0].sendall(b"more")
    assert read_exactly(session[1], 4) == b"more"
    session[0].close()
    assert read_to_end(session[1]) == (b"", EOF)
    session[1].close()
    assert first.wait_until_ended() == 0
    start_with_held()
    accepted, peer = upstream.accept()
    assert peer == (CLIENT4[0], 41001)
    assert read_exactly(accepted, 4) == b"late"
    accepted.sendall(b"served")
    assert read_exactly(late, 6) == b"served"
    late.close()
    accepted.close()


def test_a_crash_loses_nobody_who_waits(host, start_daemon, upstream):
    with host.entered():
        held = socket.create_server(MMPROXY, backlog=64)
    host.keep(held)
    launch = inheriting(held)
    first = start_daemon(host, config=configuration(listener()), launch=launch, ready=False)
    first.wait_until_ready()
    first.process.send_signal(signal.SIGKILL)
    assert first.wait_until_ended() == -signal.SIGKILL
    waiting = host.connect(MMPROXY)
    waiting.sendall(v2(CLIENT4) + b"x")
    start_daemon(host, config=configuration(listener()), launch=launch)
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    waiting.close()
    accepted.close()


@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_systemd_socket_activate(kind, host, start_daemon, upstream, udp_upstream):
    datagrams = ["--datagram"] if kind == "datagram" else []
    served = udp_listener("it", listen=None) if datagrams else listener("it", listen=None)
    config = configuration(served, drain_timeout=0)
    prefix = ["systemd-socket-activate", *datagrams, "-l", "127.0.0.1:8443", "--fdname=it"]
    # It starts the program when the first client comes.
    mmproxy = start_daemon(host, config=config, launch={"prefix": prefix}, ready=False)
    mmproxy.wait_for_log("Listening on")
    if datagrams:
        assert round_trip(Balancer(host), udp_upstream, CLIENT4) == CLIENT4
    else:
        assert_served(host, upstream)
    mmproxy.wait_for_log("passed=yes")


def test_a_socket_keeps_the_backlog_that_it_was_passed_with(host, start_daemon, upstream):
    with host.entered():
        held = socket.create_server(MMPROXY, backlog=64)
    host.keep(held)
    start_daemon(host, config=configuration(listener(backlog=7)), launch=inheriting(held))
    assert_served(host, upstream)
    shown = host.run(["ss", "-Hlnt", "sport = :8443"]).stdout.split()
    assert shown[2] == "64", shown


def test_a_low_port_needs_no_right_where_it_is_passed(host, start_daemon, upstream):
    """The packaged unit's rights: another user, CAP_NET_ADMIN alone."""
    rights = [
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
        "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin",
        "--bounding-set=-all,+net_admin",
    ]  # fmt: skip
    passed = [*passing("tcp/127.0.0.1:80/web")["prefix"], "/usr/bin/setpriv"]
    alone = start_daemon(
        host,
        config=configuration(listener(listen="127.0.0.1:80")),
        launch={"prefix": rights},
        ready=False,
    )
    assert alone.wait_until_ended() == 1
    line = alone.log_lines("cannot listen on tcp 127.0.0.1:80")[0]
    assert "Permission denied" in line.text
    assert "systemctl edit mmproxy.socket" in line.text
    assert "FileDescriptorName=" in line.text
    start_daemon(
        host,
        config=configuration(listener(listen="127.0.0.1:80")),
        # setpriv keeps the process, so LISTEN_PID stays right.
        launch={"prefix": [*passed, *rights[1:]]},
    )
    connection = host.connect(("127.0.0.1", 80))
    connection.sendall(v2(CLIENT4))
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    connection.close()
    accepted.close()
