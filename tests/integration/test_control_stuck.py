# SPDX-License-Identifier: MIT
"""A worker that does not answer: the control socket says so, and goes on."""

import contextlib
import statistics
import time

import pytest

import plugins
from control import Client, granted, refusal, request, wait_for_sessions
from headers import v2
from sessions import clients, open_session, send
from waiting import wait_until

STUCK = ("203.0.113.7", 1666)


class Worker:
    """A worker that a plugin holds up until it is let go."""

    def __init__(self, mmproxy, host):
        self._hold = mmproxy.write_config("", "hold")
        self._mmproxy = mmproxy
        send(host, v2(STUCK))

    def number(self):
        seen = {}

        def stuck():
            seen.update(request(self._mmproxy, "status"))
            return "unanswered" in seen

        wait_until(stuck, 20, lambda: f"a worker is stuck: {seen}")
        (number,) = seen["unanswered"]
        return number

    def let_go(self):
        self._hold.unlink()
        wait_until(
            lambda: "unanswered" not in request(self._mmproxy, "status"), 20, "all are back"
        )


def owner(session):
    """The number of the worker, of four, that has it."""
    return (session["id"] - 1) % 4


@pytest.fixture
def mmproxy(host, start_daemon, upstream):
    """Four workers, one of which gets stuck with a certain client."""
    entry = plugins.entry("stuck", {"while": "hold", "port": STUCK[1]})
    return start_daemon(host, plugins=[entry], top={"workers": 4, "log": {"level": "info"}})


def test_an_answer_comes_without_a_stuck_worker_and_names_it(mmproxy, host, upstream):
    for client in clients(20):
        open_session(host, upstream, client)
    before = wait_for_sessions(mmproxy, 20)
    worker = Worker(mmproxy, host)
    number = worker.number()
    status = request(mmproxy, "status")
    assert [one["alive"] for one in status["workers"]] == [i != number for i in range(4)]
    others = [session["id"] for session in before if owner(session) != number]
    assert [one.get("sessions") for one in status["workers"]] == [
        None if i == number else sum(owner(session) == i for session in before) for i in range(4)
    ]
    found = request(mmproxy, "sessions")
    assert found["unanswered"] == [number]
    assert found["matched"] == len(others)
    assert [session["id"] for session in found["sessions"]] == others
    found = request(mmproxy, "clients")
    assert found["unanswered"] == [number]
    # All of them are of one address.
    seen = [(client["client"], client["sessions"]) for client in found["clients"]]
    assert seen == ([(clients(1)[0][0], len(others))] if others else [])
    worker.let_go()
    assert upstream.accept()[1] == STUCK
    assert request(mmproxy, "sessions")["matched"] == 21
    assert all(one["alive"] for one in request(mmproxy, "status")["workers"])


def test_a_stuck_worker_is_waited_for_once(mmproxy, host, upstream):
    """Two seconds, by whoever is the first; the next ones are answered at once until it is back."""
    worker = Worker(mmproxy, host)
    number = worker.number()
    took = []
    for command in 20 * ["sessions", "status"]:
        began = time.monotonic()
        assert request(mmproxy, command)["unanswered"] == [number]
        took.append(time.monotonic() - began)
    # Of whoever waits each takes two seconds; of those at once, a busy machine may delay a few.
    assert statistics.median(took) < 1
    worker.let_go()
    upstream.accept()


def test_commands_that_need_no_worker_are_answered_at_once(mmproxy, host, upstream):
    def seconds():
        worker = Worker(mmproxy, host)
        began = time.monotonic()
        for command in "listeners", "counters", "plugins", "metrics", "help", "log-level":
            assert request(mmproxy, command)
        took = time.monotonic() - began
        worker.let_go()
        upstream.accept()
        return took

    # Whoever waits for the worker takes two seconds each time; a busy machine, now and then.
    assert statistics.median(seconds() for _ in range(5)) < 1.5


