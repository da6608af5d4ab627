# SPDX-License-Identifier: MIT
"""The examples of etc/fronts for what cannot run here: the bytes that Spectrum, NLB, Google's load
balancers, TCPShield and frp send come from an address of theirs, and the server sees the client.
Where the bytes come from: fronts.py."""

import socket

import pytest

import fronts
from fronts import GCP_CHECK, GCP_V1, NLB_CHECK, SPECTRUM_V1, minecraft_login, nlb_header
from headers import SPP_MAGIC, mapped, spp, v2, v2_udp, with_crc32c
from network import family_of
from test_fronts import STRANGER, assert_stranger_refused, path, start_front
from traffic import read_exactly, read_to_end
from upstreams import Datagrams, Listener

CLIENTS = [("203.0.113.9", 41000), ("2001:db8:c::9", 41006)]
clients = pytest.mark.parametrize("client", CLIENTS, ids=["ipv4", "ipv6"])


def addressed(path, peer):
    """Gives the balancer one of a front's addresses."""
    prefix = f"{peer}/128 nodad" if ":" in peer else f"{peer}/32"
    path.balancer.ip(f"addr add {prefix} dev servers")
    return peer


def server_address(path, peer, port):
    return (path.SERVER6 if ":" in peer else path.SERVER4, port)


class Services:
    """The upstreams of a TCP listener, for either family."""

    def __init__(self, namespace, port):
        self.listeners = {
            family_of(address): Listener(namespace, (address, port))
            for address in ("127.0.0.1", "::1")
        }

    def assert_sees(self, connection, client, header, payload=b"hello"):
        """What is sent behind the header arrives from the client, unchanged, and is answered."""
        connection.sendall(header + payload)
        accepted, peer = self.listeners[family_of(client[0])].accept()
        assert peer == client
        assert read_exactly(accepted, len(payload)) == payload
        accepted.sendall(b"answer")
        assert read_exactly(connection, 6) == b"answer"
        connection.close()
        assert read_to_end(accepted)[0] == b""
        accepted.close()

    def assert_untouched(self):
        for listener in self.listeners.values():
            listener.assert_untouched()


class DatagramServices:
    """The same for UDP."""

    def __init__(self, namespace, port):
        self.sockets = {
            family_of(address): Datagrams(namespace, (address, port))
            for address in ("127.0.0.1", "::1")
        }

    def assert_sees(self, sender, client, datagram, payload, answer_header=b""):
        upstream = self.sockets[family_of(client[0])]
        sender.send(datagram)
        assert upstream.receive() == (payload, client)
        upstream.send(b"answer", client)
        assert sender.recv(1000) == answer_header + b"answer"

    def assert_untouched(self):
        for upstream in self.sockets.values():
            upstream.assert_untouched()


def sender_of(namespace, source, to):
    made = namespace.socket(family_of(source), socket.SOCK_DGRAM)
    made.settimeout(10)
    made.bind((source, 0))
    made.connect(to)
    return made


def assert_stranger_refused_over_udp(path, mmproxy, port, datagram):
    # The address is there: a stranger over TCP has been refused already.
    sender_of(path.balancer, STRANGER, (path.SERVER4, port)).send(datagram)
    line = mmproxy.wait_for_log(f"session: refused listener=voice .*balancer={STRANGER}:")
    assert line["reason"] == "balancer-not-allowed"


# Cloudflare Spectrum: an address of theirs for IPv4 and one for IPv6.

SPECTRUM = ["172.64.10.20", "2400:cb00:1::14"]
spectrums = pytest.mark.parametrize("peer", SPECTRUM, ids=["from_ipv4", "from_ipv6"])


@spectrums
@pytest.mark.parametrize("client", SPECTRUM_V1, ids=["ipv4", "ipv6"])
def test_spectrum_v1(client, peer, path, start_front):
    services = Services(path.server, 22)
    start_front("cloudflare-spectrum")
    source = (addressed(path, peer), 0)
    connection = path.balancer.connect(server_address(path, peer, 2222), source=source)
    services.assert_sees(connection, client, SPECTRUM_V1[client])


