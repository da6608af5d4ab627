# SPDX-License-Identifier: MIT
"""Kinds of version 1 lines, good and bad: a function each, which makes one with its dice.

Where a kind has a fault, all else in the line is in order, so that a verdict is about the fault.
"""

import ipaddress

LONGEST = 107

SPECIAL4 = (
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "169.254.9.9",
    "240.0.0.1",
    "0.1.2.3",
)
SPECIAL6 = (
    "::",
    "::1",
    "ff02::1",
    "fe80::1",
    "::192.0.2.1",
    "64:ff9b::c000:201",
    "fc00::1",
    "::ffff:127.0.0.1",
)


def ipv4(dice):
    """An address that any host may have."""
    return str(
        ipaddress.IPv4Address(
            bytes(
                [dice.choice([11, 45, 100, 172, 192, 203])]
                + [dice.randint(1, 254) for _ in range(3)]
            )
        )
    )


def ipv6(dice):
    """The same in its shortest form, with a run of zeros or without."""
    words = [dice.choice([0x2001, 0x2A00, 0x2606]), *(dice.randint(1, 0xFFFF) for _ in range(7))]
    start = dice.randint(1, 6)
    for index in range(start, min(start + dice.randint(0, 6), 8)):
        words[index] = 0
    return str(ipaddress.IPv6Address(":".join(f"{word:x}" for word in words)))


def port(dice):
    return dice.randint(1, 65535)


def line(dice, six=None, **changes):
    """A good line, or one in which the named fields are these texts."""
    six = dice.random() < 0.5 if six is None else six
    address = ipv6 if six else ipv4
    fields = {
        "protocol": "TCP6" if six else "TCP4",
        "source": address(dice),
        "destination": address(dice),
        "source_port": str(port(dice)),
        "destination_port": str(port(dice)),
        **changes,
    }
    return ("PROXY " + " ".join(fields.values()) + "\r\n").encode("latin-1")


def tcp4(dice):
    return line(dice, six=False)


def tcp6(dice):
    return line(dice, six=True)


def tcp6_in_another_form(dice):
    """All digits, upper case, or zeros written out."""
    form = dice.choice(["exploded", "upper", "zeros"])

    def written():
        address = ipaddress.IPv6Address(ipv6(dice))
        if form == "exploded":
            return address.exploded
        if form == "upper":
            return str(address).upper()
        return ":".join(f"{int(word, 16):x}" for word in address.exploded.split(":"))

    return line(dice, six=True, source=written(), destination=written())


def tcp6_with_one_zero_written_as_colons(dice):
    """The last of eight words, 0, as "::": the shortest run there can be."""
    words = [f"{dice.randint(1, 0xFFFF):x}" for _ in range(6)]
    return line(dice, six=True, source=":".join(["2001", *words]) + "::")


def tcp6_with_mapped_ipv4(dice):
    form = dice.choice(["::ffff:{}", "::FFFF:{}", "0:0:0:0:0:ffff:{}", "hexadecimal"])

    def written():
        address = ipaddress.IPv4Address(ipv4(dice))
        if form == "hexadecimal":
            return f"::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"
        return form.format(address)

    return line(dice, six=True, source=written(), destination=written())


def tcp6_with_a_dotted_end(dice):
    """IPv6 whose last 32 bits are written like IPv4, and which is no mapped address."""
    return line(dice, six=True, source=f"2001:db8::{ipv4(dice)}")


def edge_ports(dice):
    ports = dice.sample(["0", "1", "1023", "1024", "65535"], 2)
    return line(dice, source_port=ports[0], destination_port=ports[1])


def unknown(dice):
    return b"PROXY UNKNOWN\r\n"


def unknown_with_addresses(dice):
    return line(dice, protocol="UNKNOWN")


def unknown_with_rubbish(dice):
    """Up to the longest line there may be; never a line end inside."""
    others = [byte for byte in range(256) if byte not in b"\r\n"]
    return (
        b"PROXY UNKNOWN " + bytes(dice.choices(others, k=dice.randint(0, LONGEST - 16))) + b"\r\n"
    )


def unknown_of_a_length(dice):
    """Around the longest line, 107 bytes."""
    length = dice.choice([105, 106, 107, 108, 109, 120, 300])
    return b"PROXY UNKNOWN ".ljust(length - 2, b"x") + b"\r\n"


def special_address(dice):
    """One that no client has, or that only looks special; and whether it is of IPv6."""
    six = dice.random() >= 0.5
    return dice.choice(SPECIAL6 if six else SPECIAL4), six


def special_source(dice):
    source, six = special_address(dice)
    return line(dice, six=six, source=source)


# From here on nothing is as the specification wants it.

