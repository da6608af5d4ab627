# SPDX-License-Identifier: MIT
"""Counters whose causes are rare: each is raised here by its cause. That none is left out is seen
to by the run as a whole; see raised.py."""

import os
import pathlib
import types

import pytest

import plugins
import raised
from faults import failing, without_descriptors, without_memory
from headers import CLIENT4, v2
from hooks import DENY
from network import Path
from sessions import MMPROXY, assert_alive, clients, open_session, send
from settings import configuration, udp_listener
from traffic import RESET, Background, read_exactly, read_to_end, wait_until_ended
from udp import Balancer, question, round_trip, text
from upstreams import Datagrams
from waiting import wait_until

pytest_plugins = ["hooks"]

OTHER = (CLIENT4[0], 41001)

# So slow, and so patient, that whatever is sent stays in the sender's account.
NARROW = "tbf rate 8kbit burst 1600 limit 100000000"

# The port of clients that only serve to see which worker they come to.
PROBE = 1

one_worker = {"workers": 1, "drain_timeout": 0}


def closed(mmproxy, reason):
    """The line of a session that ended for this reason, which is counted once."""
    line = mmproxy.wait_for_log(f"session: (closed|failed) .*reason={reason} ")
    mmproxy.assert_closed(reason)
    return line


# TCP.


def test_a_connection_that_ended_in_the_accept_queue_is_counted(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=one_worker)
    with failing(mmproxy, "accept4", "ECONNABORTED", when=1):
        connection = send(host, v2(CLIENT4) + b"next")
        accepted, _ = upstream.accept()
        assert read_exactly(accepted, 4) == b"next"
        mmproxy.assert_counter("accept_errors")
    connection.close()


def test_without_a_pipe_a_stream_is_copied(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=one_worker)
    connection, accepted = open_session(host, upstream)
    data = os.urandom(16 << 20)
    with without_descriptors(mmproxy):
        sender = Background(connection.sendall, data)
        assert read_exactly(accepted, len(data)) == data
        sender.result()
        assert mmproxy.wait_for_counter("pipes_missing")["sessions_relayed"] == 1
    open_session(host, upstream, OTHER)


def test_an_upstream_that_the_routing_forbids_cannot_be_dialled(host, start_daemon):
    host.ip("route add prohibit 192.0.2.7")
    mmproxy = start_daemon(host, forward={"ipv4": "192.0.2.7:443"})
    wait_until_ended(send(host, v2(CLIENT4)))
    line = closed(mmproxy, "connect-failed")
    assert "Permission denied" in line.text


def test_a_session_that_cannot_be_watched_fails_alone(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=one_worker)
    session, unwatched = open_session(host, upstream), host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted", 2)
    mmproxy.wait_until_idle()
    with failing(mmproxy, "epoll_ctl", "ENOSPC", when=1):
        unwatched.sendall(v2(OTHER))
        wait_until_ended(unwatched)
    assert "No space left" in closed(mmproxy, "system-error").text
    assert_alive(*session)
    open_session(host, upstream, OTHER)


def test_a_connection_that_cannot_be_watched_for_its_header_fails(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=one_worker)
    with failing(mmproxy, "epoll_ctl", "ENOSPC", when=1):
        connection = host.socket()
        connection.connect_ex(MMPROXY)  # it may be reset before this is over
        line = closed(mmproxy, "system-error")
    assert line["step"] == "epoll_ctl"
    assert "No space left" in line["error"]
    open_session(host, upstream)


def test_a_session_ends_when_the_kernel_has_no_memory_for_it(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top=one_worker)
    session, other = open_session(host, upstream), open_session(host, upstream, OTHER)
    with failing(mmproxy, "recvfrom", "ENOMEM", when=1):
        session[0].sendall(b"unheard")
        assert read_to_end(session[1])[1] == RESET
    assert closed(mmproxy, "no-memory")["client"] == text(CLIENT4)
    assert_alive(*other)


def test_out_of_memory_new_sessions_fail_and_live_ones_go_on(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={**one_worker, "log": {"level": "info"}})
    if mmproxy.built_with_sanitizer():
        return  # its allocator ends the process, and keeps memory of its own in any case
    session = open_session(host, upstream)
    crowd = []
    with without_memory(mmproxy):
        # Half a header is kept in memory until the rest is there.
        while not mmproxy.log_lines("no memory for a session|reason=no-memory"):
            crowd.append(send(host, v2(OTHER)[:20]))
        assert_alive(*session)
    for connection in crowd:
        connection.close()
    mmproxy.wait_for_counter("sessions_closed_no_memory")
    assert_alive(*session)
    open_session(host, upstream, OTHER)


# UDP.


@pytest.fixture
def far(path, start_daemon):
    """far(forward) starts mmproxy on the server, for a balancer at the other end of a cable."""

    def run(forward="127.0.0.1:443"):
        settings = udp_listener(
            listen=f"{Path.SERVER4}:8443", subnets=[Path.BALANCER4], forward={"ipv4": forward}
        )
        mmproxy = start_daemon(path.server, config=configuration(settings, **one_worker))
        return mmproxy, Balancer(path.balancer, to=(Path.SERVER4, 8443))

    return run


def narrow(namespace, device):
    done = namespace.run(["tc", "qdisc", "add", "dev", device, "root", *NARROW.split()])
    assert done.returncode == 0, done.stderr


def test_datagrams_for_which_the_kernel_has_no_room_are_dropped_and_counted(path, far):
    upstream = Datagrams(path.balancer, (Path.BALANCER4, 443))
    mmproxy, balancer = far(f"{Path.BALANCER4}:443")
    assert question(balancer, upstream, CLIENT4) == CLIENT4
    narrow(path.server, "outside")

    def dropped():
        for _ in range(100):
            balancer.send(CLIENT4, bytes(1400))
        return mmproxy.counters()["datagrams_dropped_full"]

    wait_until(dropped, 10, "datagrams are dropped", interval=0)