@spectrums
@clients
def test_spectrum_v2(client, peer, path, start_front):
    services = Services(path.server, 22)
    start_front("cloudflare-spectrum")
    source = (addressed(path, peer), 0)
    connection = path.balancer.connect(server_address(path, peer, 2222), source=source)
    services.assert_sees(connection, client, v2(client))


@spectrums
@clients
def test_spectrum_simple_proxy_protocol(client, peer, path, start_front):
    services = DatagramServices(path.server, 9987)
    start_front("cloudflare-spectrum")
    sender = sender_of(path.balancer, addressed(path, peer), server_address(path, peer, 19987))
    header = spp(client)
    assert header[:2] == SPP_MAGIC and len(header) == 38
    for payload in b"one", b"two":
        services.assert_sees(sender, client, header + payload, payload, answer_header=header)


@spectrums
@clients
def test_spectrum_v2_over_udp(client, peer, path, start_daemon):
    """With the one word that the example says to change. The header may come alone."""
    copy = fronts.Copy("cloudflare-ranges")
    text = fronts.config("cloudflare-spectrum").read_text()
    changed = copy / "mmproxy.conf"
    changed.write_text(text.replace('framing = "spp"', 'framing = "first"'))
    assert changed.read_text() != text
    services = DatagramServices(path.server, 9987)
    mmproxy = start_daemon(path.server, arguments=["--config", str(changed)])
    addressed(path, peer)
    together, alone = (
        sender_of(path.balancer, peer, server_address(path, peer, 19987)) for _ in range(2)
    )
    services.assert_sees(together, client, v2_udp(client) + b"one", b"one")
    services.assert_sees(together, client, b"two", b"two")
    other = (client[0], client[1] + 1)
    alone.send(v2_udp(other))
    services.assert_sees(alone, other, b"one", b"one")
    mmproxy.stop()
    copy.remove()


def test_spectrum_alone(path, start_front):
    services, datagrams = Services(path.server, 22), DatagramServices(path.server, 9987)
    mmproxy = start_front("cloudflare-spectrum")
    assert_stranger_refused(path, mmproxy, 2222)
    assert_stranger_refused_over_udp(path, mmproxy, 19987, spp(CLIENTS[0]) + b"question")
    services.assert_untouched()
    datagrams.assert_untouched()


# AWS NLB.

NLB = "10.0.1.10"


@clients
def test_nlb_with_an_endpoints_id(client, path, start_front):
    services = Services(path.server, 443)
    start_front("aws-nlb")
    connection = path.balancer.connect(
        (path.SERVER4, 8443), source=(addressed(path, NLB), 0)
    )
    services.assert_sees(connection, client, nlb_header(client))


def test_nlbs_recorded_health_check(path, start_front):
    """It names no client: the server sees the load balancer. Its checksum is that of its bytes."""
    assert with_crc32c(NLB_CHECK[:19] + bytes(4) + NLB_CHECK[23:], 19) == NLB_CHECK
    services = Services(path.server, 443)
    mmproxy = start_front("aws-nlb")
    connection = path.balancer.connect((path.SERVER4, 8443), source=(addressed(path, NLB), 0))
    services.assert_sees(connection, connection.getsockname(), NLB_CHECK, b"GET / HTTP/1.0\r\n\r\n")
    assert mmproxy.counters()["headers_local"] == 1


def test_nlb_that_holds_its_header_back(path, start_daemon):
    """Where the server speaks first, NLB and mmproxy wait for each other; the log says so."""
    text = fronts.config("aws-nlb").read_text()
    mmproxy = start_daemon(
        path.server, config=text.replace("listen =", "header_timeout = 0.2;\n\t\tlisten =")
    )
    connection = path.balancer.connect((path.SERVER4, 8443), source=(addressed(path, NLB), 0))
    assert read_to_end(connection)[0] == b""
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "header-timeout-empty"
    assert "NLB holds the header until the client speaks" in line["hint"]


# Google Cloud.

GCP = ["35.191.8.9", "130.211.1.7"]
googles = pytest.mark.parametrize("peer", GCP)


