# SPDX-License-Identifier: MIT
"""A client, a balancer and a server, and the edits of mmproxy's configuration that fit them.

    client 203.0.113.9 -> HAProxy 203.0.113.1 | 198.51.100.1 -> mmproxy 198.51.100.2 -> 127.0.0.1:443

The modules of tests/integration are on the path already. On the server nothing is prepared: no rule,
no route, no mmproxy. The upstream there tells whoever connects which address it sees.
"""

import re

import rules
from network import Path
from peers import HAProxy
from upstreams import UPSTREAM4, UPSTREAM6, Server, report_peer

FRONT_PORT = 9000
SERVICE_PORT = 8443

# What the head of the configuration asks the administrator to say: {the line's beginning: the line}.
# The address to listen on and the upstream are those of the scene already.
_EDITS = {
    r"\tmode = ": '\tmode = "manage";',
    r"\t\tsubnets = ": "\t\tsubnets = [ {subnets} ];",
}


def edited(text, *subnets):
    """The configuration as it comes with the package, made fit for the scene by a few lines.

    `subnets` may connect besides the scene's balancer.
    """
    listed = ", ".join(f'"{subnet}"' for subnet in (Path.BALANCER4, Path.BALANCER6, *subnets))
    for beginning, line in _EDITS.items():
        text, count = re.subn(f"(?m)^{beginning}.*$", line.format(subnets=listed), text)
        assert count == 1, f"{count} lines begin with {beginning!r}"
    return text


class Scene:
    """`with Scene() as scene:` has the machines `client`, `balancer`, `server`, and the upstream."""

    def __init__(self):
        self._stops = []

    def __enter__(self):
        path = self._path = Path(return_path=False)
        self.client, self.balancer, self.server = path.client, path.balancer, path.server
        self.start_upstream(report_peer)
        return self

    def __exit__(self, *_):
        for stop in reversed(self._stops):
            stop()
        self._path.destroy()

    def start_upstream(self, serve, addresses=(UPSTREAM4, UPSTREAM6)):
        """Has `serve` (see upstreams.py) serve at the addresses; returns what ends that."""
        servers = [Server(self.server, serve, address) for address in addresses]

        def stop():
            for server in servers:
                server.close()

        self._stops.append(stop)
        return stop

    def start_balancer(self):
        """HAProxy, in front of port 8443 of the server, with version 2 of the header."""
        balancer = HAProxy(self.balancer, f"{Path.SERVER4}:{SERVICE_PORT}", "send-proxy-v2")
        self._stops.append(balancer.stop)
        balancer.run()

    def ask(self, family=4):
        """The client's own address and port, and those that the upstream sees: two texts."""
        front = Path.FRONT4 if family == 4 else Path.FRONT6
        with self.client.connect((front, FRONT_PORT)) as connection:
            own = " ".join(map(str, connection.getsockname()[:2]))
            with connection.makefile() as lines:
                return own, lines.readline().removeprefix("peer ").strip()

    def return_path(self):
        """The server's rules and routes, as text."""
        return rules.everything(self.server)
