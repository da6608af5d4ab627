# SPDX-License-Identifier: MIT
"""PROXY protocol headers, written byte by byte: version 1, version 2, TLVs and their CRC32C, and
the Simple Proxy Protocol.

Nothing here checks what it is given, so that the tests can build headers no sender should send.
"""

import ipaddress
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SPP_MAGIC = b"\x56\xec"

# Version and command.
LOCAL = 0x20
PROXY = 0x21

# Address family and transport.
UNSPEC = 0x00
TCP4 = 0x11
UDP4 = 0x12
TCP6 = 0x21
UDP6 = 0x22
UNIX_STREAM = 0x31
UNIX_DATAGRAM = 0x32

# TLV types.
ALPN = 0x01
AUTHORITY = 0x02
CRC32C = 0x03
NOOP = 0x04
UNIQUE_ID = 0x05
SSL = 0x20
SSL_VERSION = 0x21
SSL_CN = 0x22
NETNS = 0x30
AWS = 0xEA

CLIENT4 = ("203.0.113.9", 41000)
CLIENT6 = ("2001:db8:c::9", 41006)
SERVICE4 = ("192.0.2.80", 443)
SERVICE6 = ("2001:db8:5::80", 443)


def v1(client, service=None):
    """A version 1 line for a (address, port) pair; the family follows from the address."""
    six = ":" in client[0]
    service = service or (SERVICE6 if six else SERVICE4)
    return (
        f"PROXY {'TCP6' if six else 'TCP4'} {client[0]} {service[0]} {client[1]} {service[1]}\r\n"
    ).encode()


def v2(client, service=None, tlvs=b"", command=PROXY, family=None, crc=False):
    """A version 2 header for a (address, port) pair.

    With crc, a CRC32C TLV with the right sum is put behind the other TLVs.
    """
    six = ":" in client[0]
    service = service or (SERVICE6 if six else SERVICE4)
    kind = socket.AF_INET6 if six else socket.AF_INET
    block = (
        socket.inet_pton(kind, client[0])
        + socket.inet_pton(kind, service[0])
        + struct.pack("!HH", client[1], service[1])
    )
    if family is None:
        family = TCP6 if six else TCP4
    if not crc:
        return v2_raw(command, family, block + tlvs)
    return with_crc32c(v2_raw(command, family, block + tlvs + tlv(CRC32C, bytes(4))), -4)


def v2_udp(client, service=None, **options):
    """What stands in front of a datagram: version 2 that says UDP."""
    return v2(client, service, family=UDP6 if ":" in client[0] else UDP4, **options)


def spp(client, service=None):
    """A Simple Proxy Protocol header: 38 bytes, IPv4 addresses as IPv4-mapped ones."""
    service = service or (SERVICE6 if ":" in client[0] else SERVICE4)
    addresses = b"".join(_as_ipv6(address) for address, _ in (client, service))
    return SPP_MAGIC + addresses + struct.pack("!HH", client[1], service[1])


def v2_raw(command, family, rest, length=None):
    """A version 2 header with any bytes behind the fixed part; `length` may lie about them."""
    length = len(rest) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family, length) + rest


def local(tlvs=b""):
    """What a balancer sends for its own health checks."""
    return v2_raw(LOCAL, UNSPEC, tlvs)


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def ssl_tlv(version=b"TLSv1.3", common_name=b"client.example"):
    """The SSL TLV: client flags, verify result, then TLVs inside the TLV."""
    return tlv(
        SSL, struct.pack("!BI", 0x07, 0) + tlv(SSL_VERSION, version) + tlv(SSL_CN, common_name)
    )


def padded(client, length):
    """A version 2 header of exactly `length` bytes, filled up with one or two NOOP TLVs."""
    room = length - len(v2(client)) - 3
    assert 0 <= room <= 0xFFFF
    return v2(client, tlvs=tlv(NOOP, bytes(room)))


def nlb_health_check():
    """What an AWS Network Load Balancer's health check sends: LOCAL with the family of an address
    block that is not there, then CRC32C and a NOOP of 0x4a bytes."""
    header = v2_raw(LOCAL, TCP4, tlv(CRC32C, bytes(4)) + tlv(NOOP, bytes(0x4A)))
    assert header[14:16] == b"\x00\x54"
    return with_crc32c(header, 19)


def with_crc32c(header, offset):
    """The header with its sum put into the four zero bytes at `offset` (may count from the end)."""
    offset %= len(header)
    return header[:offset] + struct.pack("!I", crc32c(header)) + header[offset + 4 :]


def mapped(address):
    """The IPv4-mapped IPv6 form of an IPv4 address, as the text that inet_pton takes."""
    return "::ffff:" + str(ipaddress.IPv4Address(address))


def _as_ipv6(address):
    return socket.inet_pton(socket.AF_INET6, address if ":" in address else mapped(address))


def _crc32c_table():
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    """CRC-32C (Castagnoli) as RFC 3720 has it: crc32c(b"123456789") == 0xE3069283."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
