# SPDX-License-Identifier: MIT
"""What is measured, and where it must arrive."""

import dataclasses

from . import stage

TCP_PEERS = ("haproxy", "nginx")
STREAM_PEERS = ("haproxy", "haproxy-splice", "nginx")
UDP_PEERS = ("plain", "plain-two-threads")

# Aims of the offload, by results.OFFLOAD_MEASURES. Two runs of one binary differ by some percent,
# so that "not below the relay's" is a little less than 1; a daemon that has nothing to do still has
# timers, and "none" is a thousandth of a CPU.
NO_CPU = 0.001
STREAM_AIMS = {"ratio": 0.90, "cpu_share": NO_CPU}
PING_AIMS = {"ratio": 0.92}
CONNECT_AIMS = {"ratio_to_mmproxy": 0.97}
UDP_AIMS = {1: {"ratio": 0.95}, 50: {"ratio": 0.85}}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    load: str  # stream, ping, connect, idle: of tcp_bench; udp: of udp_bench; iperf
    counts: str  # bytes, messages or connections: what processor time is told for
    options: dict  # of the load
    upstream: str = stage.ECHO
    group: str = "tcp"  # the table that it stands in
    protocol: str = "tcp"
    header: str = "v2"  # of TCP
    text: str = ""  # of TCP: what is sent, instead of the usual
    framing: str = ""  # of UDP
    peers: tuple = TCP_PEERS  # beside direct and mmproxy
    base: str | None = "direct"
    aim: float | None = None  # the ratio to the base, at least; of memory: KiB, at most
    offload_aims: dict = dataclasses.field(default_factory=dict)  # see OFFLOAD_MEASURES
    seconds: float | None = None  # instead of what all take
    repeats: int = 1  # in a round: what is sought is less than the noise of one run
    quick: bool = False  # part of --quick

    @property
    def unit(self):
        if self.load == "idle":
            return "KiB"
        return {"bytes": "MB/s", "messages": "1/s", "connections": "conn/s"}[self.counts]

    @property
    def sessions(self):
        """Live ones at a time."""
        return self.options.get("connections") or self.options.get("clients") or 1

    @property
    def offloads(self):
        """Do sessions last long enough for the kernel to take them over?"""
        return self.load in ("stream", "ping", "udp", "iperf")


def stream(name, title, size, connections, direction="echo", **more):
    upstream = {"echo": stage.ECHO, "up": stage.SINK, "down": stage.SOURCE}[direction]
    options = {"size": size, "connections": connections, "direction": direction}
    values = {"upstream": upstream, "peers": STREAM_PEERS, **more}
    counts = values.pop("counts", "bytes")
    return Scenario(name, title, "stream", counts, options, **values)


def ping(name, title, connections, rate=0, **more):
    options = {"size": 6, "connections": connections, "rate": rate}
    return Scenario(name, title, "ping", "messages", options, **more)


def udp(name, title, size, clients, framing="every", **more):
    options = {"size": size, "clients": clients}
    values = {"upstream": stage.UDP_ECHO, "peers": UDP_PEERS, "group": "udp", **more}
    if "rate" in values:
        options["rate"] = values.pop("rate")
    else:
        options["window"] = 64 if clients == 1 else 16
    return Scenario(
        name, title, "udp", "messages", options, protocol="udp", framing=framing, **values
    )


CONNECT = {"size": 6, "connections": 50}

ALL = (
    stream(
        *("tcp-echo-64k-50", "64 KiB echo stream, 50 connections", 65536, 50),
        **{"aim": 0.78, "offload_aims": STREAM_AIMS, "quick": True},
    ),
    stream(
        *("tcp-echo-64k-1", "64 KiB echo stream, 1 connection", 65536, 1),
        offload_aims=STREAM_AIMS,
    ),
    stream(
        *("tcp-up-64k-50", "64 KiB one way, 50 connections", 65536, 50, "up"),
        offload_aims=STREAM_AIMS,
    ),
    stream(
        *("tcp-down-64k-50", "64 KiB the other way, 50 connections", 65536, 50, "down"),
        offload_aims=STREAM_AIMS,
    ),
    stream("tcp-echo-1k-50", "1 KiB writes, echo stream, 50 connections", 1024, 50),
    stream("tcp-up-1-50", "1 B writes, one way, 50 connections", 1, 50, "up", counts="messages"),
    stream(
        "seed-ping",
        "PING\\r\\n stream, v1, 50 connections, 10 s",
        65536,
        50,
        header="v1",
        text="PING\r\n",
        offload_aims=STREAM_AIMS,
        seconds=10,
    ),
    ping(
        *("tcp-ping-50", "6 B ping-pong, 50 connections", 50),
        **{"aim": 0.50, "offload_aims": PING_AIMS, "quick": True},
    ),
    ping(
        *("tcp-ping-1", "6 B ping-pong, 1 connection", 1),
        **{"aim": 0.75, "offload_aims": {**PING_AIMS, "added_p99_us": 10}, "quick": True},
    ),
    ping("tcp-paced-50", "6 B ping-pong at 20,000/s, 50 connections", 50, rate=20000),
    Scenario(
        "tcp-connect-50",
        "connect + exchange + close, 50 at a time",
        "connect",
        "connections",
        CONNECT,
        aim=0.44,
        offload_aims=CONNECT_AIMS,
        quick=True,
    ),
    udp(
        *("udp-64-50", "UDP 64 B, 50 clients", 64, 50),
        **{"aim": 0.50, "offload_aims": UDP_AIMS[50], "quick": True},
    ),
    udp(
        *("udp-64-1", "UDP 64 B, 1 client", 64, 1),
        **{"aim": 0.60, "offload_aims": UDP_AIMS[1], "quick": True},
    ),
    udp(
        *("udp-1200-50", "UDP 1200 B, 50 clients", 1200, 50),
        **{"aim": 0.52, "offload_aims": UDP_AIMS[50], "quick": True},
    ),
    udp("udp-1200-1", "UDP 1200 B, 1 client", 1200, 1, offload_aims=UDP_AIMS[1]),
    udp("udp-spp-64-50", "UDP 64 B, 50 clients, SPP", 64, 50, framing="spp", peers=()),
    udp("udp-paced-64-50", "UDP 64 B at 50,000/s, 50 clients", 64, 50, rate=50000),
    Scenario(
        "seed-iperf",
        "iperf, UDP in reverse, through the forwarder",
        "iperf",
        "messages",
        {"size": 1200},
        group="udp",
        protocol="udp",
        framing="every",
        peers=UDP_PEERS,
    ),
    Scenario(
        "idle",
        "memory of an idle connection",
        "idle",
        "connections",
        {"size": 6, "connections": 4000},
        group="memory",
        base=None,
        aim=0.5,
        quick=True,
    ),
    Scenario(
        "plugins-connect-50",
        "connect + exchange + close, three passing plugins",
        "connect",
        "connections",
        CONNECT,
        group="plugins",
        base="mmproxy",
        peers=("mmproxy-plugins",),
        aim=0.97,
        repeats=4,
    ),
)
