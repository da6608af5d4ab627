# SPDX-License-Identifier: MIT
"""A process that stands still for longer than its timeouts: a debugger, a frozen group, SIGSTOP.

What came in time was in time, though nobody could look.
"""

import contextlib
import signal
import time

from headers import CLIENT4, v2
from sessions import MMPROXY, assert_alive, open_session, send, unused_client
from settings import configuration, listener, udp_listener
from traffic import read_exactly
from udp import Balancer, round_trip
from waiting import wait_until

TIMEOUT = 3.0


@contextlib.contextmanager
def stopped(mmproxy):
    mmproxy.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: mmproxy.status("State").startswith("T"), 10, "it is stopped", interval=0)
    try:
        yield
    finally:
        mmproxy.process.send_signal(signal.SIGCONT)


def test_nobodys_time_is_up_for_what_a_stopped_process_could_not_look_at(
    host, start_daemon, upstream, udp_upstream
):
    timeouts = ("header_timeout", "connect_timeout", "idle_timeout")
    mmproxy = start_daemon(
        host,
        config=configuration(
            listener(**dict.fromkeys(timeouts, TIMEOUT)),
            udp_listener(framing="first", idle_timeout=TIMEOUT),
            drain_timeout=0,
        ),
    )
    live, accepted = open_session(host, upstream, unused_client())
    balancer = Balancer(host, "first")
    round_trip(balancer, udp_upstream, CLIENT4)
    host.nft(
        "add table inet t\n"
        "add chain inet t in { type filter hook input priority 0; }\n"
        "add rule inet t in tcp dport 443 tcp flags & (syn | ack) == syn drop\n"
    )
    slow, late = unused_client(), unused_client()
    dialling = send(host, v2(slow))
    mmproxy.wait_for_counter("headers_v2", 2)
    silent = host.connect(MMPROXY)
    mmproxy.wait_for_counter("sessions_accepted", 4)  # a flow is one of them
    mmproxy.wait_until_idle()
    with stopped(mmproxy):
        began = time.monotonic()
        host.nft("delete table inet t\n")
        silent.sendall(v2(late))
        live.sendall(b"in time")
        balancer.send_bare(b"in time too")
        # The kernel asks again, and connects.
        dialled, peer = upstream.accept()
        assert peer == slow
        time.sleep(max(0, began + TIMEOUT + 0.5 - time.monotonic()))
    assert read_exactly(accepted, 7) == b"in time"
    assert udp_upstream.receive() == (b"in time too", CLIENT4)
    assert_alive(dialling, dialled)
    served, peer = upstream.accept()
    assert peer == late
    assert_alive(silent, served)
    assert not mmproxy.log_lines("timed out|refused|failed|closed")
