# SPDX-License-Identifier: MIT
"""The soak's configurations: one to begin with, good ones and broken ones without end."""

import itertools

import long_run  # noqa: F401 (the path to the modules below)

import churn
import plugins
from settings import configuration, listener, udp_listener

# Where what listens. tcp_churn has 8443 and 8444, and its upstreams 443.
STREAMS = {"echo": (8451, 7001), "up": (8452, 7002), "down": (8453, 7003)}
STEADY = (8454, 7004)
GUARDED = (8455, 7005)
FRAMINGS = {"every": 5301, "first": 5302, "spp": 5303}
UDP_UPSTREAM = 5300
METRICS = ("127.0.0.1", 9464)

# A client that the access list refuses.
REFUSED = ("203.0.113.66", 40000)


def tcp(name, ports, **changes):
    listen, forward = ports
    return listener(
        name,
        listen=f"127.0.0.1:{listen}",
        forward={"ipv4": f"127.0.0.1:{forward}"},
        **changes,
    )


class Files:
    """`access_log` is an accesslog.Log."""

    def __init__(self, access_log):
        self._log = access_log
        self._numbers = itertools.count(1)
        self._broken = itertools.cycle(self._broken_ones())

    def first(self):
        return self._file(0)

    def next(self):
        """The next configuration, and whether it is a good one: three of five are."""
        number = next(self._numbers)
        if number % 5 in (2, 4):
            return next(self._broken), False
        return self._file(number), True

    def _file(self, number, *more, **top):
        """All that may change does, each at a pace of its own."""
        log = self._log.entry(format="json" if number % 2 else "logfmt")
        acl = plugins.entry("acl", {"deny": [REFUSED[0], f"192.0.2.{number % 250}"]})
        rate = plugins.entry("ratelimit", {"rate": 100000.0 + number % 3})
        common = {"header_timeout": 20.0 + number % 3, "connect_timeout": 20.0}
        every = [
            *churn.listeners(plugins=[acl, log], **common),
            *(tcp(name, ports, **common) for name, ports in STREAMS.items()),
            tcp("steady", STEADY, idle_timeout=600.0 + number % 5),
            tcp("guarded", GUARDED, plugins=[rate, acl], **common),
            *(self._udp(framing, port, number) for framing, port in FRAMINGS.items()),
            *more,
        ]
        if number % 2:
            every.append(tcp("visitor", (8456, 7004)))
        top = {"workers": 2, "log": {"level": "error"}, **top}
        return configuration(*every, metrics={"listen": "%s:%d" % METRICS}, **top)

    @staticmethod
    def _udp(framing, port, number):
        return udp_listener(
            framing,
            framing=framing,
            idle_timeout=2.0 + 0.1 * (number % 3),
            max_flows=1000,
            listen=f"127.0.0.1:{port}",
            forward={"ipv4": f"127.0.0.1:{UDP_UPSTREAM}"},
        )

    def _broken_ones(self):
        good = self._file(0)
        return [
            good.replace("(", "", 1),
            good[: len(good) * 2 // 3],
            '@include "no-such-file"\n' + good,
            "",
            self._file(0, listener("more", listen="127.0.0.1:8457", no_such_setting=1)),
            self._file(0, listener("more", listen="127.0.0.1:8457:1")),
            self._file(0, listener("more", listen="127.0.0.1:8457", subnets=None)),
            self._file(0, tcp("more", (8457, 1), plugins=[{"name": "x", "path": "/no/x.so"}])),
            self._file(0, tcp("more", (8457, 1), plugins=[plugins.entry("acl", {"deny": ["x"]})])),
            self._file(0, workers=3),
        ]
