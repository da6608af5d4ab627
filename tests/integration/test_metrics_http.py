# SPDX-License-Identifier: MIT
"""The metrics' HTTP: what is answered, where it listens, and what its clients may cost."""

import contextlib
import os
import socket
import time

import pytest

from headers import CLIENT4, v2
from metrics import CONNECTIONS_MAX, CONTENT_TYPE, LISTEN, config, request, scrape
from sessions import open_session, send
from settings import listener
from traffic import read_exactly, read_to_end, wait_until_ended
from waiting import steady, wait_until

GET = b"GET /metrics HTTP/1.1\r\nHost: mmproxy\r\n\r\n"


@pytest.fixture
def mmproxy(host, start_daemon):
    return start_daemon(host, config=config())


def assert_relays(session):
    connection, accepted = session
    connection.sendall(b"ping")
    assert read_exactly(accepted, 4) == b"ping"


# What is answered.


def test_get_answers_with_the_text_and_its_content_type(host, mmproxy):
    response, text = request(host)
    assert response.status == 200
    assert response.getheader("Content-Type") == CONTENT_TYPE
    assert int(response.getheader("Content-Length")) == len(text)
    assert text.startswith("# HELP mmproxy_build_info ")


def test_head_answers_like_get_without_the_text(host, mmproxy):
    response, text = request(host, method="HEAD")
    assert (response.status, text) == (200, "")
    assert response.getheader("Content-Type") == CONTENT_TYPE
    assert int(response.getheader("Content-Length")) > 5000


def test_a_query_behind_the_path_changes_nothing(host, mmproxy):
    response, text = request(host, "/metrics?name[]=up")
    assert response.status == 200 and "mmproxy_sessions" in text


def test_the_root_says_where_the_metrics_are(host, mmproxy):
    response, text = request(host, "/")
    assert response.status == 200
    assert text == "mmproxy: the metrics are at /metrics\n"
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/metrics/", "/Metrics", "/favicon.ico", "//metrics", "/a" * 900])
def test_nothing_else_is_there(host, mmproxy, path):
    response, text = request(host, path)
    assert response.status == 404 and "/metrics" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_other_methods_are_not_allowed(host, mmproxy, method):
    response, _ = request(host, method=method, body="x" * 1000)
    assert response.status == 405
    assert response.getheader("Allow") == "GET, HEAD"
    assert scrape(host).value("mmproxy_draining") == 0


def test_a_connection_may_ask_again_and_again(host, mmproxy):
    connection = host.connect(LISTEN)
    for _ in range(50):
        connection.sendall(GET)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert read_exactly(connection, length).startswith(b"# HELP ")


# Where.


def test_it_listens_on_ipv6(host, start_daemon):
    start_daemon(host, config=config(listen="[::1]:9464"))
    seen = scrape(host, address=("::1", 9464))
    assert seen.value("mmproxy_config_generation") == 1


def test_started_as_root_it_may_have_a_port_below_1024(host, start_daemon):
    mmproxy = start_daemon(host, config=config(listen="127.0.0.1:81"))
    assert scrape(host, address=("127.0.0.1", 81)).value("mmproxy_draining") == 0
    assert mmproxy.status("CapEff") == "0000000000001000"


def test_without_the_setting_nothing_listens(host, start_daemon):
    start_daemon(host)
    with pytest.raises(ConnectionRefusedError):
        host.connect(LISTEN)


def test_an_address_that_is_taken_ends_the_start_with_one_line(host, start_daemon):
    taken = host.socket()
    taken.bind(LISTEN)
    taken.listen()
    mmproxy = start_daemon(host, config=config(), ready=False)
    assert mmproxy.wait_until_ended() == 1
    (line,) = mmproxy.log_lines("cannot listen")
    assert line.level == "error" and line.event == "metrics: cannot listen"
    assert line["where"].startswith(f"{mmproxy.config_file}:")
    assert line["listen"] == "127.0.0.1:9464"
    assert "in use" in line["error"]


def test_the_socket_is_closed_for_a_program_that_is_executed(host, mmproxy):
    with open(f"/proc/{mmproxy.pid}/net/tcp") as file:
        wanted = "0100007F:%04X" % LISTEN[1]
        inode = next(line.split()[9] for line in file if line.split()[1] == wanted)
    assert f"socket:[{inode}]" in links(mmproxy)
    number = links(mmproxy)[f"socket:[{inode}]"]
    with open(f"/proc/{mmproxy.pid}/fdinfo/{number}") as file:
        flags = next(line.split()[1] for line in file if line.startswith("flags:"))
    assert int(flags, 8) & 0o2000000, flags


def links(mmproxy):
    folder = f"/proc/{mmproxy.pid}/fd"
    return {os.readlink(f"{folder}/{number}"): number for number in os.listdir(folder)}


