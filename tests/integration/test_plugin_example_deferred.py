# SPDX-License-Identifier: MIT
"""The plugin example-deferred asks a helper process about each client. Here the test is the helper,
and answers by hand."""

import os
import pathlib
import socket
import tempfile

import pytest

import headers
import plugins
from headers import CLIENT4, CLIENT6, v2
from sessions import clients, send
from settings import configuration, listener
from traffic import EOF, RESET, read_to_end, reset
from udp import Balancer, assert_nothing_reaches, question
from waiting import wait_until

# The entry is called bans.
PLUGIN = "example-deferred"


class Helper:
    """The other end of the plugin's socket: it receives questions, and answers as it is told."""

    def __init__(self, path):
        self.path = str(path)
        self.connection = None
        self.come()

    def come(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(10)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen()

    def accept(self):
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(10)

    def question(self):
        """The next question: (ticket, the rest of it)."""
        if self.connection is None:
            self.accept()
        ticket, _, rest = self.connection.recv(512).decode().partition(" ")
        return ticket, rest

    def answer(self, *words):
        self.connection.send(" ".join(words).encode())

    def leave(self):
        """As if the process had ended."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.listener.close()
        os.unlink(self.path)

    def close(self):
        if self.listener.fileno() >= 0:
            self.leave()


@pytest.fixture
def place():
    """The path of a socket, where the user that mmproxy becomes can reach it."""
    with tempfile.TemporaryDirectory(prefix="mmp-helper-") as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory) / "socket"


@pytest.fixture
def helper(place):
    made = Helper(place)
    yield made
    made.close()


def entry(place, **settings):
    # A verdict is awaited for longer than any machine takes: only tests of the timeout wait for it.
    config = {"socket": str(place)}
    return plugins.entry("bans", config, PLUGIN, **{"timeout": 30.0, **settings})


@pytest.fixture
def asking(host, start_daemon, helper):
    """mmproxy, which asks the helper."""
    return start_daemon(host, plugins=[entry(helper.path)])


# Verdicts.


def test_a_client_whom_the_helper_passes_reaches_the_upstream(host, asking, helper, upstream):
    send(host, v2(CLIENT4) + b"hello")
    ticket, asked = helper.question()
    assert asked == "tcp 203.0.113.9 41000 web"
    helper.answer(ticket, "pass")
    accepted, peer = upstream.accept()
    assert peer == CLIENT4
    assert accepted.recv(5) == b"hello"
    asking.assert_counter("plugin_bans_asked")


@pytest.mark.parametrize(
    "verdict, end, reason", [("deny", EOF, "plugin-denied"), ("reset", RESET, "plugin-reset")]
)
def test_a_client_whom_the_helper_refuses_is_closed_or_reset_and_logged_with_its_reason(
    verdict, end, reason, host, asking, helper, upstream
):
    connection = send(host, v2(CLIENT4) + b"hello")
    ticket, _ = helper.question()
    helper.answer(ticket, verdict, "too many", "tries")
    assert read_to_end(connection) == (b"", end)
    line = asking.wait_for_log("session: refused")
    assert (line["reason"], line["plugin"]) == (reason, "bans")
    assert line["why"] == "too many tries"
    upstream.assert_untouched()
    asking.assert_closed(reason)


def test_the_helper_is_told_of_an_ipv6_client_by_its_address(host, asking, helper, upstream6):
    send(host, v2(CLIENT6))
    ticket, asked = helper.question()
    assert asked == "tcp 2001:db8:c::9 41006 web"
    helper.answer(ticket, "pass\n")  # a line feed, as a line has, does not matter
    assert upstream6.accept()[1] == CLIENT6


def test_answers_may_come_in_any_order(host, asking, helper, upstream):
    connections = [send(host, v2(client)) for client in clients(8)]
    tickets = {asked: ticket for ticket, asked in (helper.question() for _ in connections)}
    for number, client in reversed(list(enumerate(clients(8)))):
        ticket = tickets[f"tcp {client[0]} {client[1]} web"]
        helper.answer(ticket, "pass" if number % 2 else "deny")
        if number % 2:
            assert upstream.accept()[1] == client
        else:
            assert read_to_end(connections[number]) == (b"", EOF)


def test_nothing_reaches_the_upstream_before_the_answer(host, asking, helper, upstream):
    send(host, v2(CLIENT4) + b"hello")
    helper.question()
    asking.wait_until_idle()
    upstream.assert_untouched()


def test_a_health_check_of_the_balancer_passes_without_a_question(host, asking, helper, upstream):
    send(host, headers.local())
    upstream.accept()
    assert asking.counters()["plugin_bans_asked"] == 0


def test_a_udp_flow_is_asked_about_once_and_its_datagrams_wait(
    host, start_udp, helper, udp_upstream
):
    mmproxy = start_udp(host, plugins=[entry(helper.path)])
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"first")
    ticket, asked = helper.question()
    assert asked == "udp 203.0.113.9 41000 dns"
    balancer.send(CLIENT4, b"second")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    helper.answer(ticket, "pass")
    assert [udp_upstream.receive() for _ in range(2)] == [(b"first", CLIENT4), (b"second", CLIENT4)]
    question(balancer, udp_upstream, CLIENT4, b"third")
    mmproxy.assert_counter("plugin_bans_asked")


def test_a_udp_flow_that_the_helper_refuses_never_reaches_the_upstream(
    host, start_udp, helper, udp_upstream
):
    mmproxy = start_udp(host, plugins=[entry(helper.path)])
    balancer = Balancer(host)
    balancer.send(CLIENT4, b"first")
    ticket, _ = helper.question()
    helper.answer(ticket, "deny", "banned")
    line = mmproxy.wait_for_log("session: refused")
    assert (line["reason"], line["why"]) == ("plugin-denied", "banned")
    balancer.send(CLIENT4, b"second")
    assert_nothing_reaches(udp_upstream, balancer, mmproxy)
    mmproxy.assert_counter("plugin_bans_asked")


# A helper that is not there, or not what it should be.


@pytest.mark.parametrize("on_error", ["deny", "pass"])
def test_on_error_decides_at_once_while_there_is_no_helper(
    on_error, host, start_daemon, place, upstream
):
    mmproxy = start_daemon(host, plugins=[entry(place, on_error=on_error)])
    line = mmproxy.wait_for_log("plugin: message")
    assert line.level == "warning" and f"no helper at {place}: " in line["text"]
    connection = send(host, v2(CLIENT4))
    if on_error == "pass":
        assert upstream.accept()[1] == CLIENT4
    else:
        assert read_to_end(connection) == (b"", EOF)
        mmproxy.assert_closed("plugin-error")
        upstream.assert_untouched()
    mmproxy.assert_counter("plugin_bans_unasked")


def test_a_helper_that_comes_later_is_found_and_asked(host, start_daemon, place, upstream):
    mmproxy = start_daemon(host, plugins=[entry(place)])
    mmproxy.wait_for_log("plugin: message.*no helper at")
    helper = Helper(place)
    try:
        mmproxy.wait_for_log("plugin: message.*asking the helper at")
        send(host, v2(CLIENT4))
        helper.answer(helper.question()[0], "pass")
        assert upstream.accept()[1] == CLIENT4
    finally:
        helper.close()


def test_a_helper_that_was_restarted_is_found_and_asked(host, asking, helper, upstream):
    send(host, v2(CLIENT4))
    helper.answer(helper.question()[0], "pass")
    upstream.accept()
    helper.leave()
    asking.wait_for_log("plugin: message.*lost the helper at")
    assert read_to_end(send(host, v2(("203.0.113.9", 41001)))) == (b"", EOF)
    helper.come()
    asking.wait_for_log("plugin: message.*asking the helper at")
    send(host, v2(("203.0.113.9", 41002)))
    helper.answer(helper.question()[0], "pass")
    assert upstream.accept()[1] == ("203.0.113.9", 41002)


def test_a_helper_that_leaves_without_an_answer_is_a_timeout(host, start_daemon, helper, upstream):
    mmproxy = start_daemon(host, plugins=[entry(helper.path, timeout=0.2)])
    connection = send(host, v2(CLIENT4))
    helper.question()
    helper.leave()
    assert read_to_end(connection) == (b"", EOF)
    mmproxy.assert_closed("plugin-timeout")


def test_a_late_answer_changes_nothing(host, start_daemon, helper, upstream):
    mmproxy = start_daemon(host, plugins=[entry(helper.path, timeout=0.2)])
    connection = send(host, v2(CLIENT4))
    late, _ = helper.question()
    assert read_to_end(connection) == (b"", EOF)
    mmproxy.assert_closed("plugin-timeout")
    helper.answer(late, "pass")
    mmproxy.assert_counter("plugin_bans_stale_verdicts")
    upstream.assert_untouched()


def test_a_client_that_leaves_does_not_disturb_the_next(host, asking, helper, upstream):
    connection = send(host, v2(CLIENT4))
    late, _ = helper.question()
    reset(connection)
    asking.assert_closed("client-left")
    helper.answer(late, "pass")
    asking.assert_counter("plugin_bans_stale_verdicts")
    upstream.assert_untouched()
    send(host, v2(CLIENT4))
    helper.answer(helper.question()[0], "pass")
    assert upstream.accept()[1] == CLIENT4


@pytest.mark.parametrize("verdict", ["maybe", "", "passport", "PASS"])
def test_an_answer_that_is_none_of_the_three_words_is_an_error(
    verdict, host, asking, helper, upstream
):
    connection = send(host, v2(CLIENT4))
    helper.answer(helper.question()[0], verdict)
    assert read_to_end(connection) == (b"", EOF)
    asking.assert_closed("plugin-error")
    upstream.assert_untouched()


NONSENSE = [b"pass", b"\n", b"-", b"\0", b"9" * 300, b"1 pass", b"\xff 1", b"-1 deny"]


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_to_nothing_is_passed_over(answer, host, asking, helper, upstream):
    send(host, v2(CLIENT4))
    ticket, _ = helper.question()
    helper.connection.send(answer)
    asking.assert_counter("plugin_bans_stale_verdicts")
    upstream.assert_untouched()
    helper.answer(ticket, "pass")
    assert upstream.accept()[1] == CLIENT4


def test_a_helper_that_does_not_keep_up_is_an_error_and_holds_nobody_up(
    host, start_daemon, helper, upstream
):
    many = clients(400)  # an unread socket has room for fewer questions
    settings = {"plugins": [entry(helper.path, on_error="pass")], "top": {"workers": 1}}
    mmproxy = start_daemon(host, **settings)
    for client in many:
        send(host, v2(client))

    def all_judged():
        counters = mmproxy.counters()
        asked, unasked = counters["plugin_bans_asked"], counters["plugin_bans_unasked"]
        return (asked, unasked) if asked + unasked == len(many) else None

    asked, unasked = wait_until(all_judged, 20, "every client has been judged")
    assert asked > 100 and unasked > 0
    upstream.accept_many(unasked)
    mmproxy.wait_until_idle()
    upstream.assert_untouched()
    for _ in range(asked):
        helper.answer(helper.question()[0], "pass")
    upstream.accept_many(asked)


# Settings and reloads.


@pytest.mark.parametrize(
    "config, says",
    [
        ({}, "config.socket: it is missing; write the path of the helper"),
        ({"socket": 5}, "config.socket: wrong type"),
        ({"socket": "/" + "x" * 107}, "config.socket: this path is too long"),
    ],
    ids=["none", "number", "long"],
)
@pytest.mark.parametrize("check", [False, True], ids=["start", "check"])
def test_a_socket_that_cannot_be_is_a_mistake(check, config, says, host, start_daemon):
    text = configuration(listener(plugins=[plugins.entry("bans", config, PLUGIN)]))
    arguments = ["--check"] if check else None
    mmproxy = start_daemon(host, config=text, arguments=arguments, ready=False)
    assert mmproxy.wait_until_ended() == 2
    assert says in mmproxy.log()


def test_the_path_is_relative_to_the_configuration_file(host, start_daemon):
    relative = plugins.entry("bans", {"socket": "bans.socket"}, PLUGIN)
    mmproxy = start_daemon(host, plugins=[relative])
    mmproxy.wait_for_log(f"no helper at {mmproxy.directory}/bans.socket: ")


def test_check_does_not_look_for_the_helper(host, start_daemon, helper):
    text = configuration(listener(plugins=[entry(helper.path)]))
    mmproxy = start_daemon(host, config=text, arguments=["--check"], ready=False)
    assert mmproxy.wait_until_ended() == 0, mmproxy.log()
    helper.listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        helper.listener.accept()


def test_after_a_reload_the_new_instance_asks_and_the_old_one_still_gets_its_answer(
    host, asking, helper, upstream
):
    first = send(host, v2(CLIENT4))
    ticket, _ = helper.question()
    old = helper.connection
    assert asking.reload().event == "config: reloaded"
    helper.accept()
    send(host, v2(("203.0.113.9", 41001)))
    newer, _ = helper.question()
    helper.answer(newer, "pass")
    assert upstream.accept()[1] == ("203.0.113.9", 41001)
    old.send(f"{ticket} deny".encode())
    assert read_to_end(first) == (b"", EOF)
    # Its last session is gone: the old instance closes, and its connection with it.
    assert old.recv(512) == b""
    asking.wait_for_log("plugin: closed plugin=bans")
