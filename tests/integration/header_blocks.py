# SPDX-License-Identifier: MIT
"""Kinds of version 2 headers, good and bad: a function each, which makes one with its dice."""

import struct

import headers
from header_lines import ipv4, ipv6, port, special_address
from headers import LOCAL, PROXY, TCP4, TCP6, UNSPEC, tlv, v2, v2_raw

SIZES = {
    TCP4: 12,
    TCP6: 36,
    headers.UDP4: 12,
    headers.UDP6: 36,
    headers.UNIX_STREAM: 216,
    headers.UNIX_DATAGRAM: 216,
}


def endpoints(dice, six=None):
    six = dice.random() < 0.5 if six is None else six
    address = ipv6 if six else ipv4
    return (address(dice), port(dice)), (address(dice), port(dice))


def tcp4(dice):
    return v2(*endpoints(dice, six=False))


def tcp6(dice):
    return v2(*endpoints(dice, six=True))


def tcp6_with_mapped_ipv4(dice):
    pairs = [(headers.mapped(ipv4(dice)), port(dice)) for _ in range(2)]
    return v2(*pairs)


def edge_ports(dice):
    (source, _), (destination, _) = endpoints(dice)
    return v2((source, dice.choice([0, 1, 1023, 65535])), (destination, dice.choice([0, 65535])))


def special_source(dice):
    source, six = special_address(dice)
    return v2((source, port(dice)), endpoints(dice, six)[1])


def some_tlvs(dice, most=4):
    made = [
        lambda: tlv(headers.ALPN, dice.choice([b"h2", b"http/1.1"])),
        lambda: tlv(headers.AUTHORITY, b"service.example"),
        lambda: tlv(headers.NOOP, bytes(dice.randint(0, 60))),
        lambda: tlv(headers.UNIQUE_ID, dice.randbytes(dice.choice([0, 16, 128]))),
        headers.ssl_tlv,
        lambda: tlv(headers.NETNS, b"blue"),
        lambda: tlv(headers.AWS, b"\x01vpce-08d2bf15fac5001c9"),
        lambda: tlv(dice.randint(0xE0, 0xFF), dice.randbytes(dice.randint(0, 40))),
        lambda: tlv(dice.choice([0, 0x06, 0x40, 0xDF]), dice.randbytes(5)),
    ]
    return b"".join(make() for make in dice.choices(made, k=dice.randint(1, most)))


def with_tlvs(dice):
    return v2(*endpoints(dice), tlvs=some_tlvs(dice))


def with_crc32c(dice):
    tlvs = some_tlvs(dice) if dice.random() < 0.5 else b""
    return v2(*endpoints(dice), tlvs=tlvs, crc=True)


def local(dice):
    """A balancer's own connections; the family and the bytes behind count for nothing."""
    family = dice.choice([UNSPEC, *SIZES, 0x42, 0x13, 0xFF])
    rest = dice.choice(
        [b"", bytes(dice.randint(1, 11)), dice.randbytes(SIZES.get(family, 4)), some_tlvs(dice)]
    )
    return v2_raw(LOCAL, family, rest)


def health_check(dice):
    return headers.nlb_health_check()


def unspec(dice):
    """PROXY without addresses: family, transport or both are unspecified."""
    family = dice.choice([0x00, 0x01, 0x02, 0x10, 0x20])
    size = SIZES.get(family + 1, 0)
    rest = dice.choice(
        [bytes(size), bytes(size) + some_tlvs(dice), dice.randbytes(size + dice.randint(0, 5))]
    )
    return v2_raw(PROXY, family, rest)


def other_kinds_of_client(dice):
    """UDP, and Unix sockets: all that version 2 knows besides TCP."""
    family = dice.choice([headers.UDP4, headers.UDP6, headers.UNIX_STREAM, headers.UNIX_DATAGRAM])
    if family in (headers.UDP4, headers.UDP6):
        return v2(*endpoints(dice, six=family == headers.UDP6), family=family)
    return v2_raw(
        PROXY, family, b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
    )


def twice(dice):
    """A header in front of a header, of either version: the second is payload."""
    client, service = endpoints(dice)
    first = dice.choice([v2, headers.v1])(client, service)
    return first + dice.choice([v2, headers.v1])(*endpoints(dice))


def large(dice):
    """Up to the largest that the 16-bit length can say, around the limits of receivers."""
    six = dice.random() < 0.5
    smallest = len(v2(*endpoints(dice, six))) + 3
    length = dice.choice(
        [107, 108, 109, 110, 230, 250, 536, 4095, 4096, 4097, 8192, 16383, 16384, 16385, 65551]
    )
    return v2(*endpoints(dice, six), tlvs=tlv(headers.NOOP, bytes(max(length - smallest, 0))))


# From here on nothing is as the specification wants it.


def _fixed(dice, command=PROXY, family=None):
    """Good but for the two bytes that are given."""
    good = v2(*endpoints(dice))
    return good[:12] + bytes([command, good[13] if family is None else family]) + good[14:]


def other_version(dice):
    version = dice.choice([number for number in range(16) if number != 2])
    return _fixed(dice, command=version << 4 | dice.randint(0, 1))