# What its clients may cost.


def test_many_connections_are_bounded_and_hold_up_nobody(host, mmproxy, upstream):
    session = open_session(host, upstream)
    before = mmproxy.descriptors()
    crowd = [host.connect(LISTEN) for _ in range(60)]
    steady(mmproxy.descriptors, 0.3, 5, "no more connections are accepted")
    assert before < mmproxy.descriptors() <= before + CONNECTIONS_MAX
    assert_relays(session)
    used = mmproxy.cpu_seconds()
    time.sleep(1)
    assert mmproxy.cpu_seconds() - used < 0.2, "it waits without spinning"
    assert_relays(session)
    for connection in crowd:
        connection.close()
    assert scrape(host).value("mmproxy_sessions", listener="web", protocol="tcp") == 1
    wait_until(lambda: mmproxy.descriptors() == before, 5, "every descriptor is given back")


def test_those_who_wait_for_a_connection_get_one(host, mmproxy):
    crowd = [host.connect(LISTEN) for _ in range(3 * CONNECTIONS_MAX)]
    for connection in crowd:
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    for connection in crowd:
        assert read_to_end(connection)[0].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2,
        b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X-Header: value\r\n" * 10000 + b"\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"\r\n" * 20000,
        b"\0" * 20000,
    ],
    ids=["tls", "long_url", "many_headers", "version", "length", "empty_lines", "zeros"],
)
def test_garbage_is_answered_or_hung_up_on(host, mmproxy, upstream, garbage):
    session = open_session(host, upstream)
    connection = host.connect(LISTEN)
    with contextlib.suppress(OSError):
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
    text, _ = read_to_end(connection)
    assert text == b"" or text.startswith(b"HTTP/1.")
    assert b"# HELP" not in text
    assert_relays(session)
    assert scrape(host).value("mmproxy_draining") == 0


def test_a_client_that_stops_in_the_middle_is_closed_after_ten_seconds(host, mmproxy, upstream):
    session = open_session(host, upstream)
    began = time.monotonic()
    slow = host.connect(LISTEN)
    slow.settimeout(15)
    slow.sendall(GET[:20])
    assert_relays(session)
    wait_until_ended(slow, 15)
    assert 9 <= time.monotonic() - began <= 13
    assert_relays(session)


def test_a_client_that_reads_nothing_costs_little(host, mmproxy, upstream):
    session = open_session(host, upstream)
    before, memory = mmproxy.descriptors(), mmproxy.memory()
    deaf = host.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(LISTEN)
    deaf.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(100000):
            deaf.send(GET)
    steady(lambda: mmproxy.cpu_seconds() // 0.2, 0.5, 10, "it has stopped answering")
    used = mmproxy.cpu_seconds()
    time.sleep(1)
    assert mmproxy.cpu_seconds() - used < 0.2, "it waits without spinning"
    assert_relays(session)
    assert scrape(host).value("mmproxy_sessions", listener="web", protocol="tcp") == 1
    mmproxy.assert_memory_grew_less(memory, 2 << 20)
    deaf.close()
    wait_until(lambda: mmproxy.descriptors() == before, 5, "its connection is closed")


def test_a_scrape_does_not_take_a_sessions_descriptors(host, start_daemon, upstream):
    """The connections of HTTP are set aside when the sessions' descriptors are counted."""
    prefix = ["prlimit", "--nofile=160:160"]
    mmproxy = start_daemon(host, config=config(workers=1), launch={"prefix": prefix})
    crowd = [host.connect(LISTEN) for _ in range(CONNECTIONS_MAX - 1)]
    limit = int(scrape(host).value("mmproxy_tcp_sessions_limit"))
    sessions = []
    for number in range(limit):
        sessions.append((send(host, v2((CLIENT4[0], 20000 + number))), upstream.accept()[0]))
    for session in sessions:
        assert_relays(session)
    seen = scrape(host)
    assert seen.value("mmproxy_sessions", listener="web", protocol="tcp") == limit > 10
    assert seen.value("process_open_fds") <= seen.value("process_max_fds") == 160
    assert not mmproxy.log_lines("level=error|failed")
    for connection in crowd:
        connection.close()


@pytest.mark.deadline(120)
def test_scraping_all_the_time_leaks_nothing(host, start_daemon):
    mmproxy = start_daemon(host, config=config(listener(), log={"level": "info"}))

    def scrape_often(times=1500):
        for _ in range(times):
            scrape(host)

    scrape_often(300)
    before = mmproxy.descriptors()
    mmproxy.assert_a_round_leaves_less(scrape_often, 256 << 10)
    wait_until(lambda: mmproxy.descriptors() <= before, 5, "no descriptor is lost")
