# SPDX-License-Identifier: MIT
"""What the kernel carries while mmproxy stops, starts, reloads or is killed."""

import hashlib
import random
import signal
import threading

import pytest

from accesslog import finish, log  # noqa: F401
from control import request
from fail_call import FailCall
from headers import v2
from offload_hosts import PORT, UPSTREAM_PORT, Behind, stayed
from offload_life import (
    assert_both_reset,
    closed,
    hand_over,
    open_carried,
    open_through,
    shown,
)
from offload_pins import settings_for
from sessions import assert_alive, clients, send, unused_client
from traffic import EOF, read_exactly, wait_until_ended
from upstreams import Listener
from waiting import wait_until

pytest_plugins = ["offload_hosts"]

# Bytes each way of a stream, and of one piece of it.
STREAM, PIECE = 3_000_000, 20_000


def _kill(mmproxy):
    """SIGKILL, which is no failure of this test's mmproxy."""
    mmproxy.process.kill()
    mmproxy.process.wait()
    mmproxy._stopped = True


def _stop_and_leave(mmproxy):
    """SIGTERM; it ends by itself, as there are only sessions that the kernel carries."""
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0


class _Stream(threading.Thread):
    """Bytes both ways through a session, slowly, and a sum of what has come out at either end."""

    def __init__(self, connection, accepted, seed):
        super().__init__()
        self.ends = connection, accepted
        self.data = [random.Random(f"{seed} {i}").randbytes(STREAM) for i in (0, 1)]
        self.came = [hashlib.sha256(), hashlib.sha256()]
        self.lengths = [0, 0]
        self.error = None
        self.may_end = threading.Event()  # until then the last piece is held back

    def run(self):
        try:
            threads = [threading.Thread(target=self._read, args=(i,)) for i in (0, 1)]
            for thread in threads:
                thread.start()
            for start in range(0, STREAM, PIECE):
                if start + PIECE >= STREAM:
                    self.may_end.wait(60)
                for i in (0, 1):
                    self.ends[i].sendall(self.data[i][start : start + PIECE])
            for i in (0, 1):
                self.ends[i].shutdown(1)
            for thread in threads:
                thread.join()
        except OSError as error:
            self.error = error

    def _read(self, i):
        """What the other end has sent."""
        try:
            while piece := self.ends[i].recv(65536):
                self.came[1 - i].update(piece)
                self.lengths[1 - i] += len(piece)
        except OSError as error:
            self.error = error

    def finish(self):
        self.may_end.set()
        self.join()

    def is_whole(self):
        return self.error is None and all(
            self.came[i].digest() == hashlib.sha256(self.data[i]).digest() for i in (0, 1)
        )

    def is_clean(self):
        """What has come is a start of what was sent, and no orderly end has cut it."""
        for i in (0, 1):
            start = hashlib.sha256(self.data[i][: self.lengths[i]]).digest()
            if self.came[i].digest() != start:
                return False
        return self.error is not None or self.lengths == [STREAM, STREAM]


def test_streams_go_on_without_mmproxy(host, upstream, start_offload):
    mmproxy = start_offload(host)
    sessions = [open_carried(host, upstream, mmproxy)[1:] for _ in range(5)]
    streams = [_Stream(*session, seed) for seed, session in enumerate(sessions)]
    for stream in streams:
        stream.start()
    _stop_and_leave(mmproxy)
    for stream in streams:
        stream.finish()
    assert all(stream.is_whole() for stream in streams)
    lines = mmproxy.log_lines("session: closed")
    assert [line["reason"] for line in lines] == ["left-to-kernel"] * 5


def test_the_next_mmproxy_takes_them_over(host, upstream, start_offload):
    first = start_offload(host)
    sessions = [open_carried(host, upstream, first) for _ in range(3)]
    before = shown(first)
    _stop_and_leave(first)
    for _, connection, accepted in sessions:
        connection.sendall(b"x" * 10000)
        read_exactly(accepted, 10000)
    second = start_offload(host)
    assert second.counters()["offload_adopted"] == 3
    after = {session["id"]: session for session in shown(second)}
    for session in before:
        now = after[session["id"]]
        for name in "listener", "client", "balancer", "destination", "upstream", "header":
            assert now[name] == session[name]
        assert now["state"] == "offloaded"
        assert now["age"] >= session["age"] - 1
    # Bytes from before, from between, and from now on.
    number, connection, accepted = sessions[0]
    connection.sendall(b"y" * 500)
    read_exactly(accepted, 500)
    connection.close()
    accepted.close()
    line = closed(second, number)
    assert line["reason"] == "finished"
    own = next(session for session in before if session["id"] == number)
    assert int(line["bytes_from_client"]) == own["bytes_from_client"] + 10000 + 500
    assert int(line["bytes_from_upstream"]) == own["bytes_from_upstream"]
    request(second, f"kill {sessions[1][0]}")
    assert_both_reset(*sessions[1][1:])
    assert closed(second, sessions[1][0])["reason"] == "killed"
    # New ones have new numbers.
    assert open_carried(host, upstream, second)[0] > max(after)


