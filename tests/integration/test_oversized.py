# SPDX-License-Identifier: MIT
"""Too much of everything: headers, TLVs, datagrams, allow lists and configurations."""

import pytest

import headers
from headers import CLIENT4, spp, v1, v2, v2_udp
from sessions import MMPROXY, open_session, send
from settings import configuration, listener
from traffic import read_exactly, wait_until_ended
from udp import Balancer, framings, question

# What the fixed part of a v2 header may announce.
ANNOUNCES_64_KIB = headers.v2_raw(headers.PROXY, headers.TCP4, b"", length=65535)


# Headers.


@pytest.mark.parametrize(
    "first, second",
    [
        (v1(CLIENT4), v2(("203.0.113.77", 7))),
        (v2(CLIENT4), v1(("203.0.113.77", 7))),
        (v1(CLIENT4), v1(("203.0.113.77", 7))),
        (v2(CLIENT4), headers.local()),
        (v2(CLIENT4), spp(("203.0.113.77", 7))),
    ],
    ids=["v2_in_v1", "v1_in_v2", "v1_in_v1", "local_in_v2", "spp_in_v2"],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_second_header_is_payload_whichever_it_is(
    first, second, together, host, mmproxy, upstream
):
    connection = send(host, first + second if together else first)
    accepted, peer = upstream.accept()
    if not together:
        connection.sendall(second)
    assert peer == CLIENT4
    assert read_exactly(accepted, len(second)) == second


@framings
@pytest.mark.parametrize("second", ["v1", "v2", "spp"])
def test_a_second_header_in_a_datagram_is_payload(second, framing, host, start_udp, udp_upstream):
    start_udp(host, framing)
    payload = {"v1": v1, "v2": v2_udp, "spp": spp}[second](("203.0.113.77", 7)) + b"payload"
    balancer = Balancer(host, framing)
    assert question(balancer, udp_upstream, CLIENT4, payload) == CLIENT4
    if framing != "first":
        return
    # Behind the first datagram only a v2 header is none of the payload: it announces a client.
    if second == "v2":
        balancer.send_bare(payload)
        payload, (address, _) = udp_upstream.receive()
        assert (payload, address) == (b"payload", "203.0.113.77")
    else:
        assert question(balancer, udp_upstream, CLIENT4, payload, header=False) == CLIENT4


def test_a_header_that_announces_64_kib_is_refused_by_its_first_16_bytes(host, mmproxy, upstream):
    wait_until_ended(send(host, ANNOUNCES_64_KIB))
    mmproxy.assert_closed("header-too-long")
    upstream.assert_untouched()


def test_headers_that_only_announce_64_kib_cost_no_more_than_they_bring(host, start_daemon):
    mmproxy = start_daemon(
        host, max_header=65551, header_timeout=60.0, top={"log": {"level": "info"}}
    )
    # What is there once for all sessions is there before the measurement.
    for _ in range(50):
        send(host, ANNOUNCES_64_KIB)
    mmproxy.wait_for_counter("sessions_accepted", 50)
    mmproxy.wait_until_idle()
    memory = mmproxy.memory("RssAnon")
    for _ in range(1000):
        send(host, ANNOUNCES_64_KIB)
    mmproxy.wait_for_counter("sessions_accepted", 1050)
    mmproxy.wait_until_idle()
    # 64 MiB have been announced. Of each there is a page or two, with the session.
    mmproxy.assert_memory_grew_less(memory, 1000 * 12288, "RssAnon")


@pytest.mark.parametrize(
    "header, reason",
    [
        (b"PROXY TCP4 " + b"1" * 97, "v1-too-long"),
        (b"PROXY TCP4 " + b"1" * 100000, "v1-too-long"),
        (b"PROXY UNKNOWN " + b"x" * 94, "v1-too-long"),
        (v2(CLIENT4, tlvs=b"\x04\xff\xff"), "v2-tlv"),
        (v2(CLIENT4, tlvs=headers.tlv(headers.NOOP, bytes(100))[:-1]), "v2-tlv"),
        (headers.padded(CLIENT4, 4097), "header-too-long"),
    ],
    ids=["line_of_108", "line_of_100_kb", "unknown_of_108", "tlv_beyond", "tlv_cut", "too_long"],
)
def test_a_header_that_is_too_much_is_refused(header, reason, host, mmproxy, upstream):
    connection = send(host, header)
    wait_until_ended(connection)
    mmproxy.assert_closed(reason)
    upstream.assert_untouched()


def test_the_longest_header_of_all_is_taken_where_it_may_be(host, start_daemon, upstream):
    start_daemon(host, max_header=65551)
    connection = send(host, headers.padded(CLIENT4, 65551) + b"x")
    accepted, peer = upstream.accept()
    assert peer == CLIENT4 and read_exactly(accepted, 1) == b"x"
    connection.close()


@pytest.mark.parametrize("framing", ["every", "first"])
def test_a_datagram_whose_header_reaches_beyond_it_is_refused(
    framing, host, start_udp, udp_upstream
):
    mmproxy = start_udp(host, framing, max_header=65551)
    balancer = Balancer(host, framing)
    cut = headers.v2_raw(headers.PROXY, headers.UDP4, bytes(60000), length=65535)
    balancer.send_bare(cut)
    mmproxy.assert_closed("header-truncated")
    # As much as a datagram can be, and all of it header.
    whole = headers.v2_raw(headers.PROXY, headers.UDP4, v2_udp(CLIENT4)[16:] + b"\x04\xff\xff")
    balancer.send_bare(whole + bytes(65507 - len(whole)))
    mmproxy.assert_closed("v2-tlv")
    udp_upstream.assert_untouched()
    question(balancer, udp_upstream, CLIENT4, b"and on")


# Allow lists.


BAD_LISTS = {
    "a_line_of_100_kb": ("192.0.2.0/24\n" + "1" * 100000 + "\n", ":2: "),
    "a_prefix_of_60_kb": ("192.0.2.0/24\n" + "1" * 60000 + "\n", ":2: "),
    "a_nul": ("192.0.2.0/24\n\0\n", ":2: "),
    "65_mib": (("#" + "x" * 1022 + "\n") * (65 * 1024), "far too large"),
    "a_thousand_mistakes": ("nonsense\n" * 1000, ":1: "),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_an_allow_list_that_is_too_much_starts_nothing(name, host, start_daemon, tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "balancers"
    text, place = BAD_LISTS[name]
    path.write_text(text)
    config = configuration(listener(subnets=None, subnets_files=[str(path)]))
    made = start_daemon(host, config=config, ready=False)
    assert made.wait_until_ended() == 2
    said = made.log()
    assert place in said and str(path) in said
    # However much was wrong, what is said of it has an end, and so has each line.
    assert len(said) < 65536
    assert all(len(line) < 1000 for line in said.splitlines())


def test_an_allow_list_of_200000_prefixes_is_kept_to(host, start_daemon, upstream, tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "balancers"
    lines = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32" for n in range(0, 400000, 2)]
    path.write_text("\n".join(lines) + "\n127.0.0.1\n")
    mmproxy = start_daemon(host, subnets=None, subnets_files=[str(path)])
    open_session(host, upstream)
    connection = host.connect(MMPROXY, source=("127.0.0.2", 0))
    wait_until_ended(connection)
    mmproxy.assert_closed("balancer-not-allowed")


# Configurations.

ONE = configuration(listener())

BAD_CONFIGURATIONS = {
    "a_name_of_60_kb": configuration(listener("x" * 60000)),
    "a_line_of_1_mib": ONE + 'user = "' + "x" * (1 << 20) + '";\n',
    "a_path_of_60_kb": configuration(listener(), control={"socket": "/" + "x" * 60000}),
    "100000_brackets": "listeners = " + "(" * 100000 + ")" * 100000 + ";\n",
    "1000_groups_deep": "listeners = (" + "{ a = " * 1000 + "1;" + " };" * 1000 + ");\n",
    "5_mib": ONE + ("# " + "x" * 1000 + "\n") * 5300,
    "100000_settings": ONE + "".join(f"a{number} = 1;\n" for number in range(100000)),
    "a_list_of_50000_numbers": configuration(listener(listen=list(range(50000)))),
}


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_a_configuration_that_is_too_much_starts_nothing(name, host, start_daemon):
    made = start_daemon(host, config=BAD_CONFIGURATIONS[name], ready=False)
    assert made.wait_until_ended(30) == 2
    said = made.log()
    assert "mmproxy.conf" in said
    assert len(said) < 65536
    assert all(len(line) < 1000 for line in said.splitlines())


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_a_reload_of_too_much_changes_nothing(name, host, start_daemon, upstream):
    mmproxy = start_daemon(host)
    session = open_session(host, upstream)
    mmproxy.write_config(BAD_CONFIGURATIONS[name])
    assert mmproxy.reload().event == "config: reload failed, nothing changed"
    session[0].sendall(b"still there")
    assert read_exactly(session[1], 11) == b"still there"
    open_session(host, upstream, ("203.0.113.9", 42000))


def many(count):
    return [
        listener(f"l{number}", listen=f"127.{1 + number // 250}.1.{1 + number % 250}:8443")
        for number in range(count)
    ]


@pytest.mark.deadline(120)
def test_a_thousand_listeners_serve(host, start_daemon, upstream):
    mmproxy = start_daemon(host, config=configuration(*many(1000), workers=2))
    for number in 0, 499, 999:
        connection = host.connect((f"127.{1 + number // 250}.1.{1 + number % 250}", 8443))
        connection.sendall(v2((CLIENT4[0], 40000 + number)))
        assert upstream.accept()[1] == (CLIENT4[0], 40000 + number)
    assert mmproxy.descriptors() >= 2000


def test_more_listeners_than_descriptors_end_the_start_with_one_line(host, start_daemon):
    made = start_daemon(
        host,
        config=configuration(*many(300), workers=2, log={"level": "info"}),
        ready=False,
        launch={"prefix": ["prlimit", "--nofile=256:256"]},
    )
    assert made.wait_until_ended() == 1
    (line,) = made.log_lines("cannot listen")
    assert "Too many open files" in line.text or "EMFILE" in line.text
