# SPDX-License-Identifier: MIT
"""valgrind's memcheck sees what the sanitizers do not: use of memory that nobody has written, in
libraries as well, and descriptors that are left open at the end. One scenario has a bit of all.

A sanitizer's build does not run in valgrind: there this is the one test that is skipped.

By hand: valgrind --leak-check=full --track-fds=yes mmproxy --config ...
"""

import pytest

import daemon
import plugins
import settings
from conversations import converse, exchange
from control import request
from headers import CLIENT4, CLIENT6
from metrics import LISTEN_TEXT, scrape
from sessions import unused_client
from udp import Balancer
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams, Listener

OPTIONS = [
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--track-fds=yes",
    "--keep-debuginfo=yes",
    "--num-callers=30",
    "--vgdb=no",
]


@pytest.mark.deadline(180)
def test_memcheck_has_nothing_to_say(bare, start_daemon):
    if daemon.is_sanitized():
        pytest.skip("a sanitizer's shadow memory has no room in valgrind")
    upstream, upstream6 = Listener(bare, UPSTREAM4), Listener(bare, UPSTREAM6)
    datagrams = Datagrams(bare, UPSTREAM4)
    config = settings.configuration(
        settings.listener(
            plugins=[
                plugins.entry("acl", config={"deny": "192.0.2.0/24"}),
                plugins.entry("ratelimit", config={"rate": 1000.0, "max_sessions": 100}),
            ]
        ),
        settings.udp_listener(max_flows=1, listen="127.0.0.1:8443"),
        workers=2,
        drain_timeout=0,
        routing={"mode": "manage"},
        metrics={"listen": LISTEN_TEXT},
    )
    report = plugins.folder() / "memcheck"
    mmproxy = start_daemon(
        bare,
        config=config,
        ready=False,
        launch={"prefix": ["valgrind", *OPTIONS, f"--log-file={report}"]},
    )
    mmproxy.wait_for_log("daemon: ready", timeout=60)
    for _ in range(2):
        for client, server in (CLIENT4, upstream), (CLIENT6, upstream6):
            peer = (client[0], unused_client()[1])
            assert converse(bare, server, peer).whole
        converse(bare, upstream, unused_client(), breaks_off=True)
        exchange(Balancer(bare), datagrams, unused_client(), 1, mmproxy.wait_until_idle)
        for asked in "status", "listeners", "sessions", "clients", "counters", "plugins", "metrics":
            request(mmproxy, asked)
        scrape(bare)
        request(mmproxy, "reload")
    mmproxy.write_config(config.replace("ipv4", "ipv5"))
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    mmproxy.terminate()
    status = mmproxy.wait_until_ended(60)
    said = report.read_text()
    assert status == 0, said
    assert "ERROR SUMMARY: 0 errors" in said, said
    # The fourth is the report.
    assert "FILE DESCRIPTORS: 4 open (3 std) at exit" in said, said