@googles
@pytest.mark.parametrize("client", [*GCP_V1, CLIENTS[1]], ids=["ipv4", "ipv6"])
def test_gcp_v1(client, peer, path, start_front):
    services = Services(path.server, 443)
    start_front("gcp")
    connection = path.balancer.connect((path.SERVER4, 8443), source=(addressed(path, peer), 0))
    header = GCP_V1.get(client) or b"PROXY TCP6 %s 2001:db8:5::1 %d 110\r\n" % (
        client[0].encode(),
        client[1],
    )
    services.assert_sees(connection, client, header)


@googles
def test_gcps_health_check(peer, path, start_front):
    services = Services(path.server, 443)
    mmproxy = start_front("gcp")
    connection = path.balancer.connect((path.SERVER4, 8443), source=(addressed(path, peer), 0))
    services.assert_sees(connection, connection.getsockname(), GCP_CHECK)
    assert mmproxy.counters()["headers_local"] == 1


# TCPShield, in front of a Minecraft server.


@pytest.mark.parametrize("peer", ["198.178.119.50", "104.234.6.20"])
def test_tcpshield_and_a_player_who_logs_in(peer, path, start_front):
    minecraft = Services(path.server, 25565)
    start_front("tcpshield")
    connection = path.balancer.connect((path.SERVER4, 25566), source=(addressed(path, peer), 0))
    login = minecraft_login()
    assert login.startswith(b"\x15\x00\xfd\x05\x0emc.example.com\x63\xdd\x02\x17\x00\x05Steve")
    minecraft.assert_sees(connection, CLIENTS[0], v2(CLIENTS[0]), login)


@pytest.mark.parametrize(
    "name, port, behind", [("aws-nlb", 8443, 443), ("gcp", 8443, 443), ("tcpshield", 25566, 25565)]
)
def test_another_peer_than_the_front_is_refused(name, port, behind, path, start_front):
    services = Services(path.server, behind)
    assert_stranger_refused(path, start_front(name), port)
    services.assert_untouched()


# frp, whose frpc runs on the server's host.


@clients
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_frp_over_tcp(version, client, path, start_front):
    services = Services(path.server, 443)
    start_front("frp")
    service = (path.FRONT6 if ":" in client[0] else path.FRONT4, 443)
    family = "TCP6" if ":" in client[0] else "TCP4"
    line = f"PROXY {family} {client[0]} {service[0]} {client[1]} {service[1]}\r\n".encode()
    header = line if version == "v1" else v2(client, service)
    connection = path.server.connect(("127.0.0.1", 8443))
    services.assert_sees(connection, client, header)


@clients
def test_frp_over_udp(client, path, start_front):
    """A socket for each client, which is another one after thirty seconds of silence."""
    services = DatagramServices(path.server, 9987)
    start_front("frp")
    local = "127.0.0.1" if ":" not in client[0] else mapped("127.0.0.1")
    header = v2_udp(client, (local, 19987))
    for _ in range(2):
        frpc = sender_of(path.server, "127.0.0.1", ("127.0.0.1", 19987))
        services.assert_sees(frpc, client, header + b"one", b"one")
        services.assert_sees(frpc, client, b"two", b"two")


def test_frp_of_old_over_udp(path, start_daemon):
    """0.63 to 0.65 put the header on each datagram: one word of the example is another then."""
    client = CLIENTS[0]
    text = fronts.config("frp").read_text()
    changed = text.replace('framing = "first"', 'framing = "every"')
    assert changed != text
    services = DatagramServices(path.server, 9987)
    start_daemon(path.server, config=changed)
    frpc = sender_of(path.server, "127.0.0.1", ("127.0.0.1", 19987))
    for payload in b"one", b"two":
        datagram = v2_udp(client, ("127.0.0.1", 19987)) + payload
        services.assert_sees(frpc, client, datagram, payload)


def test_only_this_hosts_frpc_gets_through(path, start_front):
    services = Services(path.server, 443)
    mmproxy = start_front("frp")
    with pytest.raises(ConnectionRefusedError):
        path.balancer.connect((path.SERVER4, 8443))
    connection = path.server.connect(("127.0.0.1", 8443), source=("127.0.0.2", 0))
    connection.sendall(v2(CLIENTS[0]))
    assert mmproxy.wait_for_log("session: refused")["reason"] == "balancer-not-allowed"
    services.assert_untouched()
