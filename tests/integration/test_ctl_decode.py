# SPDX-License-Identifier: MIT
"""mmproxyctl decode: what it says of headers in hex, in raw files and in captures."""

import json
import random
import struct
import subprocess

import pytest

import captures
import ctl
import headers
import test_headers
from captures import BALANCER6, MMPROXY6, connection, pcap, tcp, udp
from headers import CLIENT4, CLIENT6, SERVICE4, spp, tlv, v1, v2, v2_udp
from sessions import send
from settings import configuration, listener

PAYLOAD = b"payload"


def run(*words, given=b"", timeout=30):
    """Bytes in, text out."""
    command = [ctl.binary(), "decode", *map(str, words)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=timeout)
    done.stdout, done.stderr = done.stdout.decode("ascii"), done.stderr.decode("ascii")
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def result(*words, given=b""):
    """The whole result by --json, and the exit status that belongs to it."""
    done = run("--json", *words, given=given)
    assert done.stderr == "" and done.stdout.count("\n") == 1, done
    decoded = json.loads(done.stdout)
    good = decoded["accepted"] > 0 and decoded["incomplete"] + decoded["refused"] == 0
    assert done.returncode == (0 if good else 1)
    # What people read is made of the same.
    assert run(*words, given=given).returncode == done.returncode
    return decoded


def decode(data, *words):
    """The one header that the raw bytes have."""
    [header] = result("--format", "raw", *words, given=data)["headers"]
    return header


def refusal(done):
    """The one line of an input that cannot be read."""
    assert done.returncode == 2 and done.stdout == "", done
    [line] = done.stderr.splitlines()
    assert line.startswith("mmproxyctl: ")
    return line


