# SPDX-License-Identifier: MIT
"""Listeners that a reload adds, removes, moves and renames, beside sessions that do not notice."""

import socket

import pytest

import headers
from control import request
from sessions import MMPROXY
from settings import configuration, listener, udp_listener
from traffic import EOF, read_exactly, read_to_end
from udp import Balancer, answer, question, round_trip
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


def assert_alive(session):
    connection, accepted = session
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"
    accepted.sendall(b"pong")
    assert read_exactly(connection, 4) == b"pong"


def finish(session):
    connection, accepted = session
    connection.close()
    assert read_to_end(accepted) == (b"", EOF)
    accepted.close()


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
    return "\n".join(line.text for line in mmproxy.log_lines("config: mistake"))


def second(**changes):
    return listener("second", **{"listen": "127.0.0.1:8444", **changes})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_added_listener_serves(workers, host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"workers": workers})
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, listener(), second(), workers=workers)
    line = mmproxy.log_lines("listener: listening")[-1]
    assert (line["name"], line["listen"]) == ("second", "127.0.0.1:8444")
    assert line["sockets"] == str(workers)
    for port in range(20001, 20009):
        finish(session_at(host, upstream, SECOND, port))
    finish(session_at(host, upstream, MMPROXY, 20010))
    assert_alive(live)
    # It is ours alone: no other process can join it.
    with host.entered(), socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(SECOND)
            thief.listen()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_removed_listener_refuses_and_its_sessions_go_on(workers, host, start_daemon, upstream):
    config = configuration(listener(), second(), workers=workers, drain_timeout=0)
    mmproxy = start_daemon(host, config=config)
    sessions = [session_at(host, upstream, SECOND, 20000 + number) for number in range(6)]
    before = mmproxy.descriptors()
    reload(mmproxy, listener(), workers=workers)
    line = mmproxy.wait_for_log("no longer listening")
    assert (line["name"], line["listen"]) == ("second", "127.0.0.1:8444")
    assert_refused(host, SECOND)
    for session in sessions:
        assert_alive(session)
    assert mmproxy.descriptors() == before - workers
    for session in sessions:
        finish(session)
    reload(mmproxy, listener(), second(), workers=workers)
    finish(session_at(host, upstream, SECOND, 21000))


def test_who_waits_in_the_queue_of_a_removed_listener_is_not_reset(host, start_daemon, upstream):
    """max_sessions keeps them in the queue; the reload that removes the listener takes them in."""
    full = second(max_sessions=1)
    mmproxy = start_daemon(host, config=configuration(listener(), full, workers=1))
    first = session_at(host, upstream, SECOND, 20000)
    waiting = []
    for port in 20001, 20002:
        connection = host.connect(SECOND)
        connection.sendall(headers.v2((CLIENT, port)))
        waiting.append(connection)
    mmproxy.wait_for_counter("accept_paused")
    # Room for them, and no listener any more.
    reload(mmproxy, listener(), second(max_sessions=0), workers=1, drain_timeout=10)
    reload(mmproxy, listener(), workers=1, drain_timeout=10)
    accepted = [upstream.accept() for _ in waiting]
    assert {peer for _, peer in accepted} == {(CLIENT, 20001), (CLIENT, 20002)}
    finish(first)
    for connection in waiting:
        connection.close()
    for end, _ in accepted:
        end.close()


def test_another_address_of_a_listener(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, listener(listen=["127.0.0.1:8443", "127.0.0.1:8444"]))
    finish(session_at(host, upstream, SECOND, 20001))
    reload(mmproxy, listener(listen="127.0.0.1:8444"))
    assert_refused(host, MMPROXY)
    finish(session_at(host, upstream, SECOND, 20002))
    assert_alive(live)


def test_a_renamed_listener_keeps_its_sockets_and_its_limit(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions=2)
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, listener("renamed", max_sessions=2))
    assert len(mmproxy.log_lines("listener: listening")) == 1
    assert not mmproxy.log_lines("no longer listening")
    other = session_at(host, upstream, MMPROXY, 20001)
    # The session that was there before counts.
    third = host.connect(MMPROXY)
    third.sendall(headers.v2((CLIENT, 20002)))
    mmproxy.wait_for_counter("accept_paused")
    finish(live)
    accepted, peer = upstream.accept()
    assert peer == (CLIENT, 20002)
    assert_alive(other)
    third.close()
    accepted.close()


def test_an_address_that_moves_to_another_listener(host, start_daemon, upstream):
    both = [listener(listen=["127.0.0.1:8443", "127.0.0.1:8444"]), second(listen="127.0.0.1:8445")]
    mmproxy = start_daemon(host, config=configuration(*both, drain_timeout=0))
    reload(mmproxy, listener(), second(listen=["127.0.0.1:8444", "127.0.0.1:8445"]))
    session = session_at(host, upstream, SECOND, 20000)
    finish(session)
    assert mmproxy.wait_for_log("session: closed")["listener"] == "second"


# What cannot be opened.


