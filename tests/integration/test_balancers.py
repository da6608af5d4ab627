# SPDX-License-Identifier: MIT
"""Real balancers in front, real upstreams behind: client, balancer, server are three machines."""

import hashlib
import os
import re
import socket
import ssl

import pytest

from peers import HAProxy, Nginx, Sshd, certificate
from traffic import EOF, Background, hash_to_end, read_exactly, read_to_end, send_and_finish
from upstreams import UPSTREAM4, Listener, Server, echo
from waiting import wait_until

UNIQUE_ID = "unique-id-format %[uuid()]"

HAPROXY_KINDS = {
    "send_proxy": ("send-proxy", ""),
    "send_proxy_v2": ("send-proxy-v2", ""),
    "send_proxy_v2_crc32c": ("send-proxy-v2 proxy-v2-options crc32c", ""),
    "send_proxy_v2_crc32c_unique_id": (
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
        UNIQUE_ID,
    ),
    "send_proxy_v2_authority_and_more": (
        "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c",
        "",
    ),
}

BOTH = [socket.AF_INET, socket.AF_INET6]
families = pytest.mark.parametrize("family", BOTH, ids=["ipv4", "ipv6"])
hops = pytest.mark.parametrize("hop", BOTH, ids=["over_ipv4", "over_ipv6"])


@pytest.fixture
def mmproxy(path, start_daemon):
    return start_daemon(
        path.server,
        listen=["0.0.0.0:8443", "[::]:8443"],
        subnets=[path.BALANCER4, path.BALANCER6],
    )


def connect(path, family, port=9000):
    """A client's connection to the balancer."""
    if family == socket.AF_INET:
        return path.client.connect((path.FRONT4, port), source=(path.CLIENT4, 0))
    return path.client.connect((path.FRONT6, port), source=(path.CLIENT6, 0))


def server_address(path, hop):
    """mmproxy, as the balancer's configuration names it."""
    return f"{path.SERVER4}:8443" if hop == socket.AF_INET else f"[{path.SERVER6}]:8443"


def report_of(connection, own=None):
    """What the upstream says it saw, and what it should have seen."""
    own = own or connection.getsockname()
    expected = f"peer {own[0]} {own[1]}\n".encode()
    return read_exactly(connection, len(expected)), expected


@families
@hops
@pytest.mark.parametrize("kind", HAPROXY_KINDS)
def test_haproxy_brings_the_clients_address_and_port(
    kind, hop, family, path, start, mmproxy, upstreams
):
    options, frontend = HAPROXY_KINDS[kind]
    start(HAProxy(path.balancer, server_address(path, hop), options, frontend=frontend))
    seen, expected = report_of(connect(path, family))
    assert seen == expected


@families
@hops
def test_nginx_brings_the_clients_address_and_port(hop, family, path, start, mmproxy, upstreams):
    start(Nginx(path.balancer, server_address(path, hop)))
    seen, expected = report_of(connect(path, family))
    assert seen == expected


@families
@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_haproxy_on_one_socket_for_both_families(options, family, path, start, mmproxy, upstreams):
    # It then writes IPv4 clients as ::ffff:a.b.c.d.
    server = server_address(path, socket.AF_INET)
    start(HAProxy(path.balancer, server, options, bind="[::]:{port} v4v6"))
    seen, expected = report_of(connect(path, family))
    assert seen == expected


@families
@pytest.mark.parametrize("options", ["send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"])
def test_haproxy_that_ends_tls(options, family, path, start, mmproxy, upstreams):
    front = HAProxy(
        path.balancer,
        server_address(path, socket.AF_INET),
        f"{options} proxy-v2-options crc32c,unique-id,authority,ssl-cipher",
        bind="*:{port},[::]:{port} v6only ssl crt {directory}/server.pem"
        " ca-file {directory}/client.crt verify required",
        frontend=UNIQUE_ID,
    )
    certificate(front.directory, "server", "service.example")
    certificate(front.directory, "client", "client.example")
    start(front)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(front.directory / "server.crt")
    context.load_cert_chain(front.directory / "client.pem")
    plain = connect(path, family)
    own = plain.getsockname()
    with context.wrap_socket(plain, server_hostname="service.example") as connection:
        seen, expected = report_of(connection, own)
    assert seen == expected


@families
def test_sshd_behind_haproxy_logs_the_clients_address(family, path, start, start_daemon):
    sshd = start(Sshd(path.server))
    start_daemon(
        path.server,
        listen="0.0.0.0:8443",
        forward={"ipv4": "127.0.0.1:22", "ipv6": "[::1]:22"},
        subnets=[path.BALANCER4],
    )
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", "send-proxy-v2"))
    assert_sshd_knows_the_client(sshd, connect(path, family))


