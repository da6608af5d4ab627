# SPDX-License-Identifier: MIT
"""A client, a balancer and a server, each in a network namespace of its own:

    client 203.0.113.9 -> HAProxy 203.0.113.1 | 198.51.100.1 -> mmproxy 198.51.100.2 -> upstream

The upstream answers with the address that it sees: first straight behind HAProxy, then with mmproxy
between the two.
"""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "integration"))

from daemon import Daemon  # noqa: E402
from network import Path  # noqa: E402
from peers import HAProxy  # noqa: E402
from settings import configuration, listener  # noqa: E402
from upstreams import UPSTREAM4, UPSTREAM6, Server, report_peer  # noqa: E402

# Ports of HAProxy: one frontend hands on to the upstream itself, one to mmproxy.
PLAIN, PROXIED = 9000, 9001


def text(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def start_servers(path, stack):
    """The upstreams and mmproxy in front of them."""
    for address in (UPSTREAM4, UPSTREAM6, (path.SERVER4, 8080)):
        stack.callback(Server(path.server, report_peer, address).close)
    mmproxy = Daemon(
        path.server,
        configuration(
            listener(listen="*:8443", subnets=[path.BALANCER4, path.BALANCER6]),
            log={"level": "info"},
        ),
    )
    stack.callback(mmproxy.discard)
    mmproxy.wait_until_ready()
    return mmproxy


def start_balancers(path, stack):
    for port, server, options in (
        (PLAIN, f"{path.SERVER4}:8080", ""),
        (PROXIED, f"{path.SERVER4}:8443", "send-proxy-v2"),
    ):
        balancer = HAProxy(path.balancer, server, options, port=port)
        stack.callback(balancer.stop)
        balancer.run()


def ask(path, front, client):
    """What the upstream says it sees, and who the client is."""
    connection = path.client.connect(front, source=(client, 0))
    with connection.makefile() as lines:
        seen = lines.readline().split()[1:]
    return text(*seen), text(*connection.getsockname()[:2])


def show(path, family, client, front):
    """Prints both answers; returns whether mmproxy's upstream saw the client."""
    without, _ = ask(path, (front, PLAIN), client)
    seen, own = ask(path, (front, PROXIED), client)
    print(f"{family}  the client connects from        {own}")
    print(f"      HAProxy alone: upstream sees    {without}")
    print(f"      with mmproxy:  upstream sees    {seen}")
    return seen == own


def main():
    with contextlib.ExitStack() as stack:
        path = Path()
        stack.callback(path.destroy)
        mmproxy = start_servers(path, stack)
        start_balancers(path, stack)
        shown = [
            show(path, "IPv4", path.CLIENT4, path.FRONT4),
            show(path, "IPv6", path.CLIENT6, path.FRONT6),
        ]
        path.client.close_sockets()
        mmproxy.stop()
        for line in mmproxy.log_lines("session: closed"):
            print(line.text)
    print("demo: the upstream sees the client" if all(shown) else "demo: FAILED")
    return 0 if all(shown) else 1


if __name__ == "__main__":
    sys.exit(main())
