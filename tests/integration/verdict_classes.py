# SPDX-License-Identifier: MIT
"""Where HAProxy and nginx make something else of a header than mmproxy does: each reason why has a
class here, and its place in doc/verdicts.md with what the specification says.

A class is a function that knows its own from the bytes that were sent and both verdicts. None may
claim what is another's.
"""

import dataclasses
import ipaddress
import re
import struct

import headers

CLASSES = {"haproxy": {}, "nginx": {}}

_NGINX_LONGEST = 107
_MMPROXY_LONGEST = 4096


def _class_of(*receivers):
    def note(function):
        for receiver in receivers:
            CLASSES[receiver][function.__name__.replace("_", "-")] = function
        return function

    return note


def classes_of(receiver, disagreement):
    """The names of the classes that it is in; exactly one, if all is well."""
    return [name for name, holds in CLASSES[receiver].items() if holds(disagreement)]


@dataclasses.dataclass
class Disagreement:
    sent: bytes
    reason: str  # of mmproxy's refusal, or ""
    ours: tuple  # Verdict
    theirs: tuple

    @property
    def change(self):
        return self.ours.kind, self.theirs.kind

    # Version 1.

    @property
    def line(self):
        """What stands before the first CR LF, or None."""
        line, end, _ = self.sent.partition(b"\r\n")
        return line.decode("latin-1") if end and self.sent.startswith(b"PROXY ") else None

    @property
    def words(self):
        return self.line.split(" ") if self.line is not None else [""] * 2

    # Version 2.

    @property
    def binary(self):
        return self.sent.startswith(headers.SIGNATURE) and len(self.sent) >= 16

    @property
    def command(self):
        return self.sent[12] & 0x0F

    @property
    def family(self):
        return self.sent[13]

    @property
    def total(self):
        """The length of the header, by its own word; 0 when it has none."""
        return 16 + struct.unpack_from("!H", self.sent, 14)[0] if self.binary else 0

    def checksums(self):
        """Where the values of the CRC32C TLVs stand behind an IPv4 or IPv6 block."""
        place = 16 + {headers.TCP4: 12, headers.TCP6: 36}[self.family]
        while place + 3 <= self.total:
            kind, length = struct.unpack_from("!BH", self.sent, place)
            if kind == headers.CRC32C:
                yield place + 3
            place += 3 + length


# Both.


@_class_of("haproxy", "nginx")
def source_policy(case):
    return (
        case.reason.startswith("source-")
        and case.theirs.kind == "client"
        and _is_special(ipaddress.ip_address(case.theirs.address))
    )


def _is_special(address):
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.version == 6:
        return address.is_multicast or address.is_link_local or int(address) >> 120 == 0
    return (
        address.is_multicast
        or address.is_loopback
        or address.is_link_local
        or int(address) >> 24 == 0
        or int(address) >> 28 == 15
    )


@_class_of("haproxy", "nginx")
def mapped_address(case):
    if case.change != ("client", "client"):
        return False
    mapped = getattr(ipaddress.ip_address(case.theirs.address), "ipv4_mapped", None)
    return case.theirs._replace(address=str(mapped)) == case.ours


@_class_of("haproxy")
def longer_than_max_header(case):
    return (
        case.reason == "header-too-long"
        and case.theirs.kind in ("client", "own")
        and case.total > _MMPROXY_LONGEST
    )


# HAProxy.


@_class_of("haproxy")
def haproxy_unknown_with_text(case):
    return case.change == ("own", "refused") and case.words[1] == "UNKNOWN" and len(case.words) > 2


@_class_of("haproxy")
def haproxy_octet_arithmetic(case):
    """Numbers in a TCP4 address wrap, may begin with zeros, or be missing."""
    return (
        case.reason == "v1-address"
        and case.theirs.kind == "client"
        and case.words[1] == "TCP4"
        and all(re.fullmatch(r"[0-9.]*", word) for word in case.words[2:4])
    )


@_class_of("haproxy")
def haproxy_port_arithmetic(case):
    """Ports wrap, may begin with zeros, or be missing."""
    ports = re.fullmatch(r"PROXY TCP[46] \S+ \S+ ([0-9]*) [0-9]*", case.line or "")
    return (
        case.reason in ("v1-port", "v1-fields")
        and case.theirs.kind == "client"
        and ports is not None
        and case.theirs.port == int(ports[1] or 0) % 65536
    )


@_class_of("haproxy")
def haproxy_behind_a_port(case):
    """A port of TCP6 is read as far as it has digits, and there is one more thing on the line."""
    ports = re.fullmatch(
        r"PROXY TCP6 \S+ \S+ ([0-9]*)([^0-9 ]\S*)? [0-9]*([^0-9].*)?", case.line or "", re.DOTALL
    )
    return (
        case.reason in ("v1-fields", "v1-port", "v1-line-end", "v1-too-long")
        and case.theirs.kind == "client"
        and ports is not None
        and bool(ports[2] or ports[3])
        and case.theirs.port == int(ports[1] or 0) % 65536
    )