@families
def test_sshd_behind_nginx_logs_the_clients_address(family, path, start, start_daemon):
    sshd = start(Sshd(path.server))
    start_daemon(
        path.server,
        listen="[::]:8443",
        forward={"ipv4": "127.0.0.1:22", "ipv6": "[::1]:22"},
        subnets=[path.BALANCER6],
    )
    start(Nginx(path.balancer, f"[{path.SERVER6}]:8443"))
    assert_sshd_knows_the_client(sshd, connect(path, family))


def assert_sshd_knows_the_client(sshd, connection):
    assert read_exactly(connection, 8) == b"SSH-2.0-"
    address, port = connection.getsockname()[:2]
    sshd.wait_for_log(f"Connection from {address} port {port} ")


def test_a_client_on_the_port_of_the_upstream_keeps_it(path, start, start_daemon):
    # sshd's own listeners on port 2222 hold the port that the client comes from.
    sshd = start(Sshd(path.server, port=2222))
    start_daemon(
        path.server,
        listen="0.0.0.0:8443",
        forward={"ipv4": "127.0.0.1:2222"},
        subnets=[path.BALANCER4],
    )
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", "send-proxy"))
    connection = path.client.connect((path.FRONT4, 9000), source=(path.CLIENT4, 2222))
    assert_sshd_knows_the_client(sshd, connection)


def test_haproxys_health_checks_come_from_its_own_address(path, start, mmproxy):
    upstream = Listener(path.server, UPSTREAM4)
    options = "send-proxy-v2 check inter 200ms"
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", options))
    for _ in range(3):
        _, (address, _) = upstream.accept()
        assert address == path.BALANCER4


def test_haproxys_plain_health_checks_disturb_nobody(
    path, start, mmproxy, upstreams
):
    # `port` makes it check without a header. It resets as soon as it has the server's SYN.
    path.server.nft(
        "add table inet t\nadd chain inet t in { type filter hook input priority 0; }\n"
        "add rule inet t in tcp dport 8443 tcp flags & rst == rst counter\n"
    )

    def checks():
        listed = path.server.run(["nft", "list", "table", "inet", "t"]).stdout
        return int(re.search(r"counter packets (\d+)", listed).group(1))

    options = "send-proxy-v2 check inter 100ms port 8443"
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", options))
    wait_until(lambda: checks() >= 3, 10, "it has checked three times")
    assert not mmproxy.log_lines(r"(warning|error) session:")
    seen, expected = report_of(connect(path, socket.AF_INET))
    assert seen == expected


@pytest.mark.parametrize("front", ["haproxy", "nginx"])
def test_the_whole_path_carries_data_and_half_closes(front, path, start, mmproxy):
    server = Server(path.server, echo)
    address = f"{path.SERVER4}:8443"
    if front == "haproxy":
        start(HAProxy(path.balancer, address, "send-proxy-v2"))
    else:
        start(Nginx(path.balancer, address))
    connection = connect(path, socket.AF_INET)
    data = os.urandom(8 << 20)
    sender = Background(send_and_finish, connection, data)
    digest, count, end = hash_to_end(connection)
    sender.result()
    assert (count, end) == (len(data), EOF)
    assert digest == hashlib.sha256(data).hexdigest()
    assert server.next_peer() == connection.getsockname()
    line = mmproxy.wait_for_log("session: closed .*reason=finished")
    assert line["bytes_from_client"] == line["bytes_from_upstream"] == str(len(data))
    server.close()


def test_many_clients_at_once_are_told_apart(path, start, mmproxy, upstreams):
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", "send-proxy-v2"))
    connections = [connect(path, family) for family in BOTH for _ in range(50)]
    for connection in connections:
        seen, expected = report_of(connection)
        assert seen == expected


def test_a_balancer_outside_the_allow_list_is_refused(path, start, start_daemon, upstreams):
    mmproxy = start_daemon(path.server, listen="0.0.0.0:8443", subnets=["198.51.100.99"])
    start(HAProxy(path.balancer, f"{path.SERVER4}:8443", "send-proxy-v2"))
    connection = connect(path, socket.AF_INET)
    data, _ = read_to_end(connection)
    assert data == b""
    line = mmproxy.wait_for_log("session: refused")
    assert line["reason"] == "balancer-not-allowed"
    assert line["balancer"].startswith(f"{path.BALANCER4}:")
    assert all(server.peers.empty() for server in upstreams)
