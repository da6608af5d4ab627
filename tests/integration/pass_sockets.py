# SPDX-License-Identifier: MIT
"""Opens sockets and becomes another program that they are passed to, as a service manager does.

    pass_sockets.py tcp/127.0.0.1:8443/web udp/[::1]:53/dns ... -- PROGRAM ARGUMENT...

A fourth part, "reuseport", has the socket join the others of its address; "connected" passes a TCP
socket that does not listen. "unix//name" is a socket of another kind, "inherited/7/name" one that
this process was given as descriptor 7.
"""

import os
import socket
import sys

FIRST = 3


def open_socket(spec):
    kind, address, name, *options = spec.split("/")
    if kind == "inherited":
        return socket.socket(fileno=int(address)), name
    if kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(f"\0mmproxy-test-{os.getpid()}")
        made.listen()
        return made, name
    host, _, port = address.rpartition(":")
    both = host == "*"
    host = "::" if both else host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    if "reuseport" in options:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
    if kind == "tcp":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, int(port)))
    if kind == "tcp" and "connected" not in options:
        made.listen(1024)
    return made, name


def main():
    divide = sys.argv.index("--")
    specs, command = sys.argv[1:divide], sys.argv[divide + 1 :]
    sockets = [open_socket(spec) for spec in specs]
    # High numbers first, so that nothing is overwritten before it is moved.
    parked = [os.dup2(made.fileno(), 100 + index) for index, (made, _) in enumerate(sockets)]
    for index, descriptor in enumerate(parked):
        os.dup2(descriptor, FIRST + index, inheritable=True)
        os.set_inheritable(descriptor, False)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(sockets))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for _, name in sockets)
    os.execv(command[0], command)


main()