def test_an_address_that_is_taken_changes_nothing(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    with host.entered():
        taken = host.keep(socket.create_server(("127.0.0.1", 8445)))
    before = mmproxy.descriptors()
    why = reload_fails(mmproxy, listener(), second(), listener("third", listen="127.0.0.1:8445"))
    assert "third" in why and "tcp 127.0.0.1:8445: bind: Address already in use" in why
    assert "mmproxy.conf:" in why
    assert_refused(host, SECOND)  # not half of it
    assert mmproxy.descriptors() == before
    finish(session_at(host, upstream, MMPROXY, 20000))
    taken.close()
    reload(mmproxy, listener(), second(), listener("third", listen="127.0.0.1:8445"))
    finish(session_at(host, upstream, ("127.0.0.1", 8445), 20001))


def test_an_address_that_is_not_here_is_named_with_freebind(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    elsewhere = second(listen="198.51.100.99:8444")
    assert "freebind = true" in reload_fails(mmproxy, listener(), elsewhere)
    reload(mmproxy, listener(), second(listen="198.51.100.99:8444", freebind=True))
    finish(session_at(host, upstream, MMPROXY, 20000))


def test_a_low_port_names_the_socket_unit(host, start_daemon, upstream):
    mmproxy = start_daemon(host)  # which has become nobody
    why = reload_fails(mmproxy, listener(), second(listen="127.0.0.1:80"))
    assert "Permission denied" in why
    assert "mmproxy.socket" in why
    finish(session_at(host, upstream, MMPROXY, 20000))


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
    finish(session_at(host, upstream, MMPROXY, 20000))


def test_no_descriptors_for_it(host, start_daemon, upstream):
    mmproxy = start_daemon(host, launch={"prefix": ["prlimit", "--nofile=200:200"]})
    reload(mmproxy, listener(), udp_listener(listen="127.0.0.1:8444", max_flows=1000000))
    assert mmproxy.log_lines("config: remark .* flows instead of max_flows")
    finish(session_at(host, upstream, MMPROXY, 20000))
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
    finish(session_at(host, upstream, MMPROXY, 20001))


# UDP.


@pytest.mark.parametrize("workers", [1, 2])
def test_an_added_udp_listener_serves(workers, host, start_daemon, udp_upstream):
    """The first of its kind: until then there was TCP alone."""
    mmproxy = start_daemon(host, top={"workers": workers, "drain_timeout": 0})
    reload(mmproxy, listener(), udp_listener(), workers=workers)
    balancers = [Balancer(host, source=f"127.0.0.{1 + number}") for number in range(6)]
    for number, balancer in enumerate(balancers):
        client = (CLIENT, 20000 + number)
        assert round_trip(balancer, udp_upstream, client) == client


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_removed_udp_listener_serves_its_flows_to_their_end(
    workers, host, start_daemon, udp_upstream
):
    config = configuration(listener(), udp_listener(), workers=workers, drain_timeout=0)
    mmproxy = start_daemon(host, config=config)
    balancers = [Balancer(host, source=f"127.0.0.{1 + number}") for number in range(8)]
    clients = [(CLIENT, 20000 + number) for number in range(8)]
    for balancer, client in zip(balancers, clients):
        assert round_trip(balancer, udp_upstream, client) == client
    reload(mmproxy, listener(), workers=workers)
    # One flow speaks on, and the others fall silent: the sockets of all workers stay for it.
    relayed = mmproxy.counters()["sessions_relayed"]

    def only_one_left():
        question(balancers[0], udp_upstream, clients[0])
        answer(balancers[0], udp_upstream, clients[0], clients[0], b"still here")
        return mmproxy.counters()["sessions_closed_shutdown"] >= len(clients) - 1

    wait_until(only_one_left, 20, "the silent flows have ended", interval=0.1)
    for _ in range(5):
        question(balancers[0], udp_upstream, clients[0])
        answer(balancers[0], udp_upstream, clients[0], clients[0], b"still here")
    # Nobody else gets in.
    for number, balancer in enumerate(balancers):
        balancer.send((CLIENT, 21000 + number), b"too late")
    mmproxy.wait_for_counter("datagrams_dropped_draining", len(balancers))
    assert mmproxy.counters()["sessions_relayed"] == relayed
    # While it drains its address is taken; afterwards it can be had again.
    assert "already in use" in reload_fails(mmproxy, listener(), udp_listener(), workers=workers)

    def added_again():
        mmproxy.write_config(
            configuration(listener(), udp_listener(), workers=workers, drain_timeout=0)
        )
        return mmproxy.reload().event == "config: reloaded"

    wait_until(added_again, 20, "its last flow has ended", interval=0.1)
    assert round_trip(balancers[3], udp_upstream, (CLIENT, 22000)) == (CLIENT, 22000)


def test_a_renamed_udp_listener_keeps_its_flows(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer = Balancer(host)
    assert round_trip(balancer, udp_upstream, (CLIENT, 20000)) == (CLIENT, 20000)
    reload(mmproxy, udp_listener("renamed"))
    assert round_trip(balancer, udp_upstream, (CLIENT, 20000)) == (CLIENT, 20000)
    assert mmproxy.counters()["sessions_relayed"] == 1


def test_the_other_protocol_on_the_same_address(host, start_daemon, upstream, udp_upstream):
    mmproxy = start_daemon(host)
    live = session_at(host, upstream, MMPROXY, 20000)
    reload(mmproxy, udp_listener("web", listen="127.0.0.1:8443"))
    assert round_trip(Balancer(host), udp_upstream, (CLIENT, 20001)) == (CLIENT, 20001)
    assert_refused(host, MMPROXY)
    assert_alive(live)


def test_descriptors_and_limits_are_back_when_a_listener_has_gone(host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    before = mmproxy.descriptors()
    limit = request(mmproxy, "status")["max_sessions"]
    for number in range(20):
        reload(mmproxy, listener(), second(), udp_listener(listen="127.0.0.1:8445"))
        finish(session_at(host, upstream, SECOND, 20000 + number))
        reload(mmproxy, listener())

        def back():
            return mmproxy.descriptors() == before

        wait_until(back, 10, lambda: f"{before} descriptors: {mmproxy.descriptors()}")
        assert request(mmproxy, "status")["max_sessions"] == limit
