# SPDX-License-Identifier: MIT
"""The control socket and clients that are slow, loud, many or gone: each costs mmproxy a bounded
amount of memory and time, and the others get their answers."""

import random
import socket
import time

import pytest

from control import Client, granted, is_answered, refusal, request, wait_for_sessions
from faults import limited
from headers import CLIENT4, v2
from sessions import clients, open_session, send
from settings import configuration, listener
from traffic import read_exactly
from upstreams import Server, echo
from waiting import wait_until

MOST = 32


def gone(mmproxy, open_before):
    """Every connection has been given up: mmproxy has as many descriptors as before."""
    wait_until(
        lambda: mmproxy.descriptors() == open_before, 30, "the connections are closed", 0.02
    )


# Requests.


def test_a_request_may_come_in_pieces(host, mmproxy):
    with Client(mmproxy) as client:
        for byte in "sessions limit=5\nstat":
            client.send(byte)
        assert granted("sessions", client.answer()) == {"matched": 0, "sessions": []}
        client.send("us")
        client.send("\n")
        assert granted("status", client.answer())["pid"] == mmproxy.pid


def test_requests_that_come_together_are_answered_in_order(host, mmproxy):
    """Also where one has to wait for the workers, and the next has not."""
    with Client(mmproxy) as client:
        client.send("status\nhelp\nfoo\nsessions\nreload\nlog-level\n\nclients\n" * 5)
        for _ in range(5):
            assert "pid" in client.answer()["result"]
            assert "commands" in client.answer()["result"]
            assert "no such command" in client.answer()["error"]
            assert "matched" in client.answer()["result"]
            assert "generation" in client.answer()["result"]
            assert "level" in client.answer()["result"]
            assert "empty" in client.answer()["error"]
            assert "clients" in client.answer()["result"]


def test_a_thousand_requests_at_once_are_all_answered(host, mmproxy):
    with Client(mmproxy) as client:
        client.send("log-level\n" * 1000)
        for _ in range(1000):
            assert client.answer() == {"ok": True, "result": {"level": "debug"}}


def test_a_client_that_has_finished_sending_gets_its_answers(host, mmproxy):
    with Client(mmproxy) as client:
        client.send("status\nsessions\nhelp\n")
        client.socket.shutdown(socket.SHUT_WR)
        for name in "pid", "matched", "commands":
            assert name in client.answer()["result"]
        assert client.answer() is None


def test_a_request_without_its_end_is_none(host, mmproxy):
    """It may have been cut off: `kill 12` of `kill 123`."""
    with Client(mmproxy) as client:
        client.send("log-level info")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer() is None
    assert request(mmproxy, "log-level") == {"level": "debug"}


@pytest.mark.parametrize("length", [1024, 1025, 1026, 5000, 1 << 20])
@pytest.mark.parametrize("at_once", [True, False], ids=["at_once", "in_pieces"])
def test_a_line_has_at_most_1024_bytes(length, at_once, host, mmproxy):
    with Client(mmproxy) as client:
        line = "x" * length
        size = length if at_once else 700
        for start in range(0, length, size):
            client.send(line[start : start + size])
        client.send("\nlog-level\n")
        error = client.answer()["error"]
        assert error == (
            f'no such command: "{"x" * 80}"; `help` lists them'
            if length <= 1024
            else "the request is longer than 1024 bytes"
        )
        assert client.answer()["result"] == {"level": "debug"}


def test_the_longest_line_that_is_one_is_understood(host, mmproxy):
    with Client(mmproxy) as client:
        assert client.ask("log-level".ljust(1024))["result"] == {"level": "debug"}
        assert "longer" in client.ask("log-level".ljust(1025))["error"]


def test_a_line_without_end_costs_no_memory(host, mmproxy):
    with Client(mmproxy) as client:
        client.send("x" * 2000)
        assert "longer" in client.answer()["error"]
        before = mmproxy.memory()
        for _ in range(64):
            client.send(b"y" * (1 << 20))
        mmproxy.assert_memory_grew_less(before, 1 << 20)
        client.send("\nlog-level\n")
        assert client.answer()["result"] == {"level": "debug"}