@pytest.mark.parametrize("leave", [_stop_and_leave, _kill], ids=["stopped", "killed"])
def test_plugins_hear_of_its_end_in_the_next_mmproxy_alone(
    leave, host, upstream, start_offload, log  # noqa: F811
):
    plugins = [log.entry()]
    first = start_offload(host, plugins=plugins)
    number, *session = open_carried(host, upstream, first)
    leave(first)
    assert log.text() == ""
    second = start_offload(host, plugins=plugins)
    assert second.counters()["offload_adopted"] == 1
    finish(session)
    line = log.wait_for_one()
    assert (line["id"], line["reason"], line["adopted"]) == (str(number), "finished", "yes")
    own = closed(second, number)
    for name in ("client", "balancer", "destination", "bytes_from_client", "bytes_from_upstream"):
        assert line[name] == own[name]


def test_two_that_are_left_twice_are_still_whole(host, upstream, start_offload):
    first = start_offload(host)
    number, *session = open_carried(host, upstream, first)
    stream = _Stream(*session, 7)
    stream.start()
    for _ in range(3):
        _stop_and_leave(first)
        first = start_offload(host, top={"workers": 1})
    stream.finish()
    assert stream.is_whole()
    line = closed(first, number)
    assert int(line["bytes_from_client"]) >= STREAM and line["reason"] == "finished"


def test_an_adopted_one_that_ends_while_nobody_looks_is_told_of(host, upstream, start_offload):
    first = start_offload(host)
    number, connection, accepted = open_carried(host, upstream, first)
    _stop_and_leave(first)
    connection.close()
    accepted.close()
    second = start_offload(host)
    assert closed(second, number)["reason"] == "finished"
    assert shown(second) == []


def test_one_whose_end_was_told_is_not_told_again(host, upstream, start_offload):
    """For a while the kernel keeps what it knows of it, for late packets."""
    first = start_offload(host)
    number, connection, accepted = open_carried(host, upstream, first)
    connection.close()
    accepted.close()
    assert closed(first, number)["reason"] == "finished"
    _kill(first)
    second = start_offload(host)
    assert second.counters()["offload_adopted"] == 0
    assert not shown(second)
    assert not second.log_lines("session: closed")


def test_an_adopted_session_counts_for_the_limits(host, upstream, start_offload):
    first = start_offload(host, max_sessions=2)
    numbers = [open_carried(host, upstream, first)[0] for _ in range(2)]
    _stop_and_leave(first)
    second = start_offload(host, max_sessions=2)
    waiting = send(host, v2(clients(1)[0]))
    second.wait_for_counter("accept_paused")
    upstream.assert_untouched()
    request(second, f"kill {numbers[0]}")
    upstream.accept()
    waiting.close()


def test_one_of_a_listener_that_is_gone_is_ended_once(host, upstream, start_offload):
    first = start_offload(host)
    _, *session = open_carried(host, upstream, first)
    _stop_and_leave(first)
    second = start_offload(host, name="other")
    assert_both_reset(*session)
    assert len(second.log_lines("a session ends whose listener is gone")) == 1
    assert shown(second) == []
    second.stop()
    third = start_offload(host, name="other")
    assert third.log_lines("a session ends whose listener is gone") == []


def test_a_reload_leaves_it_alone(host, upstream, start_offload):
    mmproxy = start_offload(host, idle_timeout=0)
    number, *session = open_carried(host, upstream, mmproxy)
    stream = _Stream(*session, 3)
    stream.start()
    text = mmproxy.config_file.read_text()
    for header_timeout in 1.0, 2.0, 3.0:
        mmproxy.write_config(text.replace("  name =", f"  header_timeout = {header_timeout};\n  name ="))
        assert mmproxy.reload().level == "info"
    stream.finish()
    assert stream.is_whole()
    assert int(closed(mmproxy, number)["bytes_from_client"]) >= STREAM


def test_a_drain_leaves_it_and_waits_for_relays(host, upstream, start_offload):
    """One that is still a relay is waited for, and may go over meanwhile."""
    mmproxy = start_offload(host, top={"drain_timeout": 20})
    number, *carried = open_carried(host, upstream, mmproxy)
    relayed = open_through(host, upstream)
    mmproxy.terminate()
    assert closed(mmproxy, number)["reason"] == "left-to-kernel"
    assert mmproxy.process.poll() is None

    def over():
        assert_alive(*relayed)
        return mmproxy.process.poll() is not None

    wait_until(over, 15, "the last one is the kernel's, too")
    assert mmproxy.wait_until_ended() == 0
    assert_alive(*carried)
    assert_alive(*relayed)


