# SPDX-License-Identifier: MIT
"""The examples of etc/fronts as they stand there: all load, and HAProxy, nginx and dnsdist run with
theirs. The namespaces have the addresses that the examples name, and no return path: the examples
say that mmproxy is to make one."""

import re
import socket
import ssl
import tomllib

import pytest

import daemon
import fronts
import network
from headers import v1, v2_udp
from peers import Dnsmasq, certificate
from settings import configuration, udp_listener
from test_udp_balancers import ask, client_socket
from traffic import read_exactly, wait_until_ended
from upstreams import UPSTREAM4, UPSTREAM6, Datagrams, Server, report_peer
from waiting import wait_until

BOTH = [socket.AF_INET, socket.AF_INET6]
families = pytest.mark.parametrize("family", BOTH, ids=["ipv4", "ipv6"])

# An address that no example allows.
STRANGER = "198.51.100.99"


@pytest.fixture
def path():
    made = network.Path(return_path=False)
    yield made
    made.destroy()


@pytest.fixture
def start_front(path, start_daemon):
    def run(name):
        return start_daemon(path.server, arguments=["--config", str(fronts.config(name))])

    return run


def connect(path, family):
    own, front = (
        (path.CLIENT4, path.FRONT4) if family == socket.AF_INET else (path.CLIENT6, path.FRONT6)
    )
    return path.client.connect((front, 443), source=(own, 0))


def assert_upstream_sees(connection):
    expected = "peer %s %d\n" % connection.getsockname()[:2]
    assert read_exactly(connection, len(expected)).decode() == expected


def assert_stranger_refused(path, mmproxy, port):
    path.balancer.ip(f"addr add {STRANGER}/24 dev servers")
    connection = path.balancer.connect((path.SERVER4, port), source=(STRANGER, 0))
    connection.sendall(v1(("203.0.113.9", 41000)))
    wait_until_ended(connection)
    line = mmproxy.wait_for_log(f"session: refused .*balancer={STRANGER}:")
    assert line["reason"] == "balancer-not-allowed"


# All of them.


@pytest.mark.parametrize("name", fronts.NAMES)
def test_an_example_loads_as_it_stands(name, bare):
    done = bare.run([daemon.binary(), "--check", "--config", str(fronts.config(name))])
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.fullmatch(r"configuration is sound: \d listeners?\n", done.stdout)


def test_there_is_no_other_example():
    """The folder has mmproxy's halves, those of balancers, lists, and the script."""
    others = {"haproxy.cfg", "nginx-stream.conf", "dnsdist.lua", "frps.toml", "frpc.toml"}
    others |= {"cloudflare-ranges", "tcpshield-ranges", "refresh-ranges"}
    found = {file.name for file in fronts.FOLDER.iterdir()}
    assert found == others | {f"{name}.conf" for name in fronts.NAMES}


# HAProxy. Its example is for a server that speaks TLS: that is what it checks.


class TlsServer:
    """Tells each client by TLS whom it sees; checks only shake hands."""

    def __init__(self, namespace, directory):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(directory))

        def serve(connection, peer):
            with context.wrap_socket(connection, server_side=True) as secured:
                report_peer(secured, peer)

        self.servers = [Server(namespace, serve, address) for address in (UPSTREAM4, UPSTREAM6)]

    def close(self):
        for server in self.servers:
            server.close()


@pytest.fixture
def tls_server(path, tmp_path):
    made = TlsServer(path.server, tmp_path)
    yield made
    made.close()


@families
def test_behind_haproxy_the_server_sees_the_client(family, path, start, start_front, tls_server):
    mmproxy = start_front("haproxy")
    start(fronts.HAProxy(path.balancer))
    trusting = ssl._create_unverified_context()
    for _ in range(3):
        assert_upstream_sees(trusting.wrap_socket(connect(path, family)))
    assert not mmproxy.log_lines(" (error|warning) session:")


def test_haproxys_checks_are_those_of_the_server(path, start, start_front, tls_server):
    """They come from HAProxy's own address, and fail when the server does, though mmproxy lives."""
    mmproxy = start_front("haproxy")
    haproxy = start(fronts.HAProxy(path.balancer))
    assert tls_server.servers[0].next_peer()[0] == path.BALANCER4
    assert mmproxy.counters()["headers_local"] >= 1
    tls_server.close()
    wait_until(lambda: "mmproxy is DOWN" in haproxy.output(), 40, haproxy.output)