BAD_PORTS = [
    "65536",
    "65600",
    "70000",
    "99999",
    "100000",
    "4294967297",
    "080",
    "00",
    "065535",
    "+80",
    "-1",
    "8a",
    "0x50",
    "80.",
    "a",
]


def bad_source_port(dice):
    return line(dice, source_port=dice.choice(BAD_PORTS))


def bad_destination_port(dice):
    return line(dice, destination_port=dice.choice(BAD_PORTS))


BAD_IPV4 = [
    "256.0.113.9",
    "203.0.113.999",
    "203.000.113.9",
    "203.0.113.09",
    "203.0.113",
    "203.0.113.9.1",
    "203.0..9",
    ".0.113.9",
    "203.0.113.",
    "0xcb.0.113.9",
    "3405803785",
    "203.0.113.9a",
    "localhost",
    "203.0.113.-9",
]
BAD_IPV6 = [
    "2001:db8",
    "2001:db8:1:2:3:4:5:6:7",
    "2001::db8::1",
    ":2001:db8::1",
    "2001:db8::1:",
    "2001:db8::12345",
    "2001:db8::g",
    "fe80::1%eth0",
    ":::",
    "2001:db8::1.2.3",
    "[2001:db8::1]",
    ":",
]


def _bad_address(dice, field):
    six = dice.random() < 0.5
    return line(dice, six=six, **{field: dice.choice(BAD_IPV6 if six else BAD_IPV4)})


def bad_source(dice):
    return _bad_address(dice, "source")


def bad_destination(dice):
    return _bad_address(dice, "destination")


def nul_in_an_address(dice):
    six = dice.random() < 0.5
    field = dice.choice(["source", "destination"])
    return line(
        dice, six=six, **{field: (ipv6 if six else ipv4)(dice) + "\0" + dice.choice(["", "9"])}
    )


def family_of_the_other(dice):
    """The addresses of one protocol, or one of them, behind the other's name."""
    six = dice.random() < 0.5
    stranger = ipv4 if six else ipv6
    which = dice.choice([["source"], ["destination"], ["source", "destination"]])
    return line(dice, six=six, **{field: stranger(dice) for field in which})


def other_protocol(dice):
    protocols = [
        "TCP",
        "TCP5",
        "TCP46",
        "UDP4",
        "UDP6",
        "tcp4",
        "Tcp6",
        "unknown",
        "UNKNOW",
        "UNKNOWNS",
        "UNIX",
        "",
        "4",
        "TCP4\t",
        "TCP\0",
    ]
    return line(dice, protocol=dice.choice(protocols))


def other_start(dice):
    start = dice.choice(
        [
            b"proxy ",
            b"Proxy ",
            b"PROXY",
            b"PROXY\t",
            b"PROXY  ",
            b" PROXY ",
            b"PROXZ ",
            b"PROXIES ",
            b"P ",
        ]
    )
    return start + line(dice)[len("PROXY ") :]


def another_space(dice):
    """Two spaces, a tab or none where one space belongs; or one at the end."""
    parts = line(dice)[:-2].split(b" ")
    place = dice.randint(2, len(parts))
    space = dice.choice([b"  ", b"\t", b" \t", b"", b"\0", b"   "])
    rest = b" ".join(parts[place:])
    return b" ".join(parts[:place]) + (space + rest if rest else b" ") + b"\r\n"


def fields_missing(dice):
    return b" ".join(line(dice)[:-2].split(b" ")[: dice.randint(1, 5)]) + b"\r\n"


def fields_too_many(dice):
    more = dice.choice([b"1", b"x", b"443", b"TCP4 192.0.2.1", b"\0"])
    return line(dice)[:-2] + b" " + more + b"\r\n"


def other_line_end(dice):
    end = dice.choice(
        [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r \n", b"", b"\0\r\n", b"\n\n", b"\r\0\n"]
    )
    start = dice.choice([line(dice)[:-2], b"PROXY UNKNOWN", b"PROXY UNKNOWN text"])
    return start + end


def tcp6_too_long(dice):
    """Two addresses that each end like IPv4, in as many digits as there can be."""
    address = ":".join(["ffff"] * 6) + ":255.255.255.255"
    return line(dice, six=True, source=address, destination=address, source_port="65535")


GOOD = [
    tcp4,
    tcp6,
    tcp6_in_another_form,
    tcp6_with_one_zero_written_as_colons,
    tcp6_with_mapped_ipv4,
    tcp6_with_a_dotted_end,
    edge_ports,
    unknown,
    unknown_with_addresses,
    unknown_with_rubbish,
    unknown_of_a_length,
    special_source,
]
BAD = [
    bad_source_port,
    bad_destination_port,
    bad_source,
    bad_destination,
    nul_in_an_address,
    family_of_the_other,
    other_protocol,
    other_start,
    another_space,
    fields_missing,
    fields_too_many,
    other_line_end,
    tcp6_too_long,
]