def test_an_adopted_one_is_drained_like_any(host, upstream, start_offload):
    first = start_offload(host)
    _, *session = open_carried(host, upstream, first)
    for _ in range(3):
        _stop_and_leave(first)
        first = start_offload(host)
    assert_alive(*session)
    number = shown(first)[0]["id"]
    request(first, f"kill {number}")
    assert_both_reset(*session)


def test_by_choice_a_drain_waits_for_it(host, upstream, start_offload):
    mmproxy = start_offload(host, top={"offload_at_exit": "drain", "drain_timeout": 60})
    number, connection, accepted = open_carried(host, upstream, mmproxy)
    mmproxy.terminate()
    mmproxy.wait_for_log("daemon: stopping: no new sessions")
    assert_alive(connection, accepted)
    assert mmproxy.process.poll() is None
    connection.close()
    accepted.close()
    assert mmproxy.wait_until_ended() == 0
    assert closed(mmproxy, number)["reason"] == "finished"


def test_by_choice_it_ends_with_the_drain(host, upstream, start_offload):
    mmproxy = start_offload(host, top={"offload_at_exit": "drain", "drain_timeout": 0.2})
    number, connection, accepted = open_carried(host, upstream, mmproxy)
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    assert closed(mmproxy, number)["reason"] == "shutdown"
    assert_both_reset(connection, accepted)


def test_a_start_that_fails_ends_none_of_them(host, upstream, pins, start_offload, start_daemon):
    """Whatever becomes of them at an exit, and whichever worker would have had them."""
    mmproxy = start_offload(host, top={"workers": 1})  # whose numbers are each of two's in turn
    sessions = [open_carried(host, upstream, mmproxy)[1:] for _ in range(4)]
    _stop_and_leave(mmproxy)
    shim = FailCall()
    shim.arm("pthread_create", "EAGAIN", at=2)
    top = {"workers": 2, "offload_at_exit": "drain", **settings_for(pins.directory)}
    failed = start_daemon(host, top=top, launch={"environment": shim.environment}, ready=False)
    assert failed.wait_until_ended() == 1
    assert failed.log_lines("daemon: cannot start a worker")
    assert not failed.log_lines("session: closed")
    shim.close()
    for session in sessions:
        assert_alive(*session)
    assert len(shown(start_offload(host))) == 4


@pytest.mark.parametrize("seed", range(4))
def test_sigkill_in_mid_transfer_corrupts_nothing(seed, host, upstream, start_offload):
    """At any moment, also while sessions go over."""
    chance = random.Random(seed)
    mmproxy = start_offload(host)
    old = [open_through(host, upstream) for _ in range(15)]
    hand_over(host, mmproxy, *old)
    streams = [_Stream(*session, f"{seed} old {i}") for i, session in enumerate(old)]
    new = [open_through(host, upstream, unused_client()) for _ in range(5)]
    streams += [_Stream(*session, f"{seed} new {i}") for i, session in enumerate(new)]
    for stream in streams:
        stream.start()
    wait_until(
        lambda: sum(streams[0].lengths) > chance.uniform(0.05, 0.6) * STREAM, 20, "some has come"
    )
    carried = {session["id"] for session in shown(mmproxy) if session["state"] == "offloaded"}
    _kill(mmproxy)
    second = start_offload(host)
    for stream in streams:
        stream.finish()
    assert all(stream.is_clean() for stream in streams[:15])
    assert all(stream.is_whole() for stream in streams[:15])
    for number in carried:
        assert closed(second, number)["reason"] in ("finished", "client-reset", "upstream-reset")


def test_a_signal_that_ends_at_once_leaves_it(host, upstream, start_offload):
    mmproxy = start_offload(host)
    number, *session = open_carried(host, upstream, mmproxy)
    relayed = open_through(host, upstream)
    mmproxy.process.send_signal(signal.SIGTERM)
    mmproxy.wait_for_log("stopping")
    mmproxy.process.send_signal(signal.SIGTERM)
    assert mmproxy.wait_until_ended() == 0
    assert closed(mmproxy, number)["reason"] == "left-to-kernel"
    assert_alive(*session)
    assert wait_until_ended(relayed[0]) != EOF
    second = start_offload(host)
    assert shown(second, number)["state"] == "offloaded"



def test_what_was_tried_and_stayed_does_not_keep_the_port(place, start_offload):
    """TCP_REPAIR takes SO_REUSEADDR from a socket, whose end may take its time."""
    behind = place(Behind)
    behind.balancer.sysctl("net.ipv4.tcp_timestamps", 0)
    upstream = Listener(behind.host, ("127.0.0.1", UPSTREAM_PORT))
    first = start_offload(behind.host, **behind.listener())
    session = open_through(behind.balancer, upstream, to=(behind.to[4], PORT))

    def has_stayed():
        assert_alive(*session)
        return stayed(first.counters()) == {"timestamps": 1}

    wait_until(has_stayed, 10, "it was tried")
    _kill(first)
    # Both ends have heard, and keep theirs open.
    assert session[0].recv(1) == b""
    start_offload(behind.host, **behind.listener())
