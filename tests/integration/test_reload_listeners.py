# SPDX-License-Identifier: MIT
"""Listeners that a reload adds, removes, moves and renames, and the sessions that they have."""

import contextlib
import socket

import pytest

import plugins
from faults import without_descriptors
from headers import CLIENT4, v2
from sessions import MMPROXY, assert_alive, open_session, send, unused_client
from settings import configuration, listener, udp_listener
from traffic import EOF, read_exactly, read_to_end
from udp import Balancer, flows, question, round_trip, text, wait_until_closed
from udp_alive import repeated
from waiting import wait_until

OTHER = (CLIENT4[0], 41001)
SECOND = ("127.0.0.1", 8444)
THIRD = ("127.0.0.1", 8445)

# Another listener in front of the same upstream.
second = listener("second", listen="127.0.0.1:8444")
second_udp = udp_listener("second", listen="127.0.0.1:8444", max_flows=100)


def reload_with(mmproxy, *listeners, **top):
    mmproxy.write_config(configuration(*listeners, **{"drain_timeout": 0, **top}))
    return mmproxy.reload()


def assert_reloaded(mmproxy, *listeners, **top):
    line = reload_with(mmproxy, *listeners, **top)
    assert line.event == "config: reloaded", mmproxy.log()


def assert_nothing_changed(mmproxy, *listeners, **top):
    """Returns the mistakes that the log names."""
    before = len(mmproxy.log_lines("config: (mistake|cannot be put in place)"))
    line = reload_with(mmproxy, *listeners, **top)
    assert "nothing changed" in line.text
    return [mistake["text"].replace('\\"', '"') for mistake in mmproxy.log_lines("config: (mistake|cannot be put in place)")[before:]]


def assert_serves(host, upstream, address):
    client = unused_client()
    connection = host.connect(address)
    connection.sendall(v2(client) + b"question")
    accepted, peer = upstream.accept()
    assert peer == client
    assert read_exactly(accepted, 8) == b"question"
    accepted.close()
    assert read_to_end(connection) == (b"", EOF)
    connection.close()


def is_refused(host, address):
    with contextlib.closing(host.socket()) as probe:
        return probe.connect_ex(address) != 0


def listening_sockets(mmproxy, port, protocol="tcp"):
    """The inodes of the sockets that listen on a port of IPv4's."""
    state = {"tcp": "0A", "udp": "07"}[protocol]
    with open(f"/proc/{mmproxy.pid}/net/{protocol}") as file:
        fields = [line.split() for line in file.readlines()[1:]]
    return {
        line[9] for line in fields if line[3] == state and line[1].endswith(f":{port:04X}")
    }


# Added.


def test_an_added_listener_serves(host, mmproxy, upstream):
    session = open_session(host, upstream)
    assert is_refused(host, SECOND)
    assert_reloaded(mmproxy, listener(), second)
    assert mmproxy.wait_for_log("listener: listening listener=second")["listen"] == "127.0.0.1:8444"
    for _ in range(10):
        assert_serves(host, upstream, SECOND)
        assert_serves(host, upstream, MMPROXY)
    assert_alive(*session)


def test_an_added_udp_listener_serves(host, mmproxy, udp_upstream):
    assert_reloaded(mmproxy, listener(), second_udp)
    balancer = Balancer(host, to=SECOND)
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4


def test_an_added_address_of_a_listener_serves(host, mmproxy, upstream):
    kept = listening_sockets(mmproxy, 8443)
    assert_reloaded(mmproxy, listener(listen=["127.0.0.1:8443", "127.0.0.1:8444"]))
    assert listening_sockets(mmproxy, 8443) == kept
    for address in MMPROXY, SECOND:
        assert_serves(host, upstream, address)


def test_a_listener_may_come_and_go_many_times(host, start_daemon, upstream):
    """TCP and UDP, with a session and a flow at each visit."""
    mmproxy = start_daemon(host, top={"workers": 3})
    mmproxy.wait_until_idle()
    before = mmproxy.descriptors()
    for number in range(20):
        assert_reloaded(mmproxy, listener(), second, workers=3)
        assert_serves(host, upstream, SECOND)
        assert_reloaded(mmproxy, listener(), workers=3)
        assert is_refused(host, SECOND)
    wait_until(lambda: mmproxy.descriptors() == before, 10, "the descriptors are back")


