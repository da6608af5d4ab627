# SPDX-License-Identifier: MIT
"""UDP flows that the kernel carries are mmproxy's as before: shown, counted, limited, ended."""

import time

import pytest

import control
from daemon import passing
from fail_call import FailCall
from headers import CLIENT4
from offload_udp import assert_none_pinned, end_of, flow, hand_over, kill
from settings import configuration, udp_listener
from udp import (
    Balancer,
    answer,
    crowd,
    framings,
    headed_framings,
    question,
    round_trip,
    text,
    wait_until_closed,
)
from udp_alive import repeated, set_idle_timeout
from upstreams import Datagrams

pytest_plugins = ["hooks", "offload_udp"]

ONE_WORKER = {"workers": 1}


def pass_some(balancer, upstream, client=CLIENT4, count=10):
    """Questions of 5 bytes, and twice as many answers of 3 bytes."""
    for _ in range(count):
        question(balancer, upstream, client, b"12345")
        for _ in range(2):
            answer(balancer, upstream, client, client, b"abc")


# Counted.


@framings
def test_everything_is_counted_to_the_byte(framing, host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    before = flow(mmproxy)
    pass_some(balancer, udp_upstream)
    wanted = {
        "datagrams_from_client": before["datagrams_from_client"] + 10,
        "bytes_from_client": before["bytes_from_client"] + 50,
        "datagrams_from_upstream": before["datagrams_from_upstream"] + 20,
        "bytes_from_upstream": before["bytes_from_upstream"] + 60,
    }
    # At once, whoever asks.
    shown = flow(mmproxy)
    assert {name: shown[name] for name in wanted} == wanted
    assert shown["idle"] < 5
    # And in all, within a second or two.
    for name, value in wanted.items():
        mmproxy.assert_counter(name, value)
    control.request(mmproxy, f"kill {shown['id']}")
    assert end_of(mmproxy) == ("killed", wanted)
    counters = mmproxy.counters()
    assert {name: counters[name] for name in wanted} == wanted
    assert_none_pinned(pins)


def test_what_passed_since_the_last_look_is_counted_at_the_end(
    host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    number = flow(mmproxy)["id"]
    before = mmproxy.counters()
    pass_some(balancer, udp_upstream)
    control.request(mmproxy, f"kill {number}")
    _, counted = end_of(mmproxy)
    after = mmproxy.counters()
    assert {name: after[name] for name in counted} == counted
    assert after["datagrams_from_client"] - before["datagrams_from_client"] == 10
    assert_none_pinned(pins)


def test_flows_have_no_sockets(host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    descriptors = None
    for client in crowd(50):
        hand_over(host, mmproxy, balancer, udp_upstream, client)
        # The first takes those for what is left to mmproxy.
        descriptors = descriptors or mmproxy.descriptors()
    assert mmproxy.descriptors() <= descriptors + 1
    listed = control.request(mmproxy, "sessions limit=100")["sessions"]
    assert [shown["state"] for shown in listed] == ["offloaded"] * 50
    assert pins.count("udp_flows") == 50


# Ended.


@framings
def test_a_flow_ends_when_it_is_idle_and_not_before(
    framing, host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host, framing, idle_timeout=60)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    with repeated(lambda: question(balancer, udp_upstream, CLIENT4)):
        set_idle_timeout(mmproxy, 4.0)
        time.sleep(5.5)  # what the kernel passes keeps it alive: that is what is tested
    last = time.time()
    answer(balancer, udp_upstream, CLIENT4, CLIENT4)
    line = wait_until_closed(mmproxy, CLIENT4)
    assert line["reason"] == "idle-timeout"
    assert line.time() - last > 3.9
    assert mmproxy.counters()["offload_udp_returned"] == 0
    assert_none_pinned(pins)


def test_answers_alone_keep_it_alive(host, start_offloaded, udp_upstream):
    # The kernel itself goes by what it is when it gets the flow, and a second.
    mmproxy = start_offloaded(host, idle_timeout=3.0)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    with repeated(lambda: answer(balancer, udp_upstream, CLIENT4, CLIENT4)):
        time.sleep(4.5)  # as above
        assert flow(mmproxy)["state"] == "offloaded"


def test_each_of_many_ends_when_its_time_has_come(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, idle_timeout=60)
    balancer = Balancer(host)
    clients = crowd(6)
    for client in clients:
        hand_over(host, mmproxy, balancer, udp_upstream, client)
        question(balancer, udp_upstream, client)
    kept, left = clients[:3], clients[3:]

    def ask():
        for client in kept:
            question(balancer, udp_upstream, client)

    with repeated(ask):
        set_idle_timeout(mmproxy, 3.0)
        for client in left:
            assert wait_until_closed(mmproxy, client)["reason"] == "idle-timeout"
        for client in kept:
            assert not mmproxy.log_lines(f"session: closed .*client={text(client)} ")
    ask()
    assert mmproxy.counters()["sessions_accepted"] == 6


def test_who_was_silent_longest_makes_room_by_what_the_kernel_has_seen(
    host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(
        host, max_flows=3, listen="127.0.0.1:8443", top=ONE_WORKER
    )
    balancer = Balancer(host)
    one, two, three, four, five = crowd(5)
    for client in one, two, three:
        hand_over(host, mmproxy, balancer, udp_upstream, client)
    # Unseen by mmproxy: that one was used last of all.
    for client in two, one:
        question(balancer, udp_upstream, client)
        time.sleep(0.01)  # its clock has milliseconds
    for _ in range(2):
        round_trip(balancer, udp_upstream, four)
    assert wait_until_closed(mmproxy, three)["reason"] == "flow-evicted"
    question(balancer, udp_upstream, one)
    for _ in range(2):
        round_trip(balancer, udp_upstream, five)
    assert wait_until_closed(mmproxy, two)["reason"] == "flow-evicted"
    assert flow(mmproxy, one)["state"] == "offloaded"
    mmproxy.assert_closed("flow-evicted", 2)


def test_a_flow_that_was_killed_is_gone_and_the_client_has_another(
    host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    first = flow(mmproxy)["id"]
    control.request(mmproxy, f"kill {first}")
    assert end_of(mmproxy)[0] == "killed"
    assert_none_pinned(pins)
    hand_over(host, mmproxy, balancer, udp_upstream)
    assert flow(mmproxy)["id"] != first


def test_by_choice_a_drain_ends_it_when_it_is_quiet(host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host, top={"drain_timeout": 30, "offload_at_exit": "drain"})
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    with repeated(lambda: round_trip(balancer, udp_upstream, CLIENT4)):
        mmproxy.terminate()
        mmproxy.wait_for_log("daemon: stopping")
        time.sleep(1.5)  # it is not quiet
        assert mmproxy.process.poll() is None
    assert mmproxy.wait_until_ended() == 0
    assert end_of(mmproxy)[0] == "shutdown"
    assert_none_pinned(pins)


def test_by_choice_the_end_of_mmproxy_ends_it(host, start_offloaded, udp_upstream, pins):
    mmproxy = start_offloaded(host, top={"offload_at_exit": "drain"})
    hand_over(host, mmproxy, Balancer(host), udp_upstream)
    mmproxy.stop()
    assert end_of(mmproxy)[0] == "shutdown"
    assert_none_pinned(pins)


def test_a_listener_that_a_reload_removes_keeps_it_until_it_is_quiet(
    host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host, max_flows=100)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    other = udp_listener("other", listen="127.0.0.1:8444", max_flows=100)
    mmproxy.write_config(configuration(other, drain_timeout=0, **pins.settings))
    with repeated(lambda: round_trip(balancer, udp_upstream, CLIENT4)):
        assert mmproxy.reload().event == "config: reloaded"
        time.sleep(1.5)  # it is not quiet
        assert not mmproxy.log_lines("session: closed")
    assert end_of(mmproxy)[0] == "shutdown"
    assert_none_pinned(pins)


@framings
def test_plugins_hear_of_its_end_once_with_all_that_passed(
    framing, host, start_offloaded, udp_upstream, record
):
    mmproxy = start_offloaded(
        host, framing, idle_timeout=3.0, plugins=[record.entry("first", "recorder")]
    )
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    pass_some(balancer, udp_upstream)
    reason, counted = end_of(mmproxy)
    assert reason == "idle-timeout"
    closed = record.wait_for("closed")
    assert {name: int(closed[name]) for name in counted} == counted
    assert record.hooks() == ["first filter", "first connected", "first closed"]


def test_taken_back_it_is_connected_no_second_time(host, start_offloaded, udp_upstream, record):
    mmproxy = start_offloaded(host, plugins=[record.entry("first", "recorder")])
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    question(balancer, udp_upstream, CLIENT4, bytes(20000))
    mmproxy.assert_counter("offload_udp_returned")
    control.request(mmproxy, f"kill {flow(mmproxy)['id']}")
    record.wait_for("closed")
    assert record.hooks() == ["first filter", "first connected", "first closed"]


# Through the world's changes.


def test_it_outlives_its_upstreams_restart(host, start_offloaded):
    mmproxy = start_offloaded(host)
    upstream, balancer = Datagrams(host), Balancer(host)
    hand_over(host, mmproxy, balancer, upstream)
    upstream.close()
    for _ in range(3):
        balancer.send(CLIENT4, b"into the void")
    upstream = Datagrams(host)
    assert round_trip(balancer, upstream, CLIENT4) == CLIENT4
    assert flow(mmproxy)["state"] == "offloaded"
    assert mmproxy.counters()["sessions_accepted"] == 1


@headed_framings
@pytest.mark.parametrize("workers", [1, 4])
def test_replies_follow_a_balancer_that_moves(
    workers, framing, host, start_offloaded, udp_upstream
):
    mmproxy = start_offloaded(host, framing, top={"workers": workers})
    hand_over(host, mmproxy, Balancer(host, framing), udp_upstream)
    # From one socket to the next, of whatever worker, and back.
    balancers = [Balancer(host, framing) for _ in range(6)]
    for balancer in balancers * 2:
        for number in range(3):
            assert round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number) == CLIENT4
    if workers == 1:
        assert mmproxy.counters()["offload_udp_returned"] >= 1
    # It takes longer from time to time, until the kernel gets it again.
    for number in range(300):
        round_trip(balancers[0], udp_upstream, CLIENT4, b"%d" % number)
    assert mmproxy.counters()["offload_udp_moved"] >= 2


# Across an end of mmproxy.


def assert_taken_over(framing, host, start_offloaded, upstream, balancer, before, passed):
    """The next mmproxy knows it: who it was, since when, and all that has passed."""
    following = start_offloaded(host, framing)
    assert following.counters()["offload_adopted"] == 1
    after = flow(following)
    for name in "id", "listener", "client", "balancer", "destination", "upstream", "header":
        assert after[name] == before[name]
    assert after["age"] >= before["age"] - 1
    for name in "datagrams_from_client", "datagrams_from_upstream":
        assert after[name] == before[name] + passed
    # An answer finds its way though nobody has asked since.
    upstream.send(b"late", CLIENT4)
    assert balancer.receive(CLIENT4) == b"late"
    hand_over(host, following, balancer, upstream)
    assert round_trip(balancer, upstream, CLIENT4) == CLIENT4
    return following


@framings
def test_it_goes_on_without_mmproxy_and_the_next_one_takes_over(
    framing, host, start_offloaded, udp_upstream, pins
):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    before = flow(mmproxy)
    kill(mmproxy)
    for number in range(5):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    assert_taken_over(framing, host, start_offloaded, udp_upstream, balancer, before, 5)


@framings
def test_who_stops_leaves_it_to_the_next(framing, host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, framing)
    balancer = Balancer(host, framing)
    hand_over(host, mmproxy, balancer, udp_upstream)
    before = flow(mmproxy)
    mmproxy.stop()
    reason, counts = end_of(mmproxy)
    assert reason == "left-to-kernel"
    assert counts["datagrams_from_client"] == before["datagrams_from_client"]
    for number in range(5):
        round_trip(balancer, udp_upstream, CLIENT4, b"%d" % number)
    following = assert_taken_over(
        framing, host, start_offloaded, udp_upstream, balancer, before, 5
    )
    # What the first has counted is not counted again.
    passed = flow(following)["datagrams_from_client"] - counts["datagrams_from_client"]
    assert following.counters()["datagrams_from_client"] == passed


def test_a_start_that_fails_takes_over_none_of_them(host, start_offloaded, udp_upstream):
    clients = crowd(4)  # of either worker
    mmproxy = start_offloaded(host, "first")
    balancers = [Balancer(host, "first") for _ in clients]
    for balancer, client in zip(balancers, clients):
        hand_over(host, mmproxy, balancer, udp_upstream, client)
    mmproxy.stop()
    shim = FailCall()
    shim.arm("pthread_create", "EAGAIN", at=2)
    launch = {"environment": shim.environment}
    failed = start_offloaded(host, "first", top={"workers": 2}, launch=launch, ready=False)
    assert failed.wait_until_ended() == 1
    assert failed.log_lines("daemon: cannot start a worker")
    shim.close()
    for balancer, client in zip(balancers, clients):
        balancer.send_bare(b"still known")
        assert udp_upstream.receive() == (b"still known", client)
    assert len(control.request(start_offloaded(host, "first"), "sessions")["sessions"]) == 4


def test_without_mmproxy_an_idle_flow_is_nobodys(host, start_offloaded, udp_upstream):
    mmproxy = start_offloaded(host, idle_timeout=3.0)
    balancer = Balancer(host)
    hand_over(host, mmproxy, balancer, udp_upstream)
    kill(mmproxy)
    round_trip(balancer, udp_upstream, CLIENT4)
    time.sleep(4.5)  # longer than the kernel waits: the timeout and a second
    for _ in range(3):
        try:
            balancer.send(CLIENT4, b"anybody there?")
        except ConnectionRefusedError:
            pass
    udp_upstream.assert_untouched()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_flows_of_a_passed_socket_are_taken_over_by_the_worker_that_has_it(
    workers, host, start_offloaded, udp_upstream, pins
):
    """It is another one's than before, where there are more workers, or other sockets."""
    balancer = Balancer(host)
    clients = crowd(4)
    launch = passing("udp/127.0.0.1:8443/dns")
    mmproxy = start_offloaded(host, listen=None, launch=launch, top={"workers": 2})
    for client in clients:
        hand_over(host, mmproxy, balancer, udp_upstream, client)
    mmproxy.stop()
    assert pins.count("udp_flows") == len(clients)
    following = start_offloaded(host, listen=None, launch=launch, top={"workers": workers})
    assert following.counters()["offload_adopted"] == len(clients)
    for client in clients:
        udp_upstream.send(b"late", client)
        assert balancer.receive(client) == b"late"
        control.request(following, f"kill {flow(following, client)['id']}")
        assert wait_until_closed(following, client)["reason"] == "killed"
    assert_none_pinned(pins)
