# SPDX-License-Identifier: MIT
"""A process that stands still for longer than its timeouts: a debugger, a frozen group, SIGSTOP;
and a main thread that takes its time.

What came in time was in time, though nobody could look.
"""

import signal
import time

from control import request
from faults import slow_to_reload
from headers import CLIENT4, v2
from sessions import MMPROXY, assert_alive, open_session, send, unused_client
from settings import configuration, listener, udp_listener
from traffic import read_exactly
from udp import Balancer, round_trip

# All that comes before the process stands still has to be done in time.
TIMEOUT = 10.0


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
    with mmproxy.halted():
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


def test_after_a_slow_reload_nobody_is_said_to_be_unanswered(host, start_daemon):
    mmproxy = start_daemon(host, top={"workers": 4})
    with slow_to_reload(mmproxy):
        asked = time.monotonic()
        assert request(mmproxy, "reload") == {"generation": 2}
        assert time.monotonic() - asked >= 2.5


def test_a_drain_behind_a_slow_reload_has_its_whole_time(host, start_daemon, upstream):
    # It may end before strace has left it, and the leak check traces as well.
    launch = {"environment": {"ASAN_OPTIONS": "detect_leaks=0"}}
    mmproxy = start_daemon(host, top={"drain_timeout": 2}, launch=launch)
    open_session(host, upstream)
    with slow_to_reload(mmproxy):
        asked = time.time()
        mmproxy.process.send_signal(signal.SIGHUP)
        mmproxy.terminate()
        began = mmproxy.wait_for_log("daemon: stopping")
        assert began.time() - asked > 2.4
    over = mmproxy.wait_for_log("daemon: drain_timeout is over")
    assert mmproxy.log_lines("config: ")
    assert over.time() - began.time() >= 2
    assert mmproxy.wait_until_ended() == 0
