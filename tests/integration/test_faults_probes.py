# SPDX-License-Identifier: MIT
"""Kernels, containers and filters of system calls that lack something: the call fails each time
from the start on, as it would there. What can be gone without is, with one line where anybody would
miss it; what cannot is named, by a start that is refused or by each session that fails.
"""

import dataclasses
import re

import pytest

import settings
from conversations import converse, exchange
from fail_call import FailCall
from headers import CLIENT4, CLIENT6, v2
from sessions import MMPROXY, send, unused_client
from traffic import RESET, wait_until_ended
from udp import Balancer

# Levels and names of options as the kernel numbers them.
SOCKET, IP, TCP, UDP, IPV6, NETLINK = 1, 0, 6, 17, 41, 270
AF_INET6, AF_NETLINK = 10, 16
NETFILTER = 12
F_SETPIPE_SZ = 1031


@dataclasses.dataclass
class Missing:
    """What fails: a call, perhaps only with these first arguments. One log line has `said`."""

    call: str
    error: str
    wanted: tuple = ()
    said: str = None
    tcp: dict = dataclasses.field(default_factory=dict)
    udp: dict = dataclasses.field(default_factory=dict)
    top: dict = dataclasses.field(default_factory=dict)


def option(level, name, error="ENOPROTOOPT", **more):
    return Missing("setsockopt", error, (None, level, name), **more)


WILDCARD = {"listen": "*:8443"}
ELSEWHERE = {"forward": {"ipv4": "198.51.100.9:443"}}
MARKED = {"mode": "manage", "method": "mark"}

# libnftables ends the process that has no such socket.
NFTABLES = Missing(
    "socket",
    "EPROTONOSUPPORT",
    (AF_NETLINK, None, NETFILTER),
    tcp=ELSEWHERE,
    udp=ELSEWHERE,
    top={"routing": MARKED},
)

GONE_WITHOUT = {
    "splice": Missing("splice", "ENOSYS", said="relay: no splice"),
    "splice_by_a_filter": Missing("splice", "EPERM", said="relay: no splice"),
    "pipes": Missing("pipe2", "ENOSYS"),
    "larger_pipes": Missing("fcntl", "EPERM", (None, F_SETPIPE_SZ)),
    "udp_gro": option(UDP, 104),
    "overflow_counts": option(SOCKET, 40),
    "forced_receive_buffers": option(SOCKET, 33, "EPERM"),
    "tcp_user_timeout": option(TCP, 18),
    "keepalive": option(SOCKET, 9),
    "keepalive_times": option(TCP, 4),
    "tcp_nodelay": option(TCP, 1),
    "urgent_data_inline": option(SOCKET, 10),
    "strict_netlink": option(NETLINK, 12),
    "netlink": Missing(
        "socket", "EAFNOSUPPORT", (AF_NETLINK,), said="addresses will go unnoticed"
    ),
    "batch_scheduling": Missing(
        "sched_setscheduler", "EPERM", said="the scheduling policy stays what it was"
    ),
    "scheduling_by_a_filter": Missing(
        "sched_setscheduler", "ENOSYS", said="the scheduling policy stays what it was"
    ),
    "cpu_count": Missing("sched_getaffinity", "ENOSYS"),
    "limits": Missing("getrlimit", "EPERM"),
    "raised_limits": Missing("setrlimit", "EPERM"),
    "locks": Missing("flock", "ENOSYS", said="control: no control socket"),
}


@pytest.fixture
def shim():
    made = FailCall()
    yield made
    made.close()


def configuration(missing):
    return settings.configuration(
        settings.listener(**missing.tcp),
        settings.udp_listener(**{"listen": "127.0.0.1:8443", **missing.udp}),
        **{"workers": 2, "drain_timeout": 0, **missing.top},
    )


def start(missing, host, shim, start_daemon, ready=True):
    shim.arm(missing.call, missing.error, times=1 << 30, wanted=missing.wanted)
    return start_daemon(
        host,
        config=configuration(missing),
        launch={"environment": shim.environment},
        ready=ready,
    )


def assert_traffic(host, mmproxy, upstream, upstream6, datagrams, families=(4, 6)):
    for family in families:
        client = (CLIENT4 if family == 4 else CLIENT6)[0], unused_client()[1]
        assert converse(host, upstream if family == 4 else upstream6, client).whole
    assert exchange(Balancer(host), datagrams, unused_client(), 1, mmproxy.wait_until_idle) == 0


@pytest.mark.parametrize("missing", GONE_WITHOUT.values(), ids=GONE_WITHOUT.keys())
def test_what_can_be_gone_without_is(
    missing, host, shim, start_daemon, upstream, upstream6, udp_upstream
):
    mmproxy = start(missing, host, shim, start_daemon)
    for _ in range(2):
        assert_traffic(host, mmproxy, upstream, upstream6, udp_upstream)
    assert shim.disarm() > 0, f"no such {missing.call} was called"
    if missing.said:
        assert len(mmproxy.log_lines(missing.said)) == 1, mmproxy.log()


