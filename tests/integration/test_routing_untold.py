# SPDX-License-Identifier: MIT
"""A table of nftables that the kernel cannot be asked for: it is not missing, nor forgotten."""

import pytest

import ctl
import rules
from fail_call import FailCall
from settings import configuration, listener
from waiting import wait_until

WHAT = "nft table inet mmproxy_123"


@pytest.fixture
def shim():
    made = FailCall()
    yield made
    made.close()


@pytest.fixture
def mmproxy(bare, shim, start_daemon):
    bare.ip("addr add 192.0.2.7/32 dev lo")
    config = configuration(
        listener(forward={"ipv4": "192.0.2.7:443"}),
        routing={"mode": "manage", "method": "mark"},
        drain_timeout=0,
    )
    made = start_daemon(bare, config=config, launch={"environment": shim.environment})
    assert rules.tables(bare) == ["mmproxy_123"]
    return made


# AF_NETLINK and NETLINK_NETFILTER.
NETFILTER = (16, None, 12)
EVER = 1 << 30
# The socket that nftables is asked by, or every message to the kernel.
FAULTS = {
    "one socket": ("socket", "ENFILE", 1, NETFILTER),
    "all sockets": ("socket", "ENFILE", EVER, NETFILTER),
    "all messages": ("sendto", "ENOBUFS", EVER, ()),
}
faults = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


def arm(shim, fault):
    call, error, times, wanted = fault
    shim.arm(call, error, times=times, wanted=wanted)


def is_in_order(mmproxy):
    shown = ctl.ask(mmproxy.control_socket, "status")["routing"]
    assert shown["put_back"] == 0
    return shown["missing"] == 0


@faults
def test_it_is_not_put_back(fault, bare, shim, mmproxy):
    before = bare.run(["nft", "-a", "list", "ruleset"]).stdout
    arm(shim, fault)
    # News of a table of that prefix has it look.
    bare.nft("add table inet mmproxy_9\ndelete table inet mmproxy_9")
    line = mmproxy.wait_for_log(f'error routing: cannot be put in place what="{WHAT}"')
    assert line["why"].startswith("nftables cannot be asked: ")
    assert shim.disarm() > 0
    mmproxy.wait_for_log(f'routing: in place now what="{WHAT}"')
    wait_until(lambda: is_in_order(mmproxy), 5, "all is in order again")
    assert not mmproxy.log_lines("put back")
    assert bare.run(["nft", "-a", "list", "ruleset"]).stdout == before


@faults
def test_it_is_said_that_it_may_be_left(fault, bare, shim, mmproxy):
    arm(shim, fault)
    mmproxy.stop()
    lines = [line for line in mmproxy.log_lines("error routing: cannot be removed")]
    (why,) = [line["why"] for line in lines if line["what"] == WHAT]
    assert why.startswith("nftables cannot be asked: ")
    assert rules.tables(bare) == ["mmproxy_123"]
