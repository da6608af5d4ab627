# SPDX-License-Identifier: MIT
"""Sessions that the kernel carries, as mmproxy shows them, and their ends."""

from control import request
from headers import v2
from offload_hosts import sockets
from sessions import MMPROXY, assert_alive, unused_client
from traffic import RESET, wait_until_ended
from waiting import wait_until


def shown(mmproxy, number=None):
    """What mmproxyctl sessions shows: all of them, or the one of this number."""
    found = request(mmproxy, "sessions limit=10000")["sessions"]
    if number is None:
        return found
    return next((session for session in found if session["id"] == number), None)


def open_through(balancer, upstream, client=None, to=MMPROXY, source=None):
    """A session: (the balancer's end, the upstream's end)."""
    client = client or unused_client()
    connection = balancer.connect(to, source=source)
    connection.sendall(v2(client))
    accepted, peer = upstream.accept()
    assert peer == client
    for end in connection, accepted:
        end.settimeout(30)
    return connection, accepted


def hand_over(host, mmproxy, *sessions, patience=20):
    """Exchanges bytes until the kernel carries all that there are, and mmproxy has no socket."""

    def carried():
        for session in sessions:
            assert_alive(*session)
        return all(found["state"] == "offloaded" for found in shown(mmproxy))

    wait_until(carried, patience, lambda: f"the kernel carries them: {shown(mmproxy)}")
    wait_until(lambda: not sockets(host, mmproxy), patience, "mmproxy has no socket left")


def open_carried(host, upstream, mmproxy, balancer=None, **where):
    """A session that the kernel carries: (number, balancer's end, upstream's end)."""
    before = {found["id"] for found in shown(mmproxy)}
    session = open_through(balancer or host, upstream, **where)
    hand_over(host, mmproxy, session)
    (number,) = {found["id"] for found in shown(mmproxy)} - before
    return number, *session


def closed(mmproxy, number):
    """The line of a session's end, of which there is exactly one."""
    mmproxy.wait_for_log(rf"session: closed .*\bid={number}\b")
    lines = mmproxy.log_lines(rf"session: closed .*\bid={number}\b")
    assert len(lines) == 1, lines
    return lines[0]


def assert_both_reset(connection, accepted):
    assert wait_until_ended(connection) == RESET
    assert wait_until_ended(accepted) == RESET