def test_a_session_of_a_stuck_worker_is_not_said_to_be_killed(mmproxy, host, upstream):
    for client in clients(20):
        open_session(host, upstream, client)
    sessions = wait_for_sessions(mmproxy, 20)
    worker = Worker(mmproxy, host)
    number = worker.number()
    own = [session["id"] for session in sessions if owner(session) == number]
    others = [session["id"] for session in sessions if owner(session) != number]
    assert others
    assert request(mmproxy, f"kill {others[0]}") == {"id": others[0]}
    wanted = own[0] if own else number + 1 + 400
    assert refusal(mmproxy, f"kill {wanted}") == (
        f"kill: worker {number} does not answer; whether session {wanted} lives on is not known"
    )
    worker.let_go()
    upstream.accept()
    # Nobody waited for it any more: it was left alone.
    assert request(mmproxy, "sessions")["matched"] == 20
    mmproxy.assert_closed("killed")


def test_a_kill_waits_for_the_walk_before_it_and_for_the_rest_behind_that(mmproxy, host, upstream):
    """It walks over a worker's sessions like those who only look, so it has their bounds."""
    for client in clients(20):
        open_session(host, upstream, client)
    sessions = wait_for_sessions(mmproxy, 20)
    worker = Worker(mmproxy, host)
    number = int(mmproxy.wait_for_log("daemon: a worker is stuck")["worker"])
    victim = next(session["id"] for session in sessions if owner(session) != number)
    with Client(mmproxy) as looking, Client(mmproxy) as killing:
        looking.send("sessions\n")
        request(mmproxy, "help")  # so the walk has begun, which lasts two seconds
        killing.send(f"kill {victim}\n")
        assert granted("sessions", looking.answer())["unanswered"] == [number]
        assert granted("kill", killing.answer()) == {"id": victim}
    asked = mmproxy.wait_for_log("control: command received .*kill")
    closed = mmproxy.wait_for_log("session: closed .*reason=killed")
    assert closed.time() - asked.time() > 0.9, "the rest behind such a walk is a second"
    worker.let_go()
    upstream.accept()


def test_a_reload_is_in_force_without_the_stuck_worker_which_takes_it_later(
    mmproxy, host, upstream
):
    worker = Worker(mmproxy, host)
    number = worker.number()
    assert request(mmproxy, "reload") == {"generation": 2, "unanswered": [number]}
    assert not mmproxy.log_lines("config: reloaded")
    with Client(mmproxy) as client:
        # Another one before the first is adopted, which is while it is being answered.
        client.send("reload\n")
        other = Client(mmproxy)
        other.send("reload\n")
        answers = [granted("reload", one.answer()) for one in (client, other)]
        assert [answer["generation"] for answer in answers] == [3, 4]
        assert [answer["unanswered"] for answer in answers] == [[number]] * 2
        other.socket.close()
    worker.let_go()
    assert mmproxy.wait_for_log("config: reloaded")["generation"] == "4"
    upstream.accept()
    assert request(mmproxy, "reload") == {"generation": 5}


def test_clients_that_come_and_go_leave_few_calls_with_a_stuck_worker(mmproxy, host, upstream):
    worker = Worker(mmproxy, host)
    mmproxy.wait_for_counter("sessions_accepted")
    open_before, memory = mmproxy.descriptors(), mmproxy.memory()
    for _ in range(1000):
        # One too many at a time is sent away, maybe before it has asked.
        with Client(mmproxy) as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send("status\n")
    wait_until(lambda: mmproxy.descriptors() == open_before, 10, "all clients are gone", 0.02)
    mmproxy.assert_memory_grew_less(memory, 1 << 20)
    worker.let_go()
    upstream.accept()
    assert "unanswered" not in request(mmproxy, "sessions")


def test_mmproxy_ends_in_good_order_with_calls_still_under_way(mmproxy, host, upstream):
    worker = Worker(mmproxy, host)
    worker.number()
    asked = [Client(mmproxy) for _ in range(10)]
    for client in asked:
        client.send("sessions\n")
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping")  # two signals that wait together are one
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping now: asked a second time")
    (mmproxy.directory / "hold").unlink()
    assert mmproxy.wait_until_ended() == 0
    for client in asked:
        while client.answer() is not None:
            pass
