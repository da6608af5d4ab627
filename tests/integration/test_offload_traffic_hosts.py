# SPDX-License-Identifier: MIT
"""The kernel carries sessions on hosts that filter, track and translate connections, check where packets
come from, have more than one interface, or more than one mmproxy.
"""

import pytest

from offload_hosts import HOST4, LINK4, LINK6, PORT, Behind, Loopback, run_churn

pytest_plugins = ["offload_hosts"]

# run_churn() may take several rounds.
pytestmark = pytest.mark.deadline(300)

families = pytest.mark.parametrize("family", [4, 6])
kinds = pytest.mark.parametrize("kind", [Loopback, Behind])


@pytest.mark.parametrize("where", ["all", "lo"])
def test_sources_are_checked_strictly(where, place, start_offload):
    host = place(Behind)
    for name in {"all", "default", "lo", "wire0"} if where == "all" else {"lo"}:
        host.host.sysctl(f"net.ipv4.conf.{name}.rp_filter", 1)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, 4, count=200, seed=101, share=0.5)


# As on a host that lets nothing in but what it has asked for, and the balancers.
FIREWALL = """\
table inet firewall {
 counter refused { }
 chain in {
  type filter hook input priority filter; policy drop;
  ct state established,related accept
  tcp dport { %d, 443 } ct state new accept
  meta l4proto ipv6-icmp accept
  ct state invalid counter name refused drop
  counter name refused
 }
 chain out {
  type filter hook output priority filter; policy accept;
  ct state invalid counter name refused drop
 }
}
""" % PORT

# Rules that no packet here is meant for; but each connection has a place in the table.
TRANSLATION = """\
table ip translation {
 chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :80; }
 chain post { type nat hook postrouting priority srcnat; ip saddr 10.99.0.0/16 masquerade; }
}
table ip6 translation {
 chain post { type nat hook postrouting priority srcnat; ip6 saddr fd99::/64 masquerade; }
}
"""


@families
@kinds
def test_connections_are_tracked_and_filtered(kind, family, place, start_offload):
    host = place(kind)
    host.host.nft(FIREWALL + TRANSLATION)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, family, count=300, seed=111, share=0.4)


@families
@kinds
def test_filters_come_when_sessions_are_carried_already(kind, family, place, start_offload):
    """Connection tracking begins in the middle: nobody is cut off."""
    host = place(kind)
    mmproxy = start_offload(host.host, **host.listener())
    run_churn(host, mmproxy, family, count=60, seed=121)
    host.host.nft(FIREWALL + TRANSLATION)
    run_churn(host, mmproxy, family, count=60, seed=122)


class Two(Behind):
    """Two cables: balancers come by the second one, and the way back to them is the first."""

    to = {4: LINK4 % 11, 6: LINK6 % 11}

    def _between(self):
        super()._between()
        self.cable(self.host, self.balancer, "wire1", 11, 12, alone=True)
        for one, there in (self.host, 12), (self.balancer, 11):
            one.ip(f"route add {LINK4 % there}/32 dev wire1\n")
            one.ip(f"route add {LINK6 % there}/128 dev wire1\n", "-6")
        # Who asks by the wrong cable gets no answer.
        self.balancer.sysctl("net.ipv4.conf.all.arp_ignore", 1)


@families
def test_answers_leave_by_another_interface(family, place, start_offload):
    """Only the host's routes know by which; sessions stay with who follows them."""
    host = place(Two)
    for namespace in host.host, host.balancer:
        for name in "all", "wire0", "wire1":
            namespace.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
    mmproxy = start_offload(host.host, **host.listener())
    counters = run_churn(
        host, mmproxy, family, count=100, seed=131, share=0.4, of="offload_stayed_route"
    )
    assert counters["offloaded"] == 0


@kinds
def test_two_mmproxys_share_a_host(kind, place, start_offload, pins):
    """Each with programs and tables of its own. The same clients come by one right after the other, while
    that one still leads on what is late."""
    host = place(kind)
    first = start_offload(host.host, **host.listener())
    second = start_offload(
        host.host, directory=pins.another("second"), **host.listener(listen=f"*:{PORT + 1}")
    )
    run_churn(host, first, 4, count=150, seed=141)
    changed = host.churn(4)["to"].replace(f":{PORT}", f":{PORT + 1}")
    run_churn(host, second, 4, count=150, seed=142, to=changed)
    run_churn(host, first, 4, count=150, seed=143)