def other_command(dice):
    return _fixed(dice, command=0x20 | dice.randint(2, 15))


def other_family(dice):
    return _fixed(dice, family=dice.randint(4, 15) << 4 | dice.randint(0, 2))


def other_transport(dice):
    return _fixed(dice, family=dice.randint(0, 3) << 4 | dice.randint(3, 15))


def long_of_an_unknown_kind(dice):
    """Thousands of bytes behind a family or a transport that nobody has defined."""
    family = dice.choice([0x41, 0x51, 0xF2, 0x13, 0x2F, 0x0A])
    size = dice.choice([2559, 2560, 2561, 2563, 3000])
    return v2_raw(PROXY, family, tlv(headers.NOOP, bytes(size - 3)))


def length_below_the_block(dice):
    """The length says less than the family needs; all the bytes may be there all the same."""
    good = v2(*endpoints(dice))
    size = SIZES[good[13]]
    length = dice.randint(0, size - 1)
    behind = good[16:] if dice.random() < 0.5 else good[16 : 16 + length]
    return v2_raw(PROXY, good[13], behind, length)


def length_beyond_the_end(dice):
    good = with_tlvs(dice) if dice.random() < 0.5 else v2(*endpoints(dice))
    return (
        good[:14]
        + struct.pack("!H", len(good) - 16 + dice.choice([1, 2, 12, 300, 5000]))
        + good[16:]
    )


def length_into_the_tlvs(dice):
    """The header ends between or inside its TLVs, and the rest of them is payload."""
    client, service = endpoints(dice)
    good = v2(client, service, tlvs=some_tlvs(dice))
    return good[:14] + struct.pack("!H", dice.randint(SIZES[good[13]], len(good) - 16)) + good[16:]


def tlv_overruns(dice):
    stump = dice.choice(
        [b"\x04", b"\x04\x00", tlv(headers.NOOP, bytes(9))[: -dice.randint(1, 9)], b"\xe1\xff\xff"]
    )
    front = some_tlvs(dice, 2) if dice.random() < 0.5 else b""
    return v2(*endpoints(dice), tlvs=front + stump)


def wrong_crc32c(dice):
    good = v2(*endpoints(dice), tlvs=some_tlvs(dice), crc=True)
    place = dice.choice([dice.randint(-4, -1), dice.randint(16, 27)])
    place %= len(good)
    return good[:place] + bytes([good[place] ^ 1 << dice.randint(0, 7)]) + good[place + 1 :]


def crc32c_of_another_length(dice):
    return v2(*endpoints(dice), tlvs=tlv(headers.CRC32C, bytes(dice.choice([0, 1, 3, 5, 8]))))


def two_crc32c(dice):
    """One of two is wrong, or both are; or the second is right when the first is zero."""
    pair = tlv(headers.CRC32C, bytes(4)) * 2
    header = v2(*endpoints(dice), tlvs=pair)
    first, second = len(header) - 11, len(header) - 4
    kind = dice.choice(["first is right", "second is right", "one after the other", "both wrong"])
    if kind in ("second is right", "one after the other"):
        header = headers.with_crc32c(header, second)
    if kind in ("first is right", "one after the other"):
        header = headers.with_crc32c(header, first)
    return header


def wrong_crc32c_without_client(dice):
    """LOCAL, or a family that names nobody, with a sum that does not match."""
    command, family = dice.choice([(LOCAL, UNSPEC), (LOCAL, TCP4), (PROXY, UNSPEC)])
    block = bytes(SIZES.get(family, 0))
    return v2_raw(command, family, block + tlv(headers.CRC32C, b"\1\2\3\4"))


def unique_id_too_long(dice):
    return v2(*endpoints(dice), tlvs=tlv(headers.UNIQUE_ID, bytes(dice.choice([129, 200, 1000]))))


def damaged_signature(dice):
    good = v2(*endpoints(dice))
    place = dice.randint(0, 11)
    return good[:place] + bytes([good[place] ^ dice.randint(1, 255)]) + good[place + 1 :]


def no_header(dice):
    hello = bytes.fromhex("16030100c8010000c40303") + dice.randbytes(64)
    http = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"
    spp = headers.spp(*endpoints(dice))
    return dice.choice(
        [
            hello,
            http,
            spp,
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            b"",
            b"\r\n",
            b"\0",
            b"P",
            b"\r",
            dice.randbytes(20),
        ]
    )


GOOD = [
    tcp4,
    tcp6,
    tcp6_with_mapped_ipv4,
    edge_ports,
    special_source,
    with_tlvs,
    with_crc32c,
    local,
    health_check,
    unspec,
    other_kinds_of_client,
    twice,
    large,
]
BAD = [
    other_version,
    other_command,
    other_family,
    other_transport,
    long_of_an_unknown_kind,
    length_below_the_block,
    length_beyond_the_end,
    length_into_the_tlvs,
    tlv_overruns,
    wrong_crc32c,
    crc32c_of_another_length,
    two_crc32c,
    wrong_crc32c_without_client,
    unique_id_too_long,
    damaged_signature,
    no_header,
]
