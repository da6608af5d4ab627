# SPDX-License-Identifier: MIT
"""Captures, written byte by byte: packets of each link layer, and the files that hold them.

Nothing here checks what it is given. Checksums are zero, as where a card fills them in.
"""

import ipaddress
import struct

ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276

SYN, ACK = 0x02, 0x10
TCP, UDP = 6, 17

BALANCER = ("198.51.100.7", 40000)
MMPROXY = ("198.51.100.1", 8443)
BALANCER6 = ("2001:db8::7", 40000)
MMPROXY6 = ("2001:db8::1", 8443)


def _packed(address):
    return ipaddress.ip_address(address).packed


def ip(source, destination, protocol, payload, fragment=0, options=b"", extensions=()):
    """An IP packet, of the version that the addresses have; extensions: (number, content) pairs,
    content without the byte that names the next header."""
    if ":" not in source:
        words = (20 + len(options)) // 4
        head = (0x40 | words, 0, words * 4 + len(payload), 1, fragment, 64, protocol, 0)
        head = struct.pack("!BBHHHBBH", *head) + _packed(source) + _packed(destination)
        return head + options + payload
    first = protocol
    for number, content in reversed(extensions):
        payload = bytes([first]) + content + payload
        first = number
    head = struct.pack("!IHBB", 6 << 28, len(payload), first, 64)
    return head + _packed(source) + _packed(destination) + payload


def tcp(payload=b"", source=BALANCER, destination=MMPROXY, sequence=1000, flags=ACK, **options):
    ports = (source[1], destination[1])
    head = struct.pack("!HHIIBBHHH", *ports, sequence % 2**32, 0, 0x50, flags, 0, 0, 0)
    return ip(source[0], destination[0], TCP, head + payload, **options)


def udp(payload=b"", source=BALANCER, destination=MMPROXY, **options):
    head = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0)
    return ip(source[0], destination[0], UDP, head + payload, **options)


def linked(link, packet, vlans=()):
    """The packet behind a header of its link layer."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    if link == ETHERNET:
        tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in vlans)
        return bytes(12) + tags + struct.pack("!H", kind) + packet
    if link == SLL:
        return struct.pack("!HHH8sH", 0, 1, 6, b"", kind) + packet
    if link == SLL2:
        return struct.pack("!HHIHBB8s", kind, 0, 1, 1, 0, 6, b"") + packet
    if link in (NULL, LOOP):
        family = 30 if kind == 0x86DD else 2
        return struct.pack("<I" if link == NULL else "!I", family) + packet
    return packet


def pcap(packets, link=ETHERNET, snaplen=65535, order="<", magic=0xA1B2C3D4):
    """A file of packets, each with its link layer put before it and cut at snaplen."""
    records = [struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snaplen, link)]
    for packet in (linked(link, packet) for packet in packets):
        kept = packet[:snaplen]
        records.append(struct.pack(order + "IIII", 0, 0, len(kept), len(packet)) + kept)
    return b"".join(records)


def pcapng(packets, link=ETHERNET):
    """A section header, an interface, and a packet a block."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + length + body + length

    blocks = [
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack("<HHI", link, 0, 65535)),
    ]
    for packet in (linked(link, packet) for packet in packets):
        head = struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet))
        blocks.append(block(6, head + packet))
    return b"".join(blocks)


def connection(payload, source=BALANCER, destination=MMPROXY, cuts=(), sequence=1000):
    """A connection's packets: the handshake, and the payload in segments that end at the cuts."""
    ends = {"source": source, "destination": destination}
    back = {"source": destination, "destination": source}
    packets = [
        tcp(flags=SYN, sequence=sequence - 1, **ends),
        tcp(flags=SYN | ACK, sequence=4999, **back),
        tcp(sequence=sequence, **ends),
    ]
    begin = 0
    for cut in (*cuts, len(payload)):
        packets.append(tcp(payload[begin:cut], sequence=sequence + begin, **ends))
        begin = cut
    return packets
