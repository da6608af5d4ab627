# SPDX-License-Identifier: MIT
"""UDP between real programs: client, balancer, server are three machines."""

import re
import socket
import struct

import pytest

from peers import Dnsdist, Dnsmasq, Iperf, UdpForwarder
from settings import configuration, listener, udp_listener
from traffic import read_exactly
from udp import framings, text
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams
from waiting import wait_until

BOTH = [socket.AF_INET, socket.AF_INET6]
families = pytest.mark.parametrize("family", BOTH, ids=["ipv4", "ipv6"])
hops = pytest.mark.parametrize("hop", BOTH, ids=["over_ipv4", "over_ipv6"])

LISTEN = "*:8443"


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def server_address(path, hop):
    """mmproxy, as the balancer's configuration names it."""
    return f"{bracketed(path.SERVER4 if hop == socket.AF_INET else path.SERVER6)}:8443"


def own_and_front(path, family):
    """The client's address, and the balancer's where clients find it."""
    if family == socket.AF_INET:
        return path.CLIENT4, path.FRONT4
    return path.CLIENT6, path.FRONT6


def client_socket(path, family, port, kind=socket.SOCK_DGRAM):
    """A client's socket that speaks to the balancer."""
    own, front = own_and_front(path, family)
    made = path.client.socket(family, kind)
    made.settimeout(10)
    made.bind((own, 0))
    made.connect((front, port))
    return made


# A forwarder.


@framings
@families
@hops
def test_a_forwarder_brings_the_clients_address_and_port(
    hop, family, framing, path, start, start_udp
):
    upstream = Datagrams(path.server, UPSTREAM4 if family == socket.AF_INET else UPSTREAM6)
    start_udp(path.server, framing, listen=LISTEN, subnets=[path.BALANCER4, path.BALANCER6])
    _, front = own_and_front(path, family)
    server = server_address(path, hop)
    start(UdpForwarder(path.balancer, (bracketed(front), 9000), server, framing))
    clients = [client_socket(path, family, 9000) for _ in range(3)]
    for _ in range(3):
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
            assert upstream.receive() == (b"%d" % number, client.getsockname()[:2])
        for number, client in enumerate(clients):
            upstream.send(b"%d" % number, client.getsockname())
        assert [client.recv(100) for client in clients] == [b"0", b"1", b"2"]


def test_a_forwarder_with_one_socket_for_all_clients(path, start, start_udp):
    upstream = Datagrams(path.server)
    start_udp(path.server, "spp", listen=LISTEN, subnets=[path.BALANCER4])
    server = server_address(path, socket.AF_INET)
    start(UdpForwarder(path.balancer, (path.FRONT4, 9000), server, "spp", "--shared"))
    clients = [client_socket(path, socket.AF_INET, 9000) for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
        assert upstream.receive() == (b"%d" % number, client.getsockname())
    for number, client in reversed(list(enumerate(clients))):
        upstream.send(b"%d" % number, client.getsockname())
    assert [client.recv(100) for client in clients] == [b"%d" % n for n in range(20)]


# What iperf says at the end: kbit/s received, datagrams lost, datagrams in all.
RECEIVED = re.compile(r"([\d.]+) Kbits/sec\s+[\d.]+ ms\s+(\d+)/(\d+)")


def run_iperf(path, family, *options):
    """An iperf client that is offered, or offers, 10 Gbit/s."""
    own, front = own_and_front(path, family)
    command = ["iperf", "-u", "-c", front, "-B", own, "-l", "1400", "-b", "10g", "-f", "k"]
    if family == socket.AF_INET6:
        command.append("-V")
    done = path.client.run([*command, *options])
    assert done.returncode == 0, done.stdout + done.stderr
    port = re.search(rf"local {own} port (\d+) connected", done.stdout)
    assert port, done.stdout + done.stderr
    return done.stdout, (own, int(port.group(1)))


def assert_consistent(mmproxy, clients):
    """What the flows say of themselves at their end is what all of them are said to have moved."""
    mmproxy.terminate()
    assert mmproxy.wait_until_ended() == 0
    totals = mmproxy.log_lines("daemon: counters")[-1]
    lines = mmproxy.log_lines("session: closed")
    assert {line["client"] for line in lines} == {text(client) for client in clients}
    for field in (
        "datagrams_from_client",
        "datagrams_from_upstream",
        "bytes_from_client",
        "bytes_from_upstream",
    ):
        assert sum(int(line[field]) for line in lines) == int(totals[field])
    assert int(totals["sessions_accepted"]) == int(totals["sessions_relayed"]) == len(clients)
    assert not mmproxy.log_lines(" (error|warning) session:")


@pytest.mark.parametrize(
    "framing, family",
    [("every", socket.AF_INET), ("spp", socket.AF_INET6)],
    ids=["every_ipv4", "spp_ipv6"],
)
def test_iperf_at_full_speed_in_either_direction(family, framing, path, start, start_udp):
    """More than anyone can forward: datagrams may be lost, and nothing else may go wrong."""
    loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
    iperf = start(Iperf(path.server, loopback))
    mmproxy = start_udp(
        path.server,
        framing,
        listen=LISTEN,
        subnets=[path.BALANCER4, path.BALANCER6],
        forward={"ipv4": "127.0.0.1:5001", "ipv6": "[::1]:5001"},
        top={"log": {"level": "info"}},
    )
    _, front = own_and_front(path, family)
    listen = (bracketed(front), 5001)
    start(UdpForwarder(path.balancer, listen, server_address(path, family), framing))

    said, reverse = run_iperf(path, family, "-t", "2", "-R")
    rate, lost, total = RECEIVED.findall(said)[-1]
    assert float(rate) > 1000
    assert 0 < int(total) - int(lost) <= mmproxy.counters()["datagrams_from_upstream"]

    _, forward = run_iperf(path, family, "-t", "1")
    wait_until(lambda: RECEIVED.search(iperf.output()), 10, lambda: f"a report: {iperf.output()}")
    rate, lost, total = RECEIVED.findall(iperf.output())[-1]
    assert float(rate) > 1000
    assert 0 < int(total) - int(lost) <= mmproxy.counters()["datagrams_from_client"]

    for client in reverse, forward:
        assert f"connected with {client[0]} port {client[1]}" in iperf.output()
    assert_consistent(mmproxy, [reverse, forward])


# DNS.


def dns_query(name, identity):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    header = struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0)
    return header + labels + struct.pack("!BHH", 0, 1, 1)