def test_haproxys_plain_checks_disturb_nobody(path, start, start_front):
    """It resets them behind the header, whether there is a server or not."""
    mmproxy = start_front("haproxy")
    haproxy = fronts.HAProxy(path.balancer)
    example = (fronts.FOLDER / "haproxy.cfg").read_text()
    haproxy.example = haproxy.write(
        "haproxy.cfg", example.replace(" inter 5s check-ssl verify none", " inter 100ms")
    )
    server = Server(path.server, report_peer, UPSTREAM4)
    start(haproxy)
    mmproxy.wait_for_counter("sessions_closed_check_left", 3)
    assert not mmproxy.log_lines(" (error|warning) session:")
    server.close()
    assert "DOWN" not in haproxy.output()


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_another_peer_than_the_balancer_is_refused(name, path, start_front, upstreams):
    mmproxy = start_front(name)
    assert_stranger_refused(path, mmproxy, 8443)
    assert all(server.peers.empty() for server in upstreams)


# nginx.


@families
def test_behind_nginx_the_server_sees_the_client(family, path, start, start_front, upstreams):
    mmproxy = start_front("nginx")
    start(fronts.Nginx(path.balancer))
    for _ in range(3):
        assert_upstream_sees(connect(path, family))
    assert not mmproxy.log_lines(" (error|warning) session:")


def test_nginxs_header_in_a_datagram_is_refused(path, start, start_daemon):
    """It knows version 1 alone, and sends that over UDP as well, where it means nothing."""
    upstream = Datagrams(path.server)
    listener = udp_listener(listen="*:8443", subnets=[path.BALANCER4])
    mmproxy = start_daemon(path.server, config=configuration(listener, drain_timeout=0))
    nginx = fronts.Nginx(path.balancer)
    example = (fronts.FOLDER / "nginx-stream.conf").read_text()
    example = example.replace("listen 443;", "listen 443 udp;")
    example = example.replace("listen [::]:443 ipv6only=on;", "")
    example = example.replace("proxy_half_close on;", "")
    nginx.example = nginx.write("stream.conf", example)
    nginx.protocols = ["udp"]
    start(nginx)
    client = client_socket(path, socket.AF_INET, 443)
    client.send(b"question")
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "transport-mismatch"
    assert line["first_bytes"].startswith("PROXY TCP4 ")
    upstream.assert_untouched()


# dnsdist.


@pytest.fixture
def dns(path, start, start_front):
    server = start(Dnsmasq(path.server))
    mmproxy = start_front("dnsdist")
    start(fronts.Dnsdist(path.balancer))
    return mmproxy, server


@families
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_behind_dnsdist_the_name_server_sees_the_client(kind, family, path, dns):
    mmproxy, server = dns
    clients = [client_socket(path, family, 53, kind) for _ in range(3)]
    for number, client in enumerate(clients):
        ask(client, number)
    for client in clients:
        address, port = client.getsockname()[:2]
        wait_until(
            lambda: f" {address}/{port} query[A] {Dnsmasq.NAME} from {address}" in server.output(),
            10,
            lambda: f"a query from {address} port {port}:\n{server.output()}",
        )
    assert not mmproxy.log_lines(" (error|warning) session:")


def test_dnsdists_checks_reach_the_name_server(path, dns):
    mmproxy, server = dns
    assert re.search(rf" {path.BALANCER4}/\d+ query\[A\] a\.root-servers\.net", server.output())
    assert mmproxy.counters()["headers_local"] >= 1


def test_another_peer_than_dnsdist_is_refused_over_either_protocol(path, start_front):
    upstream = Datagrams(path.server, ("127.0.0.1", 53))
    mmproxy = start_front("dnsdist")
    assert_stranger_refused(path, mmproxy, 8053)
    client = path.balancer.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind((STRANGER, 0))
    client.sendto(v2_udp(("203.0.113.9", 41000)) + b"question", (path.SERVER4, 8053))
    line = mmproxy.wait_for_log("session: refused .*listener=dns-udp")
    assert line["reason"] == "balancer-not-allowed"
    upstream.assert_untouched()


# frp, whose halves have to fit, as they cannot run here.


def test_frps_halves_fit_each_other_and_mmproxys():
    server = tomllib.loads((fronts.FOLDER / "frps.toml").read_text())
    client = tomllib.loads((fronts.FOLDER / "frpc.toml").read_text())
    assert client["serverPort"] == server["bindPort"]
    assert client["auth"] == server["auth"]
    ours = fronts.config("frp").read_text()
    for proxy in client["proxies"]:
        assert f'listen = "{proxy["localIP"]}:{proxy["localPort"]}";' in ours
        assert f'name = "{proxy["name"]}";' in ours
        assert proxy["transport"]["proxyProtocolVersion"] == "v2"
    assert [proxy["type"] for proxy in client["proxies"]] == ["tcp", "udp"]
