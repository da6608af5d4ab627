# SPDX-License-Identifier: MIT
"""The sockets behind listeners that a reload changes: whose they are, what they cost, what they cannot."""

import socket

import pytest

import headers
from control import request
from sessions import MMPROXY, assert_alive, close
from settings import configuration, listener, udp_listener
from udp import Balancer, round_trip
from waiting import wait_until

SECOND = ("127.0.0.1", 8444)
CLIENT = headers.CLIENT4[0]


def session_at(host, upstream, address, port):
    connection = host.connect(address)
    connection.sendall(headers.v2((CLIENT, port)))
    accepted, peer = upstream.accept()
    assert peer == (CLIENT, port)
    for end in connection, accepted:
        end.settimeout(20)
    return connection, accepted


def assert_refused(host, address):
    with pytest.raises(ConnectionRefusedError):
        host.connect(address)


def reload(mmproxy, *listeners, **top):
    mmproxy.write_config(configuration(*listeners, **{"drain_timeout": 0, **top}))
    line = mmproxy.reload()
    assert line.event == "config: reloaded", mmproxy.log()
    return line


def reload_fails(mmproxy, *listeners, **top):
    """The lines that say why."""
    mmproxy.write_config(configuration(*listeners, **{"drain_timeout": 0, **top}))
    assert "nothing changed" in mmproxy.reload().text
    return "\n".join(line.text for line in mmproxy.log_lines("config: (mistake|cannot be put in place)"))


def second(**changes):
    return listener("second", **{"listen": "127.0.0.1:8444", **changes})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_added_listener_has_a_socket_a_worker_for_itself(workers, host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"workers": workers})
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, listener(), second(), workers=workers)
    line = mmproxy.log_lines("listener: listening")[-1]
    assert (line["listener"], line["listen"]) == ("second", "127.0.0.1:8444")
    assert line["sockets"] == str(workers)
    for port in range(20001, 20009):
        close(*session_at(host, upstream, SECOND, port))
    close(*session_at(host, upstream, MMPROXY, 20010))
    assert_alive(*live)
    # It is ours alone: no other process can join it.
    with host.entered(), socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(SECOND)
            thief.listen()


def test_an_address_that_moves_to_another_listener(host, start_daemon, upstream):
    both = [listener(listen=["127.0.0.1:8443", "127.0.0.1:8444"]), second(listen="127.0.0.1:8445")]
    mmproxy = start_daemon(host, config=configuration(*both, drain_timeout=0))
    reload(mmproxy, listener(), second(listen=["127.0.0.1:8444", "127.0.0.1:8445"]))
    session = session_at(host, upstream, SECOND, 20000)
    close(*session)
    assert mmproxy.wait_for_log("session: closed")["listener"] == "second"


def test_an_address_that_is_not_here_is_named_with_freebind(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    elsewhere = second(listen="198.51.100.99:8444")
    assert "freebind = true" in reload_fails(mmproxy, listener(), elsewhere)
    reload(mmproxy, listener(), second(listen="198.51.100.99:8444", freebind=True))
    close(*session_at(host, upstream, MMPROXY, 20000))


@pytest.mark.parametrize(
    "changes",
    [{"backlog": 7}, {"freebind": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_an_open_socket_cannot_change_asks_for_a_restart(
    changes, host, start_daemon, upstream
):
    mmproxy = start_daemon(host)
    why = reload_fails(mmproxy, listener(**changes))
    assert f"{next(iter(changes))}: changed, and this change needs a restart" in why
    close(*session_at(host, upstream, MMPROXY, 20000))


def test_a_udp_listener_gets_half_of_the_descriptors_that_are_left(host, start_daemon, upstream):
    mmproxy = start_daemon(host, launch={"prefix": ["prlimit", "--nofile=200:200"]})
    reload(mmproxy, listener(), udp_listener(listen="127.0.0.1:8444", max_flows=1000000))
    assert mmproxy.log_lines("config: remark .* flows instead of max_flows")
    close(*session_at(host, upstream, MMPROXY, 20000))
    why = reload_fails(
        mmproxy,
        listener(),
        udp_listener(listen="127.0.0.1:8444", max_flows=1000000),
        *[
            udp_listener(f"dns{port}", listen=[f"127.0.0.1:{port}", f"[::1]:{port}"])
            for port in range(9000, 9040)
        ],
    )
    assert "descriptors" in why or "Too many open files" in why
    close(*session_at(host, upstream, MMPROXY, 20001))


def test_the_other_protocol_takes_the_same_address(host, start_daemon, upstream, udp_upstream):
    mmproxy = start_daemon(host)
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, udp_listener("web", listen="127.0.0.1:8443"))
    assert round_trip(Balancer(host), udp_upstream, (CLIENT, 20001)) == (CLIENT, 20001)
    assert_refused(host, MMPROXY)
    assert_alive(*live)


def test_descriptors_and_limits_are_back_when_a_listener_has_gone(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    before = mmproxy.descriptors()
    limit = request(mmproxy, "status")["max_sessions"]
    for number in range(20):
        reload(mmproxy, listener(), second(), udp_listener(listen="127.0.0.1:8445"))
        close(*session_at(host, upstream, SECOND, 20000 + number))
        reload(mmproxy, listener())

        def back():
            return mmproxy.descriptors() == before

        wait_until(back, 10, lambda: f"{before} descriptors: {mmproxy.descriptors()}")
        assert request(mmproxy, "status")["max_sessions"] == limit