def ask(connection, identity):
    """Asks for the one name's address, and holds the answer to it."""
    question = dns_query(Dnsmasq.NAME, identity)
    if connection.type == socket.SOCK_DGRAM:
        connection.send(question)
        answered = connection.recv(1000)
    else:
        connection.sendall(struct.pack("!H", len(question)) + question)
        (length,) = struct.unpack("!H", read_exactly(connection, 2))
        answered = read_exactly(connection, length)
    assert struct.unpack("!H", answered[:2])[0] == identity
    assert socket.inet_aton(Dnsmasq.ADDRESS4) in answered


@pytest.fixture
def dns(path, start, start_daemon):
    """dnsdist, mmproxy with a TCP and a UDP listener on one port, dnsmasq."""

    def run(hop):
        server = start(Dnsmasq(path.server))
        common = {
            "listen": LISTEN,
            "subnets": [path.BALANCER4, path.BALANCER6],
            "forward": {"ipv4": "127.0.0.1:53", "ipv6": "[::1]:53"},
        }
        mmproxy = start_daemon(
            path.server,
            config=configuration(
                listener("dns-tcp", **common),
                udp_listener("dns-udp", **common),
                drain_timeout=0,
            ),
        )
        fronts = [path.FRONT4, f"[{path.FRONT6}]"]
        start(Dnsdist(path.balancer, fronts, server_address(path, hop)))
        return mmproxy, server

    return run


@hops
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_dnsdist_brings_the_clients_address_and_port(kind, hop, path, dns):
    mmproxy, server = dns(hop)
    for family in BOTH:
        clients = [client_socket(path, family, 53, kind) for _ in range(3)]
        for number in range(2):
            for client in clients:
                ask(client, client.fileno() + 100 * number)
        for client in clients:
            address, port = client.getsockname()[:2]
            pattern = rf" {address}/{port} query\[A\] {Dnsmasq.NAME} from {address}"
            wait_until(
                lambda: len(re.findall(pattern, server.output())) == 2,
                10,
                lambda: f"/{pattern}/ is there twice:\n{server.output()}",
            )
    assert not mmproxy.log_lines("session: (refused|failed)")


def test_dnsdists_health_checks_come_from_its_own_address(path, dns):
    """It sends LOCAL headers; whether the server is up, it has asked before anyone else."""
    mmproxy, server = dns(socket.AF_INET)
    pattern = rf" {path.BALANCER4}/\d+ query\[A\] a\.root-servers\.net from {path.BALANCER4}"
    wait_until(
        lambda: len(re.findall(pattern, server.output())) >= 2,
        10,
        lambda: f"/{pattern}/ is there twice:\n{server.output()}",
    )
    assert mmproxy.counters()["headers_local"] >= 1
    ask(client_socket(path, socket.AF_INET, 53), 7)


def test_many_clients_of_dnsdist_at_once_are_told_apart(path, dns):
    """dnsdist has one socket for all of them."""
    mmproxy, server = dns(socket.AF_INET)
    clients = [client_socket(path, family, 53) for family in BOTH for _ in range(100)]
    for number, client in enumerate(clients):
        client.send(dns_query(Dnsmasq.NAME, number))
    for number, client in enumerate(clients):
        assert struct.unpack("!H", client.recv(1000)[:2])[0] == number
    seen = set(re.findall(r" (\S+)/(\d+) query\[A\] www", server.output()))
    assert seen == {(client.getsockname()[0], str(client.getsockname()[1])) for client in clients}
    assert not mmproxy.log_lines("session: (refused|failed)")