# Removed.


def test_a_removed_listener_refuses_and_its_sessions_go_on(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener(), second, drain_timeout=0))
    session = open_session(host, upstream)
    assert_reloaded(mmproxy, second)
    line = mmproxy.wait_for_log("listener: no longer listening")
    assert (line["listener"], line["listen"]) == ("web", "127.0.0.1:8443")
    wait_until(lambda: is_refused(host, MMPROXY), 10, "new connections are refused")
    assert not listening_sockets(mmproxy, 8443)
    assert_serves(host, upstream, SECOND)
    for _ in range(3):
        assert_alive(*session)
        assert_reloaded(mmproxy, second)
    connection, accepted = session
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(accepted) == (b"", EOF)
    accepted.sendall(b"goodbye")
    accepted.shutdown(socket.SHUT_WR)
    assert read_to_end(connection) == (b"goodbye", EOF)
    line = mmproxy.wait_for_log(r"session: closed .*client=203\.0\.113\.9:41000 ")
    assert (line["listener"], line["reason"]) == ("web", "finished")


def test_who_waits_to_be_accepted_by_a_removed_listener_is_served(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener(), second, drain_timeout=0))
    for round_number in range(5):
        mmproxy.write_config(configuration(second, drain_timeout=0))
        waiting = [host.connect(MMPROXY) for _ in range(50)]
        assert mmproxy.reload().event == "config: reloaded"
        due = {(CLIENT4[0], 20000 + 100 * round_number + number): number for number in range(50)}
        for client, number in due.items():
            waiting[number].sendall(v2(client) + bytes([number]))
        seen = {peer: read_exactly(accepted, 1)[0] for accepted, peer in upstream.accept_many(50)}
        assert seen == due
        assert_reloaded(mmproxy, listener(), second)


def test_a_removed_listener_may_come_back_while_it_has_sessions(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(listener(), second, drain_timeout=0))
    sessions = []
    for number in range(5):
        sessions.append(open_session(host, upstream, (CLIENT4[0], 42000 + number)))
        assert_reloaded(mmproxy, second)
        wait_until(lambda: is_refused(host, MMPROXY), 10, "new connections are refused")
        assert_reloaded(mmproxy, listener(), second)
    for session in sessions:
        assert_alive(*session)


# Moved, renamed.


def test_a_listener_that_moves_keeps_its_sessions_and_its_limit(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions=1, top={"drain_timeout": 0})
    session = open_session(host, upstream)
    assert_reloaded(mmproxy, listener(listen="127.0.0.1:8444", max_sessions=1))
    assert is_refused(host, MMPROXY)
    waiting = host.connect(SECOND)
    waiting.sendall(v2(OTHER))
    mmproxy.wait_for_counter("accept_paused")
    upstream.assert_untouched()
    assert_alive(*session)
    for end in session:
        end.close()
    assert upstream.accept()[1] == OTHER


@pytest.mark.parametrize(
    "changed",
    [
        [listener("renamed"), second],
        [second, listener()],
        [listener("second"), listener("web", listen="127.0.0.1:8444")],
        [listener("web", listen=["127.0.0.1:8443", "127.0.0.1:8444"])],
        [listener("one", listen=["127.0.0.1:8444", "127.0.0.1:8445"]), listener("other")],
    ],
    ids=["renamed", "another_order", "names_swapped", "joined", "renamed_with_one_more"],
)
def test_an_address_that_stays_keeps_its_sockets(changed, host, start_daemon, upstream):
    mmproxy = start_daemon(
        host, config=configuration(listener(), second, workers=3, drain_timeout=0)
    )
    kept = [listening_sockets(mmproxy, port) for port in (8443, 8444)]
    assert [len(sockets) for sockets in kept] == [3, 3]
    session = open_session(host, upstream)
    assert_reloaded(mmproxy, *changed, workers=3)
    assert [listening_sockets(mmproxy, port) for port in (8443, 8444)] == kept
    for address in MMPROXY, SECOND:
        assert_serves(host, upstream, address)
    assert_alive(*session)


