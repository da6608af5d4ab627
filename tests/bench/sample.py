#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints a bench.json of made-up numbers of likely sizes, to try tables and plots on.

Usage: sample.py >bench.json
"""

import collections
import itertools
import json

ROUNDS = 3
SECONDS = 2.0

# What a peer does as a share of direct's rate, and its CPU time as a share of HAProxy's.
_STREAM = {
    "mmproxy": (0.86, 0.71),
    "mmproxy-offload": (0.93, 0.02),
    "haproxy": (0.67, 1.0),
    "haproxy-splice": (0.78, 0.83),
    "nginx": (0.61, 1.12),
}
_PINGPONG = {
    "mmproxy": (0.58, 0.86),
    "mmproxy-offload": (0.95, 0.01),
    "haproxy": (0.52, 1.0),
    "haproxy-splice": (0.52, 1.01),
    "nginx": (0.55, 0.93),
}
_CONNECT = {
    "mmproxy": (0.49, 0.78),
    "mmproxy-offload": (0.48, 0.79),
    "haproxy": (0.41, 1.0),
    "haproxy-splice": (0.40, 1.03),
    "nginx": (0.44, 0.91),
}
_DATAGRAM = {
    "mmproxy": (0.74, 0.5),
    "mmproxy-offload": (0.88, 0.03),
    "plain": (0.41, 0.9),
    "nginx": (0.22, 1.9),
}
_PLUGINS = {"three-plugins": (0.95, 1.04)}

# Of the offload, by what is done.
_AIMS = {
    "stream": {"ratio": 0.9, "cpu_share": 0.001},
    "pingpong": {"ratio": 0.92, "added_p99_us": 10},
    "connect": {"ratio_to_mmproxy": 0.97},
    "datagram": {"ratio": 0.9},
}

# A run's field that grows with each unit of a rate, and by how much.
_COUNTED = {
    "MB/s": ("bytes", 1_000_000),
    "messages/s": ("messages", 1),
    "datagrams/s": ("messages", 1),
    "connections/s": ("connections", 1),
}

# `rate` and `p50`, in µs, are the base's; `cpu`, in µs for each unit of the rate, HAProxy's.
# `aims` are the offload's, one of _AIMS.
Row = collections.namedtuple(
    "Row", "name title unit aim peers rate cpu p50 aims", defaults=[None, None]
)
_TCP = (
    Row(
        *("tcp-echo-64k-1", "64 KiB echo stream, 1 connection", "MB/s", 0.75),
        *(_STREAM, 2210, 420, None, "stream"),
    ),
    Row(
        *("tcp-echo-64k-50", "64 KiB echo stream, 50 connections", "MB/s", 0.88),
        *(_STREAM, 1985, 470, None, "stream"),
    ),
    Row("tcp-download-50", "download, 50 connections", "MB/s", None, _STREAM, 4120, 310),
    Row("tcp-upload-50", "upload, 50 connections", "MB/s", None, _STREAM, 4015, 330),
    Row(
        *("tcp-pingpong-6-1", "6 B ping-pong, 1 connection", "messages/s", None),
        *(_PINGPONG, 48_200, 14, 19, "pingpong"),
    ),
    Row(
        *("tcp-pingpong-6-50", "6 B ping-pong, 50 connections", "messages/s", 0.55),
        *(_PINGPONG, 187_000, 8.1, 240),
    ),
    Row(
        *("tcp-connect-16", "connect, ask, answer, close; 16 at once", "connections/s", 0.45),
        *(_CONNECT, 21_400, 63, None, "connect"),
    ),
)
_UDP = (
    Row("udp-64-1", "64 B echo, 1 client", "datagrams/s", 0.7, _DATAGRAM, 612_000, 2.1),
    Row(
        *("udp-64-50", "64 B echo, 50 clients", "datagrams/s", 0.7),
        *(_DATAGRAM, 540_000, 2.4, None, "datagram"),
    ),
    Row("udp-1200-1", "1200 B echo, 1 client", "datagrams/s", None, _DATAGRAM, 402_000, 2.9),
    Row("udp-1200-50", "1200 B echo, 50 clients", "datagrams/s", None, _DATAGRAM, 371_000, 3.1),
)
_PLUGIN = Row(
    *("plugins-connect-16", "connect, ask, answer, close; 16 at once", "connections/s", 0.9),
    *(_PLUGINS, 9_800, 52),
)

# KiB of the process and of the kernel, and descriptors.
_MEMORY = {
    "mmproxy": (0.44, 10.9, 2.0),
    "haproxy": (1.71, 11.2, 2.0),
    "haproxy-splice": (1.71, 11.2, 2.0),
    "nginx": (5.32, 11.1, 2.0),
}

_SYSTEM_CALLS = {
    "tcp-pingpong-6-50": {
        "mmproxy": {"recvfrom": 1.0, "sendto": 1.0, "epoll_wait": 0.31},
        "haproxy": {"recvfrom": 2.0, "sendto": 1.0, "epoll_wait": 1.12},
    },
    "udp-64-50": {
        "mmproxy": {"recvmmsg": 0.07, "sendmmsg": 0.03, "epoll_wait": 0.03, "futex": 0.001},
    },
}


class _Wobble:
    """By what rounds differ, the same each time."""

    def __init__(self):
        shares = (0.0, 0.021, -0.017, 0.008, -0.026, 0.013, -0.004, 0.017, -0.011, 0.003, -0.008)
        self._shares = itertools.cycle(shares)

    def __call__(self, value, weight=1):
        return value * (1 + weight * next(self._shares))


def document():
    """The whole bench.json, equal with each call."""
    wobble = _Wobble()
    scenarios = [_scenario(wobble, row, "tcp", "direct") for row in _TCP]
    scenarios += [_scenario(wobble, row, "udp", "direct") for row in _UDP]
    scenarios += [_scenario(wobble, _PLUGIN, "plugins", "mmproxy"), _memory(wobble)]
    return {
        "format": 1,
        "machine": {"cores": 2, "cpu": "AMD EPYC 7B13", "memory_gib": 23.5, "kernel": "6.18.5"},
        "programs": {"mmproxy": "0.1.0", "haproxy": "2.6.12", "nginx": "1.22.1"},
        "options": {"rounds": ROUNDS, "seconds": SECONDS, "quick": False, "workers": 1},
        "began": "2026-11-28T23:50:00Z",
        "took_seconds": 1234.5,
        "busiest": 0.03,
        "scenarios": scenarios,
        "system_calls": {
            name: {
                peer: {"total": round(sum(calls.values()), 3), "calls": calls}
                for peer, calls in peers.items()
            }
            for name, peers in _SYSTEM_CALLS.items()
        },
    }


def _scenario(wobble, row, group, base):
    peers = {base: (1.0, None if base == "direct" else 1.0), **row.peers}
    return {
        "name": row.name,
        "title": row.title,
        "group": group,
        "unit": row.unit,
        "aim": row.aim,
        "base": base,
        "lower_is_better": False,
        "runs": {
            peer: [_run(wobble, row, peer, *shares) for _ in range(ROUNDS)]
            for peer, shares in peers.items()
        },
        "offload_aims": dict(_AIMS[row.aims]) if row.aims else {},
    }


def _run(wobble, row, peer, share, cpu_share):
    run = _empty_run(round(wobble(row.rate * share), 1))
    field, scale = _COUNTED[row.unit]
    run[field] = round(run["rate"] * scale * SECONDS)
    if cpu_share is not None:
        run["cpu_seconds"] = round(wobble(run["rate"] * SECONDS * row.cpu * cpu_share / 1e6), 3)
        run["cpu_share"] = round(run["cpu_seconds"] / SECONDS, 4)
        run["descriptors"] = 104
    if peer == "mmproxy-offload" and row.aims != "connect":
        run.update(offloaded=1.0, cpu_share=0.0002, descriptors=4)
    if row.p50:
        p50 = wobble(row.p50 / share)
        percentiles = {"p50": p50, "p99": wobble(2.4 * p50), "p999": wobble(6.8 * p50, 4)}
        percentiles["max"] = 41 * p50
        run["latency_us"] = {name: round(value, 1) for name, value in percentiles.items()}
    return run


def _memory(wobble):
    def run(user, kernel, descriptors):
        return {
            **_empty_run(round(wobble(user), 2)),
            "connections": 10_000,
            "kernel_kib": round(wobble(kernel), 2),
            "descriptors": descriptors,
        }

    return {
        "name": "memory-idle",
        "title": "idle TCP, 10000 connections",
        "group": "memory",
        "unit": "KiB",
        "aim": 1.0,
        "base": None,
        "lower_is_better": True,
        "runs": {peer: [run(*sizes) for _ in range(ROUNDS)] for peer, sizes in _MEMORY.items()},
        "offload_aims": {},
    }


def _empty_run(rate):
    return {
        "rate": rate,
        "bytes": 0,
        "messages": 0,
        "connections": 0,
        "seconds": SECONDS,
        "cpu_seconds": None,
        "lost": 0,
        "reordered": 0,
        "latency_us": None,
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
