# SPDX-License-Identifier: MIT
"""Addresses that no honest client has never reach the upstream, where they would pass for another:
a header that names 224.0.0.1 shows there as 127.0.0.1."""

import pytest

import headers
from headers import CLIENT4, mapped, v1, v2
from sessions import MMPROXY, send
from traffic import wait_until_ended

OWN4, OWN6 = "192.0.2.1", "2001:db8:5::1"

SPECIAL = {
    "0.0.0.0": "source-unspecified",
    "0.1.2.3": "source-unspecified",
    "127.0.0.1": "source-loopback",
    "127.8.8.8": "source-loopback",
    "224.0.0.1": "source-multicast",
    "239.1.2.3": "source-multicast",
    "255.255.255.255": "source-broadcast",
    "240.0.0.1": "source-reserved",
    "255.255.255.254": "source-reserved",
    "169.254.1.1": "source-link-local",
    OWN4: "source-own",
    "192.0.2.255": "source-broadcast",
    "::": "source-unspecified",
    "::1": "source-loopback",
    "ff02::1": "source-multicast",
    "ff0e::1": "source-multicast",
    "fe80::1": "source-link-local",
    "::127.0.0.1": "source-reserved",
    OWN6: "source-own",
    mapped("127.0.0.1"): "source-loopback",
    mapped("0.0.0.0"): "source-unspecified",
    mapped("224.0.0.1"): "source-multicast",
    mapped(OWN4): "source-own",
}

NEVER = ["0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255", "::", "ff02::1"]


@pytest.fixture
def guarded(host):
    """The host with an address of its own, on a subnet of its own."""
    host.add_interface(f"{OWN4}/24", f"{OWN6}/64")
    return host


def header_from(address, version):
    service = headers.SERVICE6 if ":" in address else headers.SERVICE4
    return (v1 if version == 1 else v2)((address, 41000), service)


def assert_refused(host, mmproxy, upstreams, header, reason):
    before = mmproxy.log_size()
    connection = send(host, header + b"payload")
    wait_until_ended(connection)
    line = mmproxy.wait_for_log("session: refused", after=before)
    assert line["reason"] == reason
    for upstream in upstreams:
        upstream.assert_untouched()
    return line


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_never_reaches_the_upstream(
    address, version, guarded, start_daemon, upstream, upstream6
):
    mmproxy = start_daemon(guarded)
    reason = SPECIAL[address]
    header = header_from(address, version)
    line = assert_refused(guarded, mmproxy, (upstream, upstream6), header, reason)
    # What can be opened says how.
    opens = reason not in ("source-unspecified", "source-multicast", "source-broadcast")
    assert ("permit_sources" in line.text) == opens
    mmproxy.assert_closed(reason)


def test_an_address_this_host_was_given_after_the_start_is_refused_as_well(
    host, start_daemon, upstream, upstream6
):
    mmproxy = start_daemon(host)
    host.add_interface(f"{OWN4}/24", f"{OWN6}/64")
    mmproxy.wait_until_idle()  # the kernel's notice has reached every worker
    for address in OWN4, OWN6:
        assert_refused(host, mmproxy, (upstream, upstream6), header_from(address, 2), "source-own")


def test_permit_sources_opens_loopback(host, start_daemon, upstream):
    start_daemon(host, permit_sources=["127.0.0.0/8"])
    send(host, v2(("127.8.8.8", 41000)))
    assert upstream.accept()[1] == ("127.8.8.8", 41000)


def test_permit_sources_opens_ipv6_loopback(host, start_daemon, upstream6):
    start_daemon(host, permit_sources=["::1"])
    send(host, v2(("::1", 41000)))
    assert upstream6.accept()[1] == ("::1", 41000)


def test_permit_sources_opens_the_hosts_own_address(guarded, start_daemon, upstream):
    start_daemon(guarded, permit_sources=[OWN4])
    guarded.connect(MMPROXY).sendall(v2((OWN4, 41000)))
    assert upstream.accept()[1] == (OWN4, 41000)


def test_permit_sources_opens_no_more_than_it_names(host, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(host, permit_sources=["127.0.0.0/16"])
    header = v2(("127.8.8.8", 41000))
    assert_refused(host, mmproxy, (upstream, upstream6), header, "source-loopback")


@pytest.mark.parametrize("address", NEVER)
def test_no_setting_opens_what_the_kernel_would_show_as_another_address(
    address, host, start_daemon, upstream, upstream6
):
    mmproxy = start_daemon(host, permit_sources=["0.0.0.0/0", "::/0"])
    header = header_from(address, 2)
    assert_refused(host, mmproxy, (upstream, upstream6), header, SPECIAL[address])


def test_the_policy_does_not_judge_the_balancers_own_address(guarded, start_daemon, upstream):
    start_daemon(guarded, listen=f"{OWN4}:8443", subnets=[OWN4])
    connection = guarded.connect((OWN4, 8443), source=(OWN4, 0))
    connection.sendall(headers.local())
    assert upstream.accept()[1] == connection.getsockname()


def test_an_ordinary_address_passes_beside_refused_ones(guarded, start_daemon, upstream, upstream6):
    mmproxy = start_daemon(guarded)
    header = header_from("224.0.0.1", 2)
    assert_refused(guarded, mmproxy, (upstream, upstream6), header, "source-multicast")
    guarded.connect(MMPROXY).sendall(v2(CLIENT4))
    assert upstream.accept()[1] == CLIENT4