def test_a_renamed_listener_goes_on_under_its_new_name(host, start_daemon, upstream):
    mmproxy = start_daemon(host, max_sessions=1, top={"drain_timeout": 0})
    session = open_session(host, upstream)
    assert_reloaded(mmproxy, listener("renamed", max_sessions=1))
    waiting = send(host, v2(OTHER))
    mmproxy.wait_for_counter("accept_paused")
    upstream.assert_untouched()
    for end in session:
        end.close()
    accepted, peer = upstream.accept()
    assert peer == OTHER
    for end in waiting, accepted:
        end.close()
    names = {
        client: mmproxy.wait_for_log(f"session: closed .*client={client} ")["listener"]
        for client in (text(CLIENT4), text(OTHER))
    }
    assert names == {text(CLIENT4): "web", text(OTHER): "renamed"}


def test_a_name_with_another_protocol_is_another_listener(
    host, start_daemon, upstream, udp_upstream
):
    mmproxy = start_daemon(host, top={"drain_timeout": 0})
    session = open_session(host, upstream)
    assert_reloaded(mmproxy, udp_listener("web"))
    assert is_refused(host, MMPROXY)
    assert_alive(*session)
    assert round_trip(Balancer(host), udp_upstream, OTHER) == OTHER
    assert_reloaded(mmproxy, listener())
    assert_serves(host, upstream, MMPROXY)
    assert_alive(*session)


# What cannot be opened.


def assert_as_before(host, upstream, mmproxy, session):
    assert_alive(*session)
    assert_serves(host, upstream, MMPROXY)
    for address in SECOND, THIRD:
        assert not listening_sockets(mmproxy, address[1])


def test_an_address_that_is_taken_changes_nothing(host, mmproxy, upstream):
    session = open_session(host, upstream)
    with contextlib.closing(host.socket()) as taken:
        taken.bind(("127.0.0.1", 8446))
        taken.listen()
        for others in [second, listener("x", listen="127.0.0.1:8445")], [second]:
            (line,) = assert_nothing_changed(
                mmproxy, *others, listener("taken", listen="127.0.0.1:8446")
            )
            assert 'listener "taken" cannot listen on tcp 127.0.0.1:8446' in line
            assert "in use" in line and "ss -lntup" in line
            assert_as_before(host, upstream, mmproxy, session)
    assert_reloaded(mmproxy, listener(), listener("taken", listen="127.0.0.1:8446"))
    assert_serves(host, upstream, ("127.0.0.1", 8446))


def test_an_address_that_this_host_has_not_changes_nothing(host, mmproxy, upstream):
    session = open_session(host, upstream)
    lost = listener("lost", listen="192.0.2.1:8444")
    (line,) = assert_nothing_changed(mmproxy, listener(), lost)
    assert 'listener "lost" cannot listen on tcp 192.0.2.1:8444' in line
    assert "freebind" in line
    assert_as_before(host, upstream, mmproxy, session)
    assert_reloaded(mmproxy, listener(), {**lost, "freebind": True})


def test_a_low_port_names_the_socket_unit(host, mmproxy, upstream):
    """It was started as root, and is root no more."""
    session = open_session(host, upstream)
    low = listener("low", listen="127.0.0.1:80")
    (line,) = assert_nothing_changed(mmproxy, listener(), second, low)
    assert 'listener "low" cannot listen on tcp 127.0.0.1:80' in line
    assert "mmproxy.socket" in line and "FileDescriptorName=" in line
    assert_as_before(host, upstream, mmproxy, session)


def test_a_plugin_that_is_missing_leaves_new_listeners_unopened(host, mmproxy, upstream):
    session = open_session(host, upstream)
    entries = [{"name": "missing", "path": f"{plugins.folder()}/missing.so"}]
    (line,) = assert_nothing_changed(mmproxy, second, {**listener(), "plugins": entries})
    assert "missing.so" in line
    assert_as_before(host, upstream, mmproxy, session)


def test_without_descriptors_nothing_changes(host, mmproxy, upstream):
    """Neither new sockets nor, where those could be opened, what the workers need of them."""
    session = open_session(host, upstream)
    with without_descriptors(mmproxy):
        assert_nothing_changed(mmproxy, listener(), second)
        assert_alive(*session)
    assert_as_before(host, upstream, mmproxy, session)
    assert_reloaded(mmproxy, listener(), second)
    assert_serves(host, upstream, SECOND)


# UDP.