@pytest.fixture
def write(tmp_path):
    """write(bytes) is the path of a file that has them."""

    def make(data, name="input"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def capture(write):
    """capture(packets, ...) is the result of a pcap with them."""

    def make(packets, *words, **options):
        return result("--file", write(pcap(packets, **options)), *words)

    return make


# What the daemon says, decode says.


@pytest.mark.parametrize("name", test_headers.ACCEPTED)
def test_what_the_daemon_accepts_is_accepted(name):
    data, client = test_headers.ACCEPTED[name]
    header = decode(data + PAYLOAD)
    assert header["verdict"] == "accepted"
    host = f"[{client[0]}]" if ":" in client[0] else client[0]
    assert header["client"] == f"{host}:{client[1]}"
    assert header["header_length"] == len(data)
    assert (header["payload"], header["payload_length"]) == ("payload", len(PAYLOAD))


@pytest.mark.parametrize("name", test_headers.REFUSED)
def test_what_the_daemon_refuses_is_refused_for_the_same_reason(name):
    data, reason = test_headers.REFUSED[name]
    header = decode(data)
    assert (header["verdict"], header["reason"]) == ("refused", reason)
    assert header["why"]
    assert header["byte"] == data[header["offset"]]


@pytest.mark.parametrize("name", test_headers.ACCEPTED)
def test_a_header_that_breaks_off_is_incomplete(name):
    data, _ = test_headers.ACCEPTED[name]
    for length in {1, 5, len(data) // 2, len(data) - 1}:
        header = decode(data[:length])
        assert header["verdict"] == "incomplete"
        if not header["missing_more"]:
            assert header["missing"] == len(data) - length
        assert header["missing"] <= len(data) - length


def test_local_names_no_client():
    for data in headers.local(), headers.nlb_health_check(), b"PROXY UNKNOWN whatever\r\n":
        header = decode(data)
        assert header["verdict"] == "accepted" and header["local"]
        assert "client" not in header
    check = decode(headers.nlb_health_check())
    assert [one["name"] for one in check["tlvs"]] == ["CRC32C", "NOOP"]
    assert check["tlvs"][0]["right"]


@pytest.mark.parametrize(
    "client, reason, hint",
    [
        ("127.0.0.1", "source-loopback", "permit_sources of the listener lets it in, if it is a client of yours"),
        ("::1", "source-loopback", "permit_sources of the listener lets it in, if it is a client of yours"),
        ("169.254.1.1", "source-link-local", "permit_sources of the listener lets it in, if it is a client of yours"),
        ("240.0.0.1", "source-reserved", "permit_sources of the listener lets it in, if it is a client of yours"),
        ("224.0.0.1", "source-multicast", "no socket can send from this address"),
        ("255.255.255.255", "source-broadcast", "no socket can send from this address"),
        ("0.0.0.0", "source-unspecified", "no socket can send from this address"),
    ],
)
def test_the_source_policy_has_its_say(client, reason, hint):
    for data in v1((client, 1)), v2((client, 1)):
        header = decode(data)
        assert (header["verdict"], header["reason"]) == ("refused", reason)
        assert header["hint"] == hint
        assert header["client"]


def test_a_datagram_is_judged_as_one():
    assert decode(v2_udp(CLIENT4), "--udp")["framing"] == "every or first"
    assert decode(spp(CLIENT6) + PAYLOAD, "--udp")["client"] == "[2001:db8:c::9]:41006"
    assert decode(spp(CLIENT4), "--udp")["framing"] == "spp"
    assert decode(v2(CLIENT4), "--udp")["reason"] == "transport-mismatch"
    assert decode(v1(CLIENT4), "--udp")["reason"] == "transport-mismatch"
    cut = decode(v2_udp(CLIENT4)[:-1], "--udp")
    assert (cut["reason"], cut["missing"]) == ("header-truncated", 1)
    wrong = decode(v2_udp(CLIENT4))
    assert wrong["reason"] == "transport-mismatch" and "--udp" in wrong["hint"]


def test_max_header_is_the_setting():
    data = headers.padded(CLIENT4, 4097)
    header = decode(data)
    assert header["reason"] == "header-too-long" and "max_header" in header["hint"]
    assert decode(data, "--max-header", 4097)["verdict"] == "accepted"


def test_a_sender_without_a_header_is_guessed():
    header = decode(bytes.fromhex("160301020001"))
    assert header["hint"].startswith("looks like a TLS hello")
    assert header["first_bytes"] == "\\x16\\x03\\x01\\x02\\x00\\x01"


def test_tlvs_are_named():
    clouds = tlv(0xEE, b"\x01\x07\0\0\0") + tlv(0xE0, struct.pack("!Q", 2**40))
    header = decode(v2(CLIENT4, tlvs=test_headers.ALL_TLVS + clouds, crc=True))
    found = {one["name"]: one for one in header["tlvs"]}
    assert found["ALPN"]["text"] == "h2"
    assert found["AWS VPC endpoint id"]["text"].startswith("vpce-")
    assert found["Azure private endpoint link id"]["value"] == 7
    assert found["Google PSC connection id"]["value"] == str(2**40)
    assert found["CRC32C"]["right"]
    assert found["experiment"]["hex"] == "000102"
    ssl = found["SSL"]
    assert ssl["verify"] == 0 and ssl["flags"] == ["ssl", "cert-conn", "cert-sess"]
    assert [one["text"] for one in ssl["tlvs"]] == ["TLSv1.3", "client.example"]


def test_a_wrong_checksum_is_shown_beside_the_right_one():
    data = v2(CLIENT4, crc=True)
    header = decode(data[:-1] + bytes([data[-1] ^ 1]))
    assert header["reason"] == "v2-crc32c"
    assert header["tlvs"][0]["due"] == "0x" + data[-4:].hex()
    assert header["offset"] == len(data) - 4


# How people read it.


def test_a_header_is_printed_a_field_a_line():
    done = run(v2(CLIENT4, SERVICE4, tlvs=tlv(headers.ALPN, b"h2")).hex() + PAYLOAD.hex())
    assert done.stdout.splitlines() == [
        "input        hex, 40 bytes",
        "header       PROXY v2, command PROXY, TCP4, 33 bytes",
        "client       203.0.113.9:41000",
        "destination  192.0.2.80:443",
        'payload      7 bytes, "payload"',
        'TLV          0x01 ALPN, 2 bytes: "h2"',
        "verdict      accepted",
    ]


def test_a_refusal_is_printed_with_why_and_where():
    done = run("GET / HTTP/1.1\\r\\n")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        "header       none",
        'first bytes  "GET / HTTP/1.1\\x0d\\x0a"',
        "verdict      refused: header-missing",
        "why          the first bytes are not the header that the listener expects",
        "where        byte 0, 0x47 (the first is 0)",
        "hint         looks like an HTTP request: the sender does not send a PROXY header",
    ]


def test_what_is_missing_is_printed():
    assert "\nverdict      incomplete: 12 more bytes\n" in run(v2(CLIENT4)[:16].hex()).stdout
    assert "incomplete: at least 2 more bytes" in run("PROXY UNKNOWN").stdout


def test_escapes_do_not_reach_the_terminal():
    evil = b"\x1b]0;owned\x07\n\x9b"
    tlvs = tlv(headers.AUTHORITY, evil) + tlv(headers.SSL, bytes(5) + tlv(headers.SSL_CN, evil))
    for data in v2(CLIENT4, tlvs=tlvs) + evil, b"PROXY " + evil + b"\r\n", evil:
        for words in [], ["--json"]:
            text = run("--format", "raw", *words, given=data).stdout
            assert "owned" in text
            assert all(" " <= c <= "~" or c == "\n" for c in text), repr(text)


# What is given, and how.


def test_hex_is_taken_as_it_is_pasted(write):
    data = v2(CLIENT6, tlvs=tlv(headers.ALPN, b"h2"))
    words = [f"{byte:02x}" for byte in data]
    forms = [
        data.hex(),
        data.hex().upper(),
        " ".join(words),
        ":".join(words),
        "\n".join(words),
        ", ".join("0x" + word for word in words),
        "0x" + data.hex(),
        "".join("\\x" + word for word in words),
    ]
    for form in forms:
        assert result(form)["headers"][0]["verdict"] == "accepted", form
        assert result(given=form.encode())["headers"][0]["verdict"] == "accepted", form
    # Without quotes, the shell makes words of it.
    assert result(*words)["headers"][0]["client"] == "[2001:db8:c::9]:41006"
    assert result("--file", write(data))["input"] == "raw"
    assert result("--file", "-", given=data)["input"] == "raw"
    assert result("-", given=data)["input"] == "raw"


def _dump(data, offset, gap):
    """Lines of 16 bytes as xxd -g1 and hexdump -C write them."""
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        halves = row[:8].hex(" ") + gap + row[8:].hex(" ")
        yield f"{at:08x}{offset}{halves:49}  " + (f"|{text}|" if offset == "  " else text)


def test_dumps_are_taken(write):
    data = v2(CLIENT4, tlvs=test_headers.ALL_TLVS, crc=True) + b"00000010  payload"
    due = result("--file", write(data))["headers"]
    for offset, gap in [(": ", " "), ("  ", "  ")]:
        dump = "\n".join(_dump(data, offset, gap)) + "\n"
        assert result(given=dump.encode())["headers"] == due, dump
    od = subprocess.run(["od", "-An", "-v", "-tx1"], input=data, capture_output=True, check=True)
    assert result(given=od.stdout)["headers"] == due


def test_the_first_bytes_of_a_log_line_are_taken():
    line = (
        "2026-11-28T20:21:22.123Z warning session: refused listener=web reason=header-missing "
        'balancer=198.51.100.7:4711 first_bytes="\\x16\\x03\\x01 \\"\\\\" hint="looks like"'
    )
    found = result(given=line.encode())
    assert found["input"] == "escaped"
    assert found["headers"][0]["length"] == 6
    assert found["headers"][0]["first_bytes"] == '\\x16\\x03\\x01 \\"\\\\'


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_a_daemon_logs_is_taken(host, start_daemon, log_format):
    """The whole line; bytes that its quotes have to be careful with."""
    data = b'\x16\x03\x01 "\\" \xff\n'
    mmproxy = start_daemon(host, config=configuration(listener(), log={"format": log_format}))
    send(host, data)
    logged = mmproxy.wait_for_log("header-missing")
    [line] = [one for one in mmproxy.log().splitlines() if "header-missing" in one]
    found = result(given=line.encode() + b"\n")
    assert found["input"] == "escaped" and logged
    [header] = found["headers"]
    assert header == decode(data)


def test_a_line_of_v1_is_raw():
    assert result(given=v1(CLIENT4))["input"] == "raw"
    assert result(v1(CLIENT4).decode()[:-2] + "\\r\\n")["headers"][0]["verdict"] == "accepted"
    [header] = result(given=v1(CLIENT4).replace(b"\r", b""))["headers"]
    assert header["reason"] == "v1-line-end"


@pytest.mark.parametrize(
    "words, due",
    [
        (["0d0a0"], 'line 1, column 1: "0d0a0" has an odd number of digits; a byte is two'),
        (["0d0a0d0a000d0a51xx"], 'line 1, column 17: "x" is no hex; a byte is two of 0-9 and a-f'),
        (["--format", "hex", "hello"], 'line 1, column 1: "h" is no hex'),
        (["ab\\q"], 'line 1, column 3: "\\q" is no escape'),
        ([""], "HEX: there is not a byte to decode"),
        ([], "standard input: there is not a byte to decode"),
        (["--file", "/nonexistent"], "/nonexistent: No such file or directory"),
        (["--file", "/"], "/: Is a directory"),
        (["--file", "/dev/null"], "/dev/null: there is not a byte to decode"),
        (["--file", "/dev/null", "0d"], "decode takes HEX or --file, not both"),
        (["--format", "pcap", "0d"], "a pcap is read from a file"),
        (["--format", "pcap"], "standard input: no capture that libpcap can read"),
        (["--format", "png"], '--format: "png" is none of hex, raw and pcap'),
        (["--max-header", "106"], '--max-header: "106" is not a number from 107 to 65551'),
        (["--client", "192.0.2.1"], "decode does not take --client"),
    ],
)
def test_what_cannot_be_read_is_a_clear_line(words, due):
    assert due in refusal(run(*words))


def test_input_is_bounded():
    """From a pipe that never ends."""
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        streams = {"stdin": endless.stdout, "capture_output": True}
        done = subprocess.run([ctl.binary(), "decode"], text=True, timeout=50, **streams)
    finally:
        endless.kill()
        endless.wait()
    assert "standard input: more than 64 MiB" in refusal(done)


def test_a_full_disk_is_no_answer():
    with open("/dev/full", "w") as full:
        command = [ctl.binary(), "decode", v2(CLIENT4).hex()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "standard output cannot be written" in done.stderr


@pytest.mark.deadline(240)
def test_junk_is_never_more_than_refused(write):
    """Headers and captures with bytes changed, cut and doubled: a verdict or a line, no crash."""
    chance = random.Random(7)
    whole = [
        v2(CLIENT4, tlvs=test_headers.ALL_TLVS, crc=True),
        v1(CLIENT6),
        spp(CLIENT4),
        pcap(connection(v2(CLIENT4) + PAYLOAD) + [udp(spp(CLIENT4))]),
        captures.pcapng(connection(v1(CLIENT4)) + [udp(v2_udp(CLIENT4))]),
        v2(CLIENT4).hex(":").encode(),
        b"00000000: 0d0a 0d0a  ....\n00000004: 000d\n",
        b'first_bytes="\\x0d\\x0a"',
    ]
    for _ in range(300):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = data[: chance.randrange(1, len(data) + 1)] + data[: chance.choice([0, 0, 9])]
        done = run(*chance.choice([[], ["--udp"], ["--json"]]), given=bytes(data))
        assert done.returncode in (0, 1, 2), (bytes(data), done)
        assert (done.returncode == 2) == (done.stderr != "")


# Captures.


@pytest.mark.parametrize(
    "link",
    [captures.ETHERNET, captures.NULL, captures.LOOP, captures.RAW, captures.SLL, captures.SLL2],
)
def test_every_link_type_is_read(capture, link):
    six = {"source": BALANCER6, "destination": MMPROXY6}
    packets = [
        *connection(v2(CLIENT4) + PAYLOAD),
        *connection(v1(CLIENT6), **six),
        udp(v2_udp(CLIENT4)),
        udp(spp(CLIENT6), **six),
    ]
    found = capture(packets, link=link)
    assert (found["packets"], found["accepted"]) == (len(packets), 4)
    assert [(one["from"], one["to"]) for one in found["headers"]] == [
        ("198.51.100.7:40000", "198.51.100.1:8443"),
        ("[2001:db8::7]:40000", "[2001:db8::1]:8443"),
    ] * 2
    assert [one["header"] for one in found["headers"]] == ["v2", "v1", "v2", "spp"]
    assert [one["packet"] for one in found["headers"]] == [4, 8, 9, 10]
    assert found["headers"][0]["payload_length"] == len(PAYLOAD)


def test_pcaps_of_either_order_and_pcapng_are_recognised(write):
    packets = connection(v2(CLIENT4))
    for data in (
        pcap(packets, order=">"),
        pcap(packets, magic=0xA1B23C4D),
        pcap(packets, order=">", magic=0xA1B23C4D),
        captures.pcapng(packets),
    ):
        assert result("--file", write(data))["accepted"] == 1
        # From a pipe, of which the magic number has been read by then.
        assert result(given=data)["accepted"] == 1
        assert result("--format", "pcap", given=data)["accepted"] == 1


def test_vlans_options_and_extension_headers_are_passed(write):
    extensions = [(0, b"\0" + b"\1\4\0\0\0\0"), (43, bytes(7)), (60, b"\1" + bytes(14))]
    six = {"source": BALANCER6, "destination": MMPROXY6, "extensions": extensions}
    packets = [udp(v2_udp(CLIENT4), options=b"\1" * 8), udp(v2_udp(CLIENT6), **six)]
    link = captures.ETHERNET
    tagged = [captures.linked(link, packet, vlans=(7, 8)) for packet in packets]
    records = b"".join(struct.pack("<IIII", 0, 0, len(one), len(one)) + one for one in tagged)
    found = result("--file", write(pcap([]) + records))
    assert found["accepted"] == 2


def test_headers_are_put_together_from_segments(capture):
    data = v2(CLIENT4, tlvs=test_headers.ALL_TLVS, crc=True)
    for cuts in [(1,), (12, 13, 14, 15, 16, 28), tuple(range(1, len(data)))]:
        packets = connection(data + PAYLOAD, cuts=cuts)
        segments = packets[3:]
        orders = [segments, segments[::-1], segments[1::2] + segments[::2] + segments]
        for order in orders if len(segments) < 60 else orders[:1]:
            [header] = capture(packets[:3] + order)["headers"]
            assert header["verdict"] == "accepted" and header["payload"] == "payload"


def test_sequence_numbers_may_wrap(capture):
    packets = connection(v2(CLIENT4) + PAYLOAD, cuts=(10, 20), sequence=2**32 - 15)
    assert capture(packets)["accepted"] == 1


def test_a_connection_without_a_header_shows_who_connected(capture):
    packets = connection(b"SSH-2.0-client\r\n")
    greeting = tcp(b"SSH-2.0-server\r\n", captures.MMPROXY, captures.BALANCER, sequence=5000)
    found = capture(packets[:3] + [greeting] + packets[3:])
    [header] = found["headers"]
    assert header["reason"] == "header-missing"
    assert header["first_bytes"] == "SSH-2.0-client\\x0d\\x0a"
    assert header["hint"].startswith("looks like SSH")
    assert header["from"] == "198.51.100.7:40000"


def test_a_capture_that_begins_late_says_so(write):
    path = write(pcap([tcp(b"in the middle")]))
    [header] = result("--file", path)["headers"]
    assert header["late"] and header["reason"] == "header-missing"
    assert "the capture has not seen this connection begin" in run("--file", path).stdout


def test_connections_on_which_nobody_speaks_are_counted(capture):
    found = capture(connection(b"")[:3] + connection(v1(CLIENT4), source=("198.51.100.7", 5)))
    assert (found["silent"], found["accepted"]) == (1, 1)


def test_a_short_snaplen_leaves_headers_incomplete(write):
    data = v2(CLIENT4, tlvs=test_headers.ALL_TLVS)
    packets = connection(data + PAYLOAD) + [udp(v2_udp(CLIENT4) + PAYLOAD)]
    for snaplen, verdicts in [(82, ["incomplete", "accepted"]), (60, ["incomplete"] * 2)]:
        path = write(pcap(packets, snaplen=snaplen))
        found = result("--file", path)["headers"]
        assert [one["verdict"] for one in found] == verdicts
        assert found[0]["cut"]
        # Of six bytes nobody knows yet how long the header is.
        assert found[0]["missing"] == (len(data) - 28 if snaplen == 82 else 10)
        assert "the capture does not have them" in run("--file", path).stdout
    found = result("--file", write(pcap(packets, snaplen=40)))
    assert found["skipped"]["broken"] == len(packets)
    assert found["headers"] == []


def test_fragments_and_other_packets_are_counted(write):
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    six = {"source": BALANCER6, "destination": MMPROXY6}
    packets = [
        udp(v2_udp(CLIENT4), fragment=0x2000),
        udp(v2_udp(CLIENT4), fragment=1),
        udp(v2_udp(CLIENT6), extensions=[(44, b"\0\0\1" + bytes(4))], **six),
    ]
    data = pcap(packets) + struct.pack("<IIII", 0, 0, len(arp), len(arp)) + arp
    done = run("--file", write(data))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "4 packets: 0 accepted, 0 incomplete, 0 refused",
        "3 packets skipped: IP fragments",
        "1 packet skipped: neither TCP nor UDP",
    ]


def test_datagrams_are_shown_where_they_have_a_header_or_begin_a_flow(capture):
    other = ("198.51.100.7", 53)
    packets = [
        udp(v2_udp(CLIENT4) + b"one"),
        udp(b"bare, of the same flow"),
        udp(b"answer", captures.MMPROXY, captures.BALANCER),
        udp(v2_udp(CLIENT6) + b"two"),
        udp(b"bare, and nobody knows it", other),
        udp(b"", ("198.51.100.7", 54)),
    ]
    found = capture(packets)
    assert [one["packet"] for one in found["headers"]] == [1, 4, 5, 6]
    reasons = [one.get("reason") for one in found["headers"]]
    assert reasons == [None, None, "header-missing", "header-truncated"]


def test_what_is_shown_is_bounded_and_what_is_not_is_judged(write):
    packets = [udp(v2_udp(CLIENT4), ("198.51.100.7", 1000 + i)) for i in range(150)]
    path = write(pcap(packets + [udp(b"bare", ("198.51.100.7", 999))]))
    found = result("--file", path)
    assert (len(found["headers"]), found["left_out"]) == (100, 51)
    assert (found["accepted"], found["refused"]) == (150, 1)
    assert len(result("--file", path, "--limit", 2)["headers"]) == 2
    assert result("--file", path, "--limit", 1000)["left_out"] == 0
    assert "51 more were judged and not shown; --limit N shows more" in run("--file", path).stdout


def test_many_connections_are_no_trouble(capture):
    packets = []
    for i in range(3000):
        packets += connection(v1(CLIENT4), source=(f"198.51.{i >> 8}.{i & 255}", 2000 + i))
    found = capture(packets, "--limit", 10000)
    assert found["accepted"] == 3000
    numbers = [one["packet"] for one in found["headers"]]
    assert numbers == sorted(numbers)


def test_a_capture_that_breaks_off_shows_what_there_was(write):
    data = pcap(connection(v2(CLIENT4)) + [udp(v2_udp(CLIENT4))])
    done = run("--file", write(data[:-5]))
    assert done.returncode == 2
    assert "verdict      accepted" in done.stdout
    assert "cannot be read behind packet 4: truncated dump file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_captures_that_cannot_be_read_are_a_clear_line(write):
    wireless = write(pcap([]).replace(struct.pack("<I", 1), struct.pack("<I", 105)))
    line = refusal(run("--file", wireless))
    assert "link type 105, IEEE802_11;" in line and "Ethernet, raw IP" in line
    assert "no capture that libpcap can read" in refusal(run("--file", write(pcap([])[:10])))
    assert run("--file", write(pcap([]))).returncode == 1


def test_captures_may_be_larger_than_other_input(tmp_path):
    """70 MiB of it is payload that nobody wants."""
    bulk = bytes(60000)
    ends = connection(v2(CLIENT4), cuts=())
    with open(tmp_path / "large", "wb") as large:
        large.write(pcap(ends))
        for i in range(1200):
            large.write(pcap([tcp(bulk, sequence=1028 + i * len(bulk))])[24:])
    found = result("--file", tmp_path / "large")
    assert found["accepted"] == 1
    assert found["headers"][0]["payload_length"] == 1200 * len(bulk)


def test_the_version_says_what_was_built_in():
    done = subprocess.run([ctl.binary(), "--version"], capture_output=True, text=True)
    assert "\n+libpcap\n" in done.stdout
