# SPDX-License-Identifier: MIT
"""UDP flows that the kernel carries, for modules with pytest_plugins = ["offload_udp"]:

    pins              that of offload_pins.py
    start_offloaded   start_udp() of conftest.py with offload
    start_outside     the same on the server of `path`, for balancers on another machine

PYTEST_DONT_REWRITE: it is imported for its names before it is loaded for its fixtures.
"""

import pytest

import control
import udp
from headers import CLIENT4
from network import Path
from waiting import wait_until

pytest_plugins = ["offload_pins"]

# More than FIRST_DATAGRAMS of udp_offload.c, and the one that is seen afterwards.
EXCHANGES = 8

# Where mmproxy listens for balancers on another machine.
OUTSIDE4, OUTSIDE6 = (Path.SERVER4, 8443), (Path.SERVER6, 8443)


def assert_none_pinned(pins):
    for name in ("udp_places", "udp_replies", "udp_flows", "udp_records"):
        assert pins.count(name) == 0, name


def connected(namespace, client):
    """The sockets that speak for a client: none, while the kernel carries its flow."""
    listed = namespace.run(["ss", "--udp", "--numeric", "--no-header", "state", "established"])
    assert listed.returncode == 0, listed.stderr
    return [line for line in listed.stdout.splitlines() if f" {udp.text(client)} " in line]


def hand_over(host, mmproxy, balancer, upstream, client=CLIENT4, service=None):
    """Exchanges datagrams until the kernel carries the flow, and its socket is gone."""
    before = mmproxy.counters()["offload_udp_moved"]
    for number in range(EXCHANGES):
        assert udp.round_trip(balancer, upstream, client, b"%d" % number, service) == client
    mmproxy.wait_for_counter("offload_udp_moved", before + 1)
    # Silence is what closes it soonest.
    wait_until(lambda: not connected(host, client), 15, f"{client}'s socket is closed")


def flow(mmproxy, client=CLIENT4):
    """What mmproxy tells of a client's flow."""
    listed = control.request(mmproxy, f"sessions client={client[0]}")["sessions"]
    (found,) = [shown for shown in listed if shown["client"] == udp.text(client)]
    return found


def end_of(mmproxy, client=CLIENT4):
    """The log's line, as numbers, of the end of a client's flow."""
    line = udp.wait_until_closed(mmproxy, client)
    sides = "client", "upstream"
    names = [f"{what}_from_{side}" for what in ("datagrams", "bytes") for side in sides]
    return line["reason"], {name: int(line[name]) for name in names}


def set_checksums(namespace, device, state):
    """Whether the interface makes and judges checksums."""
    done = namespace.run(["ethtool", "--offload", device, "rx", state, "tx", state])
    assert done.returncode == 0, done.stderr


def kill(mmproxy):
    """It ends without a chance to clear anything away."""
    mmproxy.process.kill()
    mmproxy.process.wait()
    mmproxy.stopped_otherwise()


@pytest.fixture
def start_offloaded(pins, start_udp):
    def run(namespace, framing="every", top=None, **options):
        top = {**pins.settings, **(top or {})}
        return start_udp(namespace, framing, top=top, **options)

    return run


@pytest.fixture
def start_outside(path, start_offloaded):
    def run(framing="every", checksums="on", **options):
        set_checksums(path.server, "outside", checksums)
        set_checksums(path.balancer, "servers", checksums)
        listen = ["%s:%d" % OUTSIDE4, "[%s]:%d" % OUTSIDE6]
        return start_offloaded(path.server, framing, listen=listen, subnets="any", **options)

    return run