def test_replies_for_which_the_kernel_has_no_room_are_dropped_and_counted(path, far):
    upstream = Datagrams(path.server)
    mmproxy, balancer = far()
    peer = question(balancer, upstream, CLIENT4)
    narrow(path.server, "outside")

    def dropped():
        for _ in range(100):
            upstream.send(bytes(1400), peer)
        return mmproxy.counters()["replies_dropped_full"]

    wait_until(dropped, 10, "replies are dropped", interval=0)


def test_replies_that_a_firewall_forbids_are_dropped_and_counted(host, start_udp, udp_upstream):
    mmproxy = start_udp(host)
    balancer, other = Balancer(host), Balancer(host)
    peer = question(balancer, udp_upstream, CLIENT4)
    host.nft(
        "add table inet t\nadd chain inet t out { type filter hook output priority 0; }\n"
        f"add rule inet t out udp sport 8443 udp dport {balancer.address[1]} drop\n"
    )
    udp_upstream.send(b"unheard", peer)
    mmproxy.assert_counter("replies_dropped_error")
    assert round_trip(other, udp_upstream, OTHER) == OTHER
    host.nft("delete table inet t\n")
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4


def test_a_flow_that_no_other_can_make_room_for_fails(host, start_udp, udp_upstream, record):
    """A worker that is held up makes no room, and another has flows that are not given up for it:
    then the first client of the third has nowhere to go."""
    holding_up = (CLIENT4[0], 2)
    entries = [
        record.entry("probe", verdict=DENY, port=PROBE),
        record.entry("seen", port=holding_up[1]),
        plugins.entry("stuck", {"while": "hold", "port": holding_up[1]}),
    ]
    # One place for each worker's socket, the fewest there can be.
    options = {"max_flows": 3, "listen": "127.0.0.1:8443", "plugins": entries}
    mmproxy = start_udp(host, top={"workers": 3}, **options)
    hold = mmproxy.write_config("", "hold")
    held_up, full, empty = balancers_of_three_workers(host, record)
    fresh, assured, late = clients(3), clients(6)[3:], clients(7)[6]
    for client in fresh:
        question(held_up, udp_upstream, client)
    held_up.send(holding_up, b"question")
    record.wait_for("filter", label="seen", client=text(holding_up))
    for client in assured:
        round_trip(full, udp_upstream, client)
        question(full, udp_upstream, client)
    empty.send(late, b"question")
    line = mmproxy.wait_for_log("session: failed .*reason=flow-table-full ")
    assert line["client"] == text(late)
    mmproxy.assert_closed("flow-table-full")  # as would whoever is held up, once it goes on
    hold.unlink()


def balancers_of_three_workers(host, record):
    """Which worker hears a balancer is its address's matter: asked until there is one of each."""
    found = {}
    for number in range(64):
        balancer = Balancer(host, source=f"127.0.0.{2 + number}")
        balancer.send((f"198.18.0.{1 + number}", PROBE), b"which?")
        calls = record.wait_for_calls(number + 1, "filter", label="probe")
        found.setdefault(calls[-1]["worker"], balancer)
        if len(found) == 3:
            return found.values()
    raise AssertionError(f"64 balancers came to the workers {set(found)}")


def test_a_flow_that_cannot_be_watched_fails_alone(host, start_udp, udp_upstream):
    mmproxy = start_udp(host, top=one_worker)
    balancer, other = Balancer(host), Balancer(host)
    round_trip(balancer, udp_upstream, CLIENT4)
    with failing(mmproxy, "epoll_ctl", "ENOSPC", when=1):
        other.send(OTHER, b"question")
        assert "No space left" in closed(mmproxy, "system-error").text
    assert round_trip(balancer, udp_upstream, CLIENT4) == CLIENT4
    assert round_trip(other, udp_upstream, OTHER) == OTHER


# What sees to it that none is left out.


def test_the_record_reads_both_formats_of_the_log():
    text = (
        "2026-01-01T00:00:00.000Z info daemon: counters headers_v1=2 headers_v2=0\n"
        '{"time":"-","level":"info","subsystem":"daemon","event":"counters","headers_local":1}\n'
        "2026-01-01T00:00:00.000Z info session: closed headers_spp=1\n"
    )
    assert raised.raised_in(text) == {"headers_v1", "headers_local"}


def test_the_record_names_what_no_test_has_raised():
    record = raised.Record()
    assert record.missing() == raised.expected()
    assert {"accept_errors", "sessions_closed_no_memory"} < set(record.missing())
    record.note("one", "daemon: counters accept_errors=1 plugin_any_refusals=1")
    assert set(raised.expected()) - set(record.missing()) == {"accept_errors", "plugin_*_refusals"}


@pytest.mark.parametrize(
    "changes, whole",
    [
        ({}, True),
        ({"args": [".."]}, False),
        ({"args": [".", "test_counters.py"]}, False),
        ({"args": ["test_counters.py::test_x"]}, False),
        ({"keyword": "udp"}, False),
        ({"markexpr": "deadline"}, False),
        ({"deselect": ["test_counters.py"]}, False),
        ({"ignore": ["test_counters.py"]}, False),
        ({"collectonly": True}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_only_a_run_of_all_tests_must_raise_all(changes, whole):
    here = os.path.dirname(__file__)
    names = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "collectonly")
    config = types.SimpleNamespace(
        args=changes.get("args", ["."]),
        invocation_params=types.SimpleNamespace(dir=pathlib.Path(here)),
        option=types.SimpleNamespace(**{name: changes.get(name) for name in names}),
    )
    assert raised.is_whole_run(config) == whole