def test_a_host_without_ipv6_listens_to_what_there_is(
    host, shim, start_daemon, upstream, upstream6, udp_upstream
):
    missing = Missing("socket", "EAFNOSUPPORT", (AF_INET6,), tcp=WILDCARD, udp=WILDCARD)
    mmproxy = start(missing, host, shim, start_daemon)
    assert_traffic(host, mmproxy, upstream, upstream6, udp_upstream, families=[4])
    assert shim.hits > 0


# Without TCP_REPAIR, and with one that cannot be left again.
@pytest.mark.parametrize("at", [1, 2], ids=["entered", "left"])
def test_without_repair_mode_a_taken_port_is_replaced(at, host, shim, start_daemon, upstream):
    client = unused_client()
    taken = host.socket()
    taken.bind(("0.0.0.0", client[1]))
    taken.listen()
    mmproxy = start(option(TCP, 19, "EPERM"), host, shim, start_daemon)
    shim.arm("setsockopt", "EPERM", at=at, times=1 << 30, wanted=(None, TCP, 19))
    connection = send(host, v2(client))
    accepted, peer = upstream.accept()
    assert peer[0] == client[0] and peer[1] != client[1]
    connection.close()
    accepted.close()
    mmproxy.assert_counter("port_conflicts")
    assert shim.hits > 0


REFUSED_SESSIONS = {
    "transparent_binding": (option(IP, 19), "IP_TRANSPARENT"),
    "marks": (option(SOCKET, 36, "EPERM", tcp={"mark": 7}), "SO_MARK"),
}


@pytest.mark.parametrize("case", REFUSED_SESSIONS.values(), ids=REFUSED_SESSIONS.keys())
def test_a_session_that_cannot_be_dialled_without_says_what_it_lacks(
    case, host, shim, start_daemon, upstream
):
    missing, step = case
    mmproxy = start(missing, host, shim, start_daemon)
    connection = send(host, v2(CLIENT4))
    assert wait_until_ended(connection) == RESET
    line = mmproxy.wait_for_log("session: failed")
    assert (line["reason"], line["step"]) == ("connect-failed", step)
    upstream.assert_untouched()


REFUSED_STARTS = {
    "reuseport": (option(SOCKET, 15), "SO_REUSEPORT: Protocol not available"),
    "packet_info": (option(IP, 8, udp={"listen": "0.0.0.0:8443"}), "IP_PKTINFO: Protocol not"),
    "packet_info6": (option(IPV6, 49, udp=WILDCARD), "IP_PKTINFO: Protocol not"),
    "getrandom": (Missing("getrandom", "ENOSYS"), "step=control.*Function not implemented"),
    "epoll": (Missing("epoll_create1", "ENOSYS"), "epoll_create1.*Function not implemented"),
    "eventfd": (Missing("eventfd", "ENOSYS"), "eventfd.*Function not implemented"),
    "signalfd": (Missing("signalfd", "ENOSYS"), "signalfd.*Function not implemented"),
    "threads": (Missing("pthread_create", "EAGAIN"), "cannot start a worker"),
    "nftables": (NFTABLES, "nftables cannot be asked"),
    "no_new_privs": (Missing("prctl", "EINVAL", (38,)), "no_new_privs"),
}


@pytest.mark.parametrize("case", REFUSED_STARTS.values(), ids=REFUSED_STARTS.keys())
def test_a_start_that_is_impossible_without_says_what_it_lacks(case, host, shim, start_daemon):
    missing, said = case
    mmproxy = start(missing, host, shim, start_daemon, ready=False)
    assert mmproxy.wait_until_ended() in (1, 2)
    lines = [line.text for line in mmproxy.log_lines() if line.level in ("error", "")]
    assert len(lines) == 1 and re.search(said, lines[0]), mmproxy.log()
    assert not mmproxy.control_socket.exists()
    with pytest.raises(ConnectionRefusedError):
        host.connect(MMPROXY)


def test_a_reload_that_cannot_ask_nftables_changes_nothing(bare, shim, start_daemon):
    text = configuration(NFTABLES)
    mmproxy = start_daemon(bare, config=text, launch={"environment": shim.environment})
    shim.arm("socket", "EMFILE", times=1 << 30, wanted=NFTABLES.wanted)
    mmproxy.wait_until_idle()
    mmproxy.write_config(text.replace('method = "mark"', 'method = "mark"; table = 124'))
    said = mmproxy.reload()
    assert said.event == "config: reload failed, nothing changed", mmproxy.log()
    assert mmproxy.log_lines("nftables cannot be asked")
    assert shim.disarm() > 0
    assert mmproxy.reload().event == "config: reloaded"