GARBAGE = {
    "zeros": bytes(100),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "latin_1": "status ä".encode("latin-1"),
    "utf_8": "status ä".encode(),
    "escape": b"\x1b[31mstatus",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_answered_and_not_repeated(garbage, host, mmproxy):
    with Client(mmproxy) as client:
        client.send(garbage + b"\n")
        assert "is not printable ASCII" in client.answer()["error"]
        assert client.request("log-level") == {"level": "debug"}


def test_random_bytes_do_no_harm(host, mmproxy):
    source = random.Random(5)
    for _ in range(100):
        with Client(mmproxy) as client:
            client.send(source.randbytes(source.randrange(1, 3000)))
    assert request(mmproxy, "status")["pid"] == mmproxy.pid


def test_http_is_answered_in_its_own_way(host, mmproxy):
    assert "no such command" in refusal(mmproxy, "GET / HTTP/1.1\r")


# Clients.


def test_one_client_more_than_32_is_told_so(host, mmproxy):
    connected = [Client(mmproxy) for _ in range(MOST)]
    for client in connected:
        assert client.request("log-level") == {"level": "debug"}
    with Client(mmproxy) as late:
        answer = late.answer()
        assert answer["ok"] is False
        assert answer["error"] == "there are 32 connections already; try again when one has gone"
        assert late.answer() is None
    assert connected[0].request("log-level") == {"level": "debug"}
    connected.pop().socket.close()

    def served():
        with Client(mmproxy) as client:
            client.socket.sendall(b"log-level\n")
            return client.answer()["ok"]

    wait_until(served, 10, "there is room for another")
    for client in connected:
        client.socket.close()


def test_where_descriptors_are_short_there_is_room_for_fewer(host, start_daemon):
    mmproxy = start_daemon(host, launch={"prefix": ["prlimit", "--nofile=200:200"]})
    connected = [Client(mmproxy) for _ in range(6)]
    assert all(client.request("status") for client in connected)
    with Client(mmproxy) as late:
        assert "there are 6 connections already" in late.answer()["error"]
    for client in connected:
        client.socket.close()


def test_its_clients_take_no_descriptor_from_a_session(host, start_daemon):
    """All sessions that were promised come about while all clients are connected."""
    mmproxy = start_daemon(
        host,
        launch={"prefix": ["prlimit", "--nofile=200:200"]},
        top={"workers": 1, "log": {"level": "info"}},
    )
    server = Server(host, echo)
    connected = [Client(mmproxy) for _ in range(6)]
    promised = connected[0].request("status")["max_sessions"]
    sessions = [send(host, v2(client) + b"hello") for client in clients(promised)]
    for session in sessions:
        assert read_exactly(session, 5) == b"hello"
    status = connected[0].request("status")
    assert status["sessions"] == promised
    assert status["descriptors"]["open"] <= 200
    for client in connected:
        client.socket.close()
    server.close()


@pytest.mark.deadline(120)
def test_an_idle_client_is_let_go_after_a_minute_and_a_busy_one_is_not(host, mmproxy):
    idle, busy, drip = Client(mmproxy, 90), Client(mmproxy), Client(mmproxy)
    began = time.monotonic()
    idle.request("log-level")
    last = 0

    def let_go():
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            assert busy.request("log-level") == {"level": "debug"}
            try:
                drip.send("x")  # what is no request does not count
            except BrokenPipeError:
                pass
        idle.socket.setblocking(False)
        try:
            return idle.socket.recv(1) == b""
        except BlockingIOError:
            return False

    wait_until(let_go, 75, "the idle client is let go", interval=0.2)
    assert 59 < time.monotonic() - began < 70
    wait_until(lambda: drip.answer() is None, 10, "so is the one that only drips")
    assert busy.request("log-level") == {"level": "debug"}
    busy.socket.close()


# Answers.


@pytest.fixture
def crowded(host, start_daemon):
    """mmproxy with 1500 sessions, whose list is larger than a socket's buffer."""
    server = Server(host, echo)
    mmproxy = start_daemon(host, top={"log": {"level": "warning"}, "workers": 2}, ready=False)
    wait_until(lambda: is_answered(mmproxy), 15, "there is a control socket")
    for client in clients(1500):
        send(host, v2(client))
    wait_for_sessions(mmproxy, 1500, "limit=1")
    yield mmproxy
    server.close()


def test_a_slow_reader_gets_all_of_a_long_answer_and_holds_up_nobody(crowded):
    with Client(crowded) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.send("sessions limit=10000\nlog-level\n")
        # Whoever waited for the slow one would wait for ever, as it does not read yet.
        for _ in range(20):
            assert len(request(crowded, "sessions limit=1500")["sessions"]) == 1500
        found = granted("sessions", slow.answer())
        assert found["matched"] == len(found["sessions"]) == 1500
        assert len({session["id"] for session in found["sessions"]}) == 1500
        assert slow.answer()["ok"] is True


def test_clients_that_never_read_hold_what_one_answer_needs_each(crowded):
    """And are asked for no more: their next requests are not read."""
    request(crowded, "sessions limit=10000")
    before = crowded.memory()
    deaf = [Client(crowded) for _ in range(MOST - 2)]
    for client in deaf:
        client.send("sessions limit=10000\n" * 40)
    # The walks are one behind the other, so the last one's has been made behind all of theirs.
    assert request(crowded, "sessions limit=1")["matched"] == 1500
    crowded.assert_memory_grew_less(before, 40 << 20)
    for client in deaf:
        client.socket.close()
    assert request(crowded, "status")["sessions"] == 1500


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(crowded):
    request(crowded, "sessions limit=10000")
    crowded.wait_until_idle()  # so it has closed that connection
    open_before, memory = crowded.descriptors(), crowded.memory()
    for number in range(200):
        client = Client(crowded)
        client.send("sessions limit=10000\nclients\nstatus\nreload\n"[: 20 + number % 30])
        client.send("\n")
        if number % 3 == 0:
            client.socket.recv(100)
        client.socket.close()
    gone(crowded, open_before)
    crowded.assert_memory_grew_less(memory, 16 << 20)
    assert request(crowded, "sessions limit=1")["matched"] == 1500


def test_a_client_that_leaves_at_once_has_still_asked(host, mmproxy):
    with Client(mmproxy) as client:
        client.send("log-level info\n")
    wait_until(
        lambda: request(mmproxy, "log-level") == {"level": "info"}, 10, "its request was granted"
    )


def test_leaving_does_not_undo_a_drain(host, start_daemon, upstream):
    mmproxy = start_daemon(host, top={"drain_timeout": 3600})
    session = open_session(host, upstream)
    with Client(mmproxy) as client:
        assert client.ask("drain")["ok"] is True
    assert request(mmproxy, "status")["state"] == "draining"
    for end in session:
        end.close()
    assert mmproxy.wait_until_ended() == 0


def test_questions_without_a_break_leave_the_sessions_their_worker(crowded, host):
    """Thirty clients that ask for everything all the time: a session's round trips go on."""
    asking = [Client(crowded) for _ in range(MOST - 2)]
    for client in asking:
        client.send("sessions limit=10000\n" * 20)
    connection = send(host, v2(CLIENT4) + b"hello")
    assert read_exactly(connection, 5) == b"hello"
    # A worker that is kept busy shows in mmproxy's own time, whatever it had to wait for a CPU; one
    # that waits for something shows by the clock: each time, where a busy machine has a few late.
    most, took = 0, []
    for _ in range(300):
        began, before = time.monotonic(), crowded.cpu_seconds()
        connection.sendall(b"ping")
        assert read_exactly(connection, 4) == b"ping"
        took.append(time.monotonic() - began)
        most = max(most, crowded.cpu_seconds() - before)
    assert most < 2
    assert sum(seconds > 1 for seconds in took) <= 5
    for client in asking:
        client.socket.close()


def test_descriptors_that_run_out_do_not_make_it_spin(host, start_daemon):
    """The limit is lowered below what is open: no client can be accepted until it is raised."""
    mmproxy = start_daemon(host, top={"log": {"level": "warning"}}, ready=False)
    wait_until(lambda: is_answered(mmproxy), 15, "there is a control socket")
    with limited(mmproxy, "nofile", 5):
        client = Client(mmproxy)
        client.send("log-level\n")
        began, used = time.monotonic(), mmproxy.cpu_seconds()
        client.socket.settimeout(1.2)
        with pytest.raises(socket.timeout):
            client.answer()
        assert mmproxy.cpu_seconds() - used < 0.2 * (time.monotonic() - began) + 0.02
    client.socket.settimeout(10)
    assert client.answer()["ok"] is True
    client.socket.close()


def test_with_several_listeners_a_long_answer_is_still_one_line(host, start_daemon):
    names = [f"listener-number-{number:02}" + "x" * 40 for number in range(40)]
    config = configuration(
        *[
            listener(name, listen=f"127.0.0.1:{9000 + number}")
            for number, name in enumerate(names)
        ],
        log={"level": "info"},
    )
    mmproxy = start_daemon(host, config=config)
    shown = request(mmproxy, "listeners")["listeners"]
    assert [one["name"] for one in shown] == names
