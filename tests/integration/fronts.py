# SPDX-License-Identifier: MIT
"""The examples of etc/fronts: where they are, the balancers' halves at work, and the bytes of the
fronts that cannot run here.

Where those bytes come from:

    SPECTRUM_V1     Cloudflare's documentation, "Enable Proxy protocol": its two example lines.
    Spectrum's SPP  Cloudflare's documentation, "Simple Proxy Protocol Header": headers.spp().
    NLB_CHECK       recorded from a load balancer, with its checksum: kubernetes/kubernetes
                    issue 57250, 2019-03-21.
    nlb_header()    built from Elastic Load Balancing's documentation, "Edit target group
                    attributes": version 2 with the endpoint's id in a TLV of type 0xEA.
    GCP_V1          Google's documentation of its proxy Network Load Balancers: its example line.
    GCP_CHECK       what a health check with --proxy-header=PROXY_V1 sends, as users report it.
    TCPShield's     version 2 of HAProxy's specification: its documentation says no more. The
                    handshake behind it is the Java edition's, of protocol 765.
    frp's           frp's sources. TCP, client/proxy/proxy.go: version 1 or 2 with the addresses at
                    frps. UDP, pkg/proto/udp/udp.go: version 2 in front of the first datagram of
                    each socket, or in frp 0.63 to 0.65 of every datagram; the destination is
                    127.0.0.1, for a client with an IPv6 address written as ::ffff:127.0.0.1.
"""

import pathlib
import shutil
import struct
import tempfile

from headers import AWS, tlv, v2
from peers import NGINX_STREAM, Peer, find
from waiting import wait_until

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "etc/fronts"

# mmproxy's halves.
NAMES = [
    "aws-nlb",
    "cloudflare-spectrum",
    "dnsdist",
    "frp",
    "gcp",
    "haproxy",
    "nginx",
    "tcpshield",
]


def config(name):
    return FOLDER / f"{name}.conf"


# The balancers' halves, as they stand there.


class HAProxy(Peer):
    def __init__(self, namespace):
        super().__init__(namespace)
        self.example = str(FOLDER / "haproxy.cfg")

    def run(self):
        self.start([find("haproxy"), "-db", "-f", self.example], [443])
        return self


class Nginx(Peer):
    """The example is included where the documentation says; what is around it is the test's."""

    def __init__(self, namespace):
        super().__init__(namespace)
        self.example = str(FOLDER / "nginx-stream.conf")
        self.protocols = ["tcp"]

    def run(self):
        main = self.write(
            "nginx.conf",
            f"load_module {NGINX_STREAM};\n"
            "daemon off;\nmaster_process off;\n"
            f"pid {self.directory}/pid;\nerror_log {self.directory}/error.log;\n"
            f"events {{ }}\ninclude {self.example};\n",
        )
        command = [find("nginx"), "-p", str(self.directory), "-c", main]
        self.start([*command, "-e", str(self.directory / "error.log")], [443], self.protocols)
        return self


class Dnsdist(Peer):
    def run(self):
        example = str(FOLDER / "dnsdist.lua")
        command = [find("dnsdist"), "--supervised", "--disable-syslog", "-C", example]
        self.start(command, [53], ["tcp", "udp"])
        wait_until(lambda: "as 'up'" in self.output(), 15, lambda: f"up:\n{self.output()}")
        return self


# What the others send.

SPECTRUM_V1 = {
    ("192.0.2.0", 42300): b"PROXY TCP4 192.0.2.0 192.0.2.255 42300 443\r\n",
    ("2001:db8::", 42300): b"PROXY TCP6 2001:db8:: "
    b"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 42300 443\r\n",
}

NLB_CHECK = bytes.fromhex("0d0a0d0a000d0a515549540a 20110054 030004bce5951f 04004a") + bytes(0x4A)

GCP_V1 = {("192.0.2.1", 15221): b"PROXY TCP4 192.0.2.1 198.51.100.1 15221 110\r\n"}
GCP_CHECK = b"PROXY UNKNOWN\r\n"


def nlb_header(client, endpoint="vpce-08d2bf15fac5001c9"):
    node = "2001:db8:5::10" if ":" in client[0] else "10.0.1.10"
    return v2(client, (node, 443), tlvs=tlv(AWS, b"\x01" + endpoint.encode()), crc=True)


def minecraft_login(host="mc.example.com", port=25565, name="Steve"):
    """A client's first two packets: handshake, with the wish to log in, and login start."""

    def packet(number, content):
        content = _varint(number) + content
        return _varint(len(content)) + content

    handshake = _varint(765) + _text(host) + struct.pack("!H", port) + _varint(2)
    return packet(0, handshake) + packet(0, _text(name) + bytes(range(16)))


def _varint(number):
    """Seven bits a byte, the least first; all but the last have the eighth bit."""
    data = bytearray()
    while number > 0x7F:
        data.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes(data) + bytes([number])


def _text(text):
    return _varint(len(text)) + text.encode()


class Copy:
    """A front's files in a folder of their own, as in /etc/mmproxy."""

    def __init__(self, *names):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-front-"))
        self.folder.chmod(0o755)
        for name in names:
            shutil.copy(FOLDER / name, self.folder)

    def __truediv__(self, name):
        return self.folder / name

    def remove(self):
        shutil.rmtree(self.folder)