@_class_of("haproxy")
def haproxy_long_line(case):
    return (
        case.reason == "v1-too-long"
        and case.theirs.kind == "client"
        and re.fullmatch(r"PROXY TCP6 \S+ \S+ [0-9]+ [0-9]+", case.line or "")
    )


@_class_of("haproxy")
def haproxy_nul_ends_an_address(case):
    return (
        case.reason == "v1-address"
        and case.theirs.kind == "client"
        and case.words[1] == "TCP6"
        and any("\0" in word for word in case.words[2:4])
    )


@_class_of("haproxy")
def haproxy_sums_one_after_the_other(case):
    """A second CRC32C is right once the first, which was right, has been set to zero."""
    if case.reason != "v2-crc32c" or case.theirs.kind != "client":
        return False
    header, sums = bytearray(case.sent[: case.total]), 0
    for place in case.checksums():
        told = bytes(header[place : place + 4])
        header[place : place + 4] = bytes(4)
        if struct.pack("!I", headers.crc32c(header)) != told:
            return False
        sums += 1
    return sums > 1


@_class_of("haproxy")
def haproxy_refuses_unspec(case):
    return (
        case.change == ("own", "refused")
        and case.binary
        and case.command == 1
        and case.family >> 4 == 0
    )


# Its walk over the TLVs of a family that it does not know begins at the signature, which then reads
# as a TLV of this size.
_HAPROXY_SIGNATURE_AS_TLV = 3 + 0x0A0D


@_class_of("haproxy")
def haproxy_takes_a_long_header_of_an_unknown_family(case):
    return (
        case.reason in ("v2-family", "v2-transport", "transport-mismatch", "v2-unix")
        and case.theirs.kind == "own"
        and case.total >= _HAPROXY_SIGNATURE_AS_TLV
    )


# nginx.


@_class_of("nginx")
def nginx_107_bytes(case):
    return (
        case.ours.kind in ("client", "own")
        and case.theirs.kind == "refused"
        and (case.total > _NGINX_LONGEST)
    )


# What makes nginx go on without a client may stand beside what it does not look at.
def _is_client_for_others(case):
    return case.ours.kind == "client" or case.reason.startswith(
        ("source-", "v1-address", "v1-port", "v2-tlv", "v2-crc32c")
    )


def _is_all_ones(case):
    if case.binary:
        return case.family == headers.TCP4 and case.sent[16:20] == b"\xff" * 4
    return case.words[1:3] == ["TCP4", "255.255.255.255"]


def _is_double_colon_for_one_word(case):
    return case.words[1] == "TCP6" and bool(re.fullmatch(r"(\w+:){7}:", case.words[2]))


@_class_of("nginx")
def nginx_all_ones(case):
    return case.theirs.kind == "own" and _is_client_for_others(case) and _is_all_ones(case)


@_class_of("nginx")
def nginx_double_colon_for_one_word(case):
    return (
        case.theirs.kind == "own"
        and _is_client_for_others(case)
        and _is_double_colon_for_one_word(case)
    )


@_class_of("nginx")
def nginx_addresses_unread(case):
    if case.reason != "v1-address":
        return False
    return case.theirs.kind == "client" or (
        case.theirs.kind == "own"
        and not _is_all_ones(case)
        and not _is_double_colon_for_one_word(case)
    )


@_class_of("nginx")
def nginx_leading_zeros(case):
    return (
        case.reason == "v1-port"
        and case.theirs.kind == "client"
        and any(re.fullmatch(r"0[0-9]+", word) for word in case.words[4:6])
    )


@_class_of("nginx")
def nginx_unknown_and_more(case):
    return (
        case.reason in ("v1-protocol", "v1-line-end")
        and case.theirs.kind == "own"
        and case.sent.startswith(b"PROXY UNKNOWN")
    )


@_class_of("nginx")
def nginx_tlvs_unread(case):
    return case.reason in ("v2-tlv", "v2-crc32c") and case.theirs.kind == "client"


@_class_of("nginx")
def nginx_unknown_command(case):
    return case.reason == "v2-command" and case.theirs.kind == "own"


@_class_of("nginx")
def nginx_unknown_family(case):
    return case.reason in ("v2-family", "v2-transport") and case.theirs.kind == "own"


@_class_of("nginx")
def nginx_other_kinds_of_client(case):
    return case.reason in ("transport-mismatch", "v2-unix") and case.theirs.kind == "own"
