# SPDX-License-Identifier: MIT
"""Every call that answering the control socket takes fails once. Whoever asks gets a whole answer
or is hung up on, is never left waiting, and the next one is answered.

One failure again: FAULT_AT=17 pytest -k "control and malloc-ENOMEM".
"""

import json

import pytest

import control
import settings
from fail_call import FailCall, each, numbers
from headers import CLIENT4
from plugins import entry
from sessions import open_session

REQUESTS = [
    "status",
    "listeners",
    "sessions",
    "clients",
    "counters",
    "plugins",
    "metrics",
    "help",
    "kill 1234567",
    "log-level debug",
    "nonsense",
]
FAULTS = {
    "malloc": "ENOMEM",
    "calloc": "ENOMEM",
    "realloc": "ENOMEM",
    "send": "ENOBUFS EINTR 1",
    "recv": "EINTR EAGAIN ENOMEM 1",
    "epoll_ctl": "ENOMEM",
    "epoll_wait": "EINTR",
    "accept4": "EMFILE ECONNABORTED",
    "getsockopt": "ENOBUFS",
    "eventfd_read": "EAGAIN",
}


class Asked:
    def __init__(self, host, start_daemon, upstream):
        self.shim = FailCall()
        config = settings.configuration(
            settings.listener(plugins=[entry("acl", config={"deny": "192.0.2.0/24"})]),
            workers=2,
            drain_timeout=0,
        )
        launch = {"environment": self.shim.environment}
        self.mmproxy = start_daemon(host, config=config, launch=launch)
        self.session = open_session(host, upstream, CLIENT4)
        self.ask("status")
        self.mmproxy.wait_until_idle()
        self.descriptors = self.mmproxy.descriptors()

    def ask(self, request, and_another=False):
        """The answers until the end of the connection, each a whole line of JSON."""
        with control.Client(self.mmproxy) as client:
            try:
                client.send(request + "\n" + ("status\n" if and_another else ""))
                client.socket.shutdown(1)
            except BrokenPipeError:
                pass
            data = b""
            try:
                while piece := client.socket.recv(1 << 20):
                    data += piece
            except ConnectionResetError:
                pass
        assert data == b"" or data.endswith(b"\n"), f"an answer was cut off: {data[-80:]}"
        return [json.loads(line) for line in data.decode("ascii").splitlines()]


@pytest.fixture
def asked(host, start_daemon, upstream):
    made = Asked(host, start_daemon, upstream)
    yield made
    made.shim.close()


@pytest.mark.deadline(300)
@each(FAULTS)
def test_who_asks_is_answered_or_hung_up_on(call, fault, asked):
    failed = 0
    for request in REQUESTS:
        for at in numbers():
            asked.shim.arm_fault(call, fault, at)
            try:
                answers = asked.ask(request, and_another=at % 2 == 0)
                hits = asked.shim.disarm()
                for answer in answers:
                    assert answer.keys() >= ({"result"} if answer["ok"] else {"error"})
                assert asked.ask("status")[0]["ok"]
            except BaseException:
                print(f"FAULT_AT={at}, {request}")
                raise
            failed += hits
            if not hits:
                break
    print(f"{call} {fault}: {failed} failures")
    assert failed > 0
    asked.mmproxy.wait_until_idle()
    assert asked.mmproxy.descriptors() == asked.descriptors
