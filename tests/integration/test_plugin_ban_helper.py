# SPDX-License-Identifier: MIT
"""ban-helper, which ships with the plugin example-deferred: it answers from a list of addresses."""

import pathlib
import socket
import subprocess

import pytest

from headers import CLIENT4, CLIENT6, v2
from sessions import open_session, send
from test_plugin_example_deferred import entry, place  # noqa: F401
from traffic import EOF, read_to_end
from waiting import wait_until

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "plugin/example-deferred/ban-helper"


class BanHelper:
    def __init__(self, path):
        self.socket = path
        self.list = path.with_name("list")
        self.errors = path.with_name("errors")

    def run(self):
        with open(self.errors, "wb") as errors:
            command = ["/usr/bin/python3", PROGRAM, self.socket, self.list]
            self.process = subprocess.Popen(command, stderr=errors, umask=0)
        wait_until(self._listens, 10, lambda: f"it listens: {self.errors.read_text()}")
        return self

    def _listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def ban(self, line):
        """As a shell would: echo 192.0.2.1 >> list."""
        with open(self.list, "a") as file:
            file.write(line + "\n")

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def ban_helper(start, place):  # noqa: F811
    return start(BanHelper(place))


def assert_banned(host, client):
    assert read_to_end(send(host, v2(client))) == (b"", EOF)


def test_a_client_is_banned_from_the_moment_its_address_is_appended(
    host, start_daemon, ban_helper, upstream
):
    mmproxy = start_daemon(host, plugins=[entry(ban_helper.socket)])
    open_session(host, upstream, CLIENT4)  # there is no list yet
    ban_helper.ban("203.0.113.10")
    open_session(host, upstream, ("203.0.113.9", 41001))
    ban_helper.ban("203.0.113.9")
    assert_banned(host, ("203.0.113.9", 41002))
    assert_banned(host, ("203.0.113.10", 41000))
    assert mmproxy.wait_for_log("session: refused")["why"] == "banned"
    mmproxy.assert_closed("plugin-denied", 2)


def test_a_client_is_free_again_when_its_address_is_taken_out(
    host, start_daemon, ban_helper, upstream
):
    start_daemon(host, plugins=[entry(ban_helper.socket)])
    ban_helper.ban("203.0.113.10")
    ban_helper.ban("203.0.113.9")
    assert_banned(host, CLIENT4)
    shorter = ban_helper.list.with_name("shorter")
    shorter.write_text("203.0.113.10\n")
    shorter.rename(ban_helper.list)
    open_session(host, upstream, CLIENT4)
    assert_banned(host, ("203.0.113.10", 41000))
    ban_helper.list.unlink()
    open_session(host, upstream, ("203.0.113.10", 41001))


def test_the_list_takes_prefixes_comments_and_both_families(
    host, start_daemon, ban_helper, upstream, upstream6
):
    start_daemon(host, plugins=[entry(ban_helper.socket)])
    for line in "# by hand", "", "203.0.113.0/29  # a net", "2001:db8:c::/64":
        ban_helper.ban(line)
    assert_banned(host, ("203.0.113.7", 41000))
    open_session(host, upstream, ("203.0.113.8", 41000))
    assert_banned(host, CLIENT6)
    open_session(host, upstream6, ("2001:db8:d::9", 41006))


def test_a_line_that_is_no_address_is_reported_and_the_others_hold(host, start_daemon, ban_helper):
    start_daemon(host, plugins=[entry(ban_helper.socket)])
    ban_helper.ban("203.0.113.300")
    ban_helper.ban("203.0.113.9")
    assert_banned(host, CLIENT4)
    assert "list:1: '203.0.113.300' is no address or prefix" in ban_helper.errors.read_text()


def test_a_list_that_cannot_be_read_is_left_to_on_error(host, start_daemon, ban_helper):
    mmproxy = start_daemon(host, plugins=[entry(ban_helper.socket, timeout=0.2)])
    ban_helper.list.mkdir()
    assert_banned(host, CLIENT4)
    mmproxy.assert_closed("plugin-timeout")


def test_the_helper_starts_again_where_one_was_killed(host, start_daemon, ban_helper, upstream):
    ban_helper.stop()
    ban_helper.run()
    start_daemon(host, plugins=[entry(ban_helper.socket)])
    open_session(host, upstream, CLIENT4)


def test_many_clients_at_once_each_get_their_own_answer(host, start_daemon, ban_helper, upstream):
    mmproxy = start_daemon(host, plugins=[entry(ban_helper.socket)], top={"workers": 4})
    many = [(f"198.18.0.{number}", 41000) for number in range(1, 201)]
    for address, _ in many[::2]:
        ban_helper.ban(address)
    connections = [send(host, v2(client)) for client in many]
    seen = [peer for _, peer in upstream.accept_many(100)]
    assert sorted(seen) == sorted(many[1::2])
    for connection in connections[::2]:
        assert read_to_end(connection) == (b"", EOF)
    mmproxy.assert_closed("plugin-denied", 100)
    upstream.assert_untouched()
