# SPDX-License-Identifier: MIT
"""Bytes through a session: all of them, in order, to the end, and no more of them in memory than a
fixed amount."""

import hashlib
import os
import random
import socket
import time

import pytest

from headers import CLIENT4, CLIENT6, v2
from sessions import MMPROXY, clients, either_side, ends, open_session, send
from traffic import (
    EOF,
    Background,
    fill,
    fill_until_throttled,
    hash_to_end,
    read_exactly,
    read_to_end,
    send_and_finish,
)
from upstreams import Server, echo
from waiting import steady

MIB = 1 << 20


@either_side
def test_after_one_side_half_closes_the_other_still_sends(side, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    question, answer = os.urandom(4 * MIB), os.urandom(4 * MIB)
    sender = Background(send_and_finish, first, question)
    assert read_to_end(second) == (question, EOF)
    sender.result()
    sender = Background(send_and_finish, second, answer)
    assert read_to_end(first) == (answer, EOF)
    sender.result()
    line = mmproxy.wait_for_log("session: closed")
    assert line["reason"] == "finished"
    assert line["client"] == "%s:%d" % CLIENT4
    assert line["header"] == "v2"
    sizes = line["bytes_from_client"], line["bytes_from_upstream"]
    assert sizes == (str(len(question)), str(len(answer)))


@either_side
def test_a_half_close_does_not_overtake_data_pending_both_ways(side, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    there, back = os.urandom(8 * MIB), os.urandom(8 * MIB)
    # Neither reads yet: both directions are full when the first one closes its half.
    senders = [Background(send_and_finish, first, there), Background(second.sendall, back)]
    readers = [Background(read_to_end, second), Background(read_exactly, first, len(back))]
    assert readers[0].result() == (there, EOF)
    assert readers[1].result() == back
    for sender in senders:
        sender.result()
    second.shutdown(socket.SHUT_WR)
    assert read_to_end(first) == (b"", EOF)


@either_side
def test_a_half_close_in_the_same_moment_as_the_last_byte(side, host, mmproxy, upstream):
    for number in range(100):
        first, second = ends(open_session(host, upstream, (CLIENT4[0], 20000 + number)), side)
        send_and_finish(first, b"last words %d" % number)
        assert read_to_end(second) == (b"last words %d" % number, EOF)
        send_and_finish(second, b"and the answer")
        assert read_to_end(first) == (b"and the answer", EOF)
        first.close()
        second.close()
    mmproxy.wait_for_counter("sessions_closed_finished", 100)


def test_a_client_that_half_closes_behind_its_header_gets_the_answer(host, mmproxy, upstream):
    connection = host.connect(MMPROXY)
    send_and_finish(connection, v2(CLIENT4) + b"question")
    accepted, _ = upstream.accept()
    assert read_to_end(accepted) == (b"question", EOF)
    send_and_finish(accepted, b"answer")
    assert read_to_end(connection) == (b"answer", EOF)


@pytest.mark.deadline(120)
def test_100_mb_each_way_arrive_bit_exact(host, mmproxy, upstream):
    connection, accepted = open_session(host, upstream)
    there, back = os.urandom(100_000_000), os.urandom(100_000_000)
    senders = [
        Background(send_and_finish, connection, there),
        Background(send_and_finish, accepted, back),
    ]
    readers = [Background(hash_to_end, accepted), Background(hash_to_end, connection)]
    assert readers[0].result() == (hashlib.sha256(there).hexdigest(), len(there), EOF)
    assert readers[1].result() == (hashlib.sha256(back).hexdigest(), len(back), EOF)
    for sender in senders:
        sender.result()
    line = mmproxy.wait_for_log("session: closed")
    assert line["reason"] == "finished"
    assert line["bytes_from_client"] == line["bytes_from_upstream"] == "100000000"


def test_8_mib_both_ways_at_once_with_the_first_bytes_behind_the_header(host, mmproxy, upstream):
    connection = host.connect(MMPROXY)
    there, back = os.urandom(8 * MIB), os.urandom(8 * MIB)
    senders = [Background(send_and_finish, connection, v2(CLIENT4) + there)]
    accepted, _ = upstream.accept()
    senders.append(Background(send_and_finish, accepted, back))
    readers = [Background(read_to_end, accepted), Background(read_to_end, connection)]
    assert readers[0].result() == (there, EOF)
    assert readers[1].result() == (back, EOF)
    for sender in senders:
        sender.result()


@either_side
def test_a_reader_that_stops_throttles_the_sender_and_costs_no_memory(
    side, host, mmproxy, upstream
):
    host.shrink_buffers()
    reader, writer = ends(open_session(host, upstream), side)
    before = mmproxy.memory()
    sent = hashlib.sha256()
    taken = fill_until_throttled(writer, digest=sent)
    assert taken < 4 * MIB
    mmproxy.assert_memory_grew_less(before, 2 * MIB)
    # The reader wakes up and finds all of it.
    writer.shutdown(socket.SHUT_WR)
    assert hash_to_end(reader) == (sent.hexdigest(), taken, EOF)


@either_side
def test_a_slow_reader_gets_every_byte(side, host, mmproxy, upstream):
    host.shrink_buffers(65536)
    reader, writer = ends(open_session(host, upstream), side)
    data = os.urandom(2 * MIB)
    sender = Background(send_and_finish, writer, data)
    received = bytearray()
    while piece := reader.recv(4099):
        received += piece
        if len(received) % 7 == 0:
            mmproxy.wait_until_idle()
    sender.result()
    assert received == data


def test_fifty_readers_that_stop_cost_no_more_than_a_fixed_amount_each(host, mmproxy, upstream):
    host.shrink_buffers(65536)
    sessions = [open_session(host, upstream, (CLIENT4[0], 20000 + number)) for number in range(50)]
    before = mmproxy.memory()
    for _, accepted in sessions:
        steady(lambda end=accepted: fill(end, limit=64 * MIB), 0.02, 20, "the sender is throttled")
    mmproxy.assert_memory_grew_less(before, 50 * 128 * 1024)


@pytest.mark.parametrize("seed", range(4))
def test_random_conversations_arrive_bit_exact(seed, host, mmproxy, upstream):
    """Twelve sessions with pieces of any size, readers of any speed, half-closes at any time."""
    chance = random.Random(seed)
    conversations = []
    for client in clients(12):
        session = open_session(host, upstream, client)
        for end, other in session, session[::-1]:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, chance.choice([131072, 400_000, MIB]))
            data = chance.randbytes(chance.choice([0, 1, 5000, 300_000, 3_000_000]))
            sender = Background(talk, end, data, random.Random(chance.random()))
            reader = Background(listen, other, chance.randrange(1, 99999))
            conversations.append((data, sender, reader))
    for data, sender, reader in conversations:
        sender.result()
        assert reader.result() == (data, EOF)
    mmproxy.assert_closed("finished", 12)


def talk(connection, data, chance):
    offset = 0
    while offset < len(data):
        size = chance.choice([1, 100, 1460, 16384, 70000, 500_000])
        connection.sendall(data[offset : offset + size])
        offset += size
        if chance.random() < 0.1:
            time.sleep(chance.random() / 200)
    connection.shutdown(socket.SHUT_WR)


def listen(connection, size):
    data = bytearray()
    while piece := connection.recv(size):
        data += piece
    return bytes(data), EOF


def test_500_sessions_at_once(host, mmproxy):
    server = Server(host, echo)
    clients = [(f"203.0.113.{1 + number % 250}", 20000 + number) for number in range(500)]
    connections = []
    for client in clients:
        connection = send(host, v2(client) + b"first")
        connections.append(connection)
    for connection in connections:
        assert read_exactly(connection, 5) == b"first"
    assert {server.next_peer() for _ in clients} == set(clients)
    # All are up: each is asked once more, and told apart.
    for number, connection in enumerate(connections):
        connection.sendall(b"session %04d" % number)
    for number, connection in enumerate(connections):
        assert read_exactly(connection, 12) == b"session %04d" % number
        connection.shutdown(socket.SHUT_WR)
    for connection in connections:
        assert read_to_end(connection) == (b"", EOF)
    counters = mmproxy.wait_for_counter("sessions_closed_finished", 500)
    assert counters["sessions_accepted"] == counters["sessions_closed_finished"] == 500
    server.close()


@pytest.mark.deadline(120)
def test_more_streams_than_a_user_may_have_pipes_for_all_get_through(host, mmproxy):
    """The kernel gives the pipes of one user 16,384 pages; what has none is copied."""
    server = Server(host, echo)
    data = os.urandom(2 * MIB)
    connections = [send(host, v2(client)) for client in clients(100)]
    senders = []
    for connection in connections:
        connection.settimeout(60)
        senders.append(Background(send_and_finish, connection, data))
    # Nobody reads yet: every stream is stuck half-way, with whatever it holds.
    for _ in connections:
        server.next_peer()
    mmproxy.wait_until_idle()
    wanted = (hashlib.sha256(data).hexdigest(), len(data), EOF)
    readers = [Background(hash_to_end, connection) for connection in connections]
    for reader, sender in zip(readers, senders):
        assert reader.result() == wanted
        sender.result()
    server.close()


def test_a_burst_of_200_connections(host, mmproxy):
    server = Server(host, echo)
    connections = []
    for number in range(200):
        connection = host.socket()
        connection.setblocking(False)
        connection.connect_ex(MMPROXY)
        connections.append(connection)
    for number, connection in enumerate(connections):
        connection.settimeout(20)
        connection.sendall(v2((CLIENT4[0], 20000 + number)) + b"%03d" % number)
    for number, connection in enumerate(connections):
        assert read_exactly(connection, 3) == b"%03d" % number
    peers = {server.next_peer() for _ in connections}
    assert peers == {(CLIENT4[0], 20000 + number) for number in range(200)}
    server.close()


@pytest.mark.parametrize("client", [CLIENT4, CLIENT6], ids=["ipv4", "ipv6"])
def test_a_second_session_of_a_live_client_tuple_gets_another_port(
    client, host, mmproxy, upstream, upstream6
):
    listener = upstream6 if ":" in client[0] else upstream
    first, first_accepted = open_session(host, listener, client)
    send(host, v2(client) + b"second")
    second_accepted, (address, port) = listener.accept()
    assert address == client[0]
    assert port != client[1]
    assert read_exactly(second_accepted, 6) == b"second"
    first.sendall(b"first")
    assert read_exactly(first_accepted, 5) == b"first"
    mmproxy.assert_counter("port_conflicts")


def test_an_upstream_that_speaks_first_is_heard(host, mmproxy, upstream):
    connection, accepted = open_session(host, upstream)
    accepted.sendall(b"220 service ready\r\n")
    assert read_exactly(connection, 19) == b"220 service ready\r\n"
    connection.sendall(b"QUIT\r\n")
    assert read_exactly(accepted, 6) == b"QUIT\r\n"


@either_side
def test_urgent_data_neither_stalls_nor_loses_the_rest(side, host, mmproxy, upstream):
    first, second = ends(open_session(host, upstream), side)
    first.sendall(b"before")
    first.send(b"!", socket.MSG_OOB)
    first.sendall(b"between")
    first.send(b"!", socket.MSG_OOB)
    first.sendall(b"behind")
    first.shutdown(socket.SHUT_WR)
    received, end = read_to_end(second)
    assert received.replace(b"!", b"") == b"beforebetweenbehind"
    assert end == EOF


def test_urgent_data_inside_a_stream_does_not_spin(host, mmproxy, upstream):
    connection, accepted = open_session(host, upstream)
    connection.send(b"!", socket.MSG_OOB)
    connection.sendall(b"x")
    accepted.recv(1)
    before = mmproxy.cpu_seconds()
    time.sleep(1.0)  # the window the time is measured over
    assert mmproxy.cpu_seconds() - before < 0.1


def test_single_bytes_go_back_and_forth_at_once(host, mmproxy):
    server = Server(host, echo)
    connection = send(host, v2(CLIENT4))
    for number in range(500):
        byte = bytes([number % 256])
        connection.sendall(byte)
        assert connection.recv(1) == byte
    server.close()


def test_a_session_over_ipv6_carries_streams(host, mmproxy, upstream6):
    connection, accepted = open_session(host, upstream6, CLIENT6)
    data = os.urandom(8 * MIB)
    sender = Background(send_and_finish, connection, data)
    assert read_to_end(accepted) == (data, EOF)
    sender.result()
    sender = Background(send_and_finish, accepted, data)
    assert read_to_end(connection) == (data, EOF)
    sender.result()