@pytest.fixture
def spread(host, start_daemon, udp_upstream):
    """mmproxy with four workers, a UDP listener, and flows that all of them have."""
    settings = udp_listener(listen="127.0.0.1:8443", max_flows=100)
    mmproxy = start_daemon(host, config=configuration(settings, workers=4, drain_timeout=0))
    balancers = [Balancer(host, source=f"127.0.0.{2 + number}") for number in range(24)]
    pairs = [(balancer, (CLIENT4[0], 42000 + n)) for n, balancer in enumerate(balancers)]
    for balancer, client in pairs:
        assert round_trip(balancer, udp_upstream, client) == client
    return mmproxy, settings, pairs


def test_the_flows_of_a_removed_udp_listener_go_on_and_nobody_else_gets_in(
    host, spread, udp_upstream
):
    mmproxy, _, pairs = spread
    sockets = listening_sockets(mmproxy, 8443, "udp")
    assert len(sockets) == 4
    late = [Balancer(host, source=f"127.0.0.{102 + number}") for number in range(24)]

    def exchange():
        # Of the late the upstream gets nothing in between.
        for balancer, client in pairs:
            assert round_trip(balancer, udp_upstream, client) == client

    # A flow that is silent for a second ends.
    with repeated(exchange):
        assert_reloaded(mmproxy, second_udp, workers=4)
        line = mmproxy.wait_for_log("listener: no longer listening")
        assert line["listen"] == "127.0.0.1:8443"
        for number, balancer in enumerate(late):
            balancer.send((CLIENT4[0], 43000 + number), b"too late")
        mmproxy.assert_counter("datagrams_dropped_draining", len(late))
        assert flows(mmproxy) == len(pairs)
        assert listening_sockets(mmproxy, 8443, "udp") == sockets
    udp_upstream.assert_untouched()
    assert round_trip(Balancer(host, to=SECOND), udp_upstream, OTHER) == OTHER


def test_a_removed_udp_listener_is_gone_with_its_last_flow_and_may_come_back(
    host, spread, udp_upstream
):
    mmproxy, settings, pairs = spread
    one, client = pairs[0]
    with repeated(lambda: question(one, udp_upstream, client)):
        assert_reloaded(mmproxy, second_udp, workers=4)
        (line,) = assert_nothing_changed(mmproxy, settings, second_udp, workers=4)
        assert "still drains" in line
    # Silent, they end; only then is the port free.
    for _, client in pairs:
        assert wait_until_closed(mmproxy, client)["reason"] in ("shutdown", "idle-timeout")
    wait_until(lambda: not listening_sockets(mmproxy, 8443, "udp"), 10, "the sockets are closed")
    assert_reloaded(mmproxy, settings, second_udp, workers=4)
    for balancer, client in pairs:
        assert round_trip(balancer, udp_upstream, client) == client


def test_a_renamed_udp_listener_keeps_its_flows(host, spread, udp_upstream):
    mmproxy, settings, pairs = spread
    sockets = listening_sockets(mmproxy, 8443, "udp")
    assert_reloaded(mmproxy, {**settings, "name": "renamed"}, workers=4)
    assert listening_sockets(mmproxy, 8443, "udp") == sockets
    for balancer, client in pairs:
        assert round_trip(balancer, udp_upstream, client) == client
    assert mmproxy.counters()["sessions_accepted"] == len(pairs)


def test_a_datagram_that_comes_while_a_udp_listener_is_added_is_not_lost(
    host, start_daemon, udp_upstream
):
    """From the moment that it is open it is received from, whichever of its sockets it came to."""
    mmproxy = start_daemon(host, top={"workers": 4, "drain_timeout": 0})
    # So that it is soon gone again.
    brief = udp_listener("second", listen="127.0.0.1:8444", max_flows=100, idle_timeout=0.3)
    for number in range(10):
        assert_reloaded(mmproxy, listener(), brief, workers=4)
        balancer = Balancer(host, to=SECOND, source=f"127.0.0.{2 + number}")
        client = (CLIENT4[0], 42000 + number)
        assert question(balancer, udp_upstream, client) == client
        assert_reloaded(mmproxy, listener(), workers=4)
        assert wait_until_closed(mmproxy, client)["reason"] in ("shutdown", "idle-timeout")
        wait_until(lambda: not listening_sockets(mmproxy, 8444, "udp"), 10, "it is gone")
