# SPDX-License-Identifier: MIT
"""The bench's statistics, tables and plots, from numbers that are made up.

    /usr/bin/python3 -m pytest -p no:cacheprovider tests/bench/test_report.py

No root, no build, and no gnuplot: what it is told is read here. Where there is one it draws, too.
"""

import copy
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

import sample
from harness import markdown, plots, results, words

_REPORT = pathlib.Path(__file__).resolve().parent / "report"
_PUBLISHED = pathlib.Path(__file__).resolve().parents[2] / "doc" / "performance" / "bench.json"


@pytest.fixture
def document():
    return sample.document()


@pytest.fixture
def bench(document):
    return results.parse(document)


def scenario(runs, **more):
    """`runs`: {peer: [what a round's run has, or None]}."""
    values = {
        **{"name": "one", "title": "one, 5 connections", "group": "tcp", "unit": "MB/s"},
        **{"aim": None, "base": "direct", "lower_is_better": False, **more},
        "runs": {
            peer: [None if run is None else results.Run(**run) for run in rounds]
            for peer, rounds in runs.items()
        },
    }
    return results.Scenario(**values)


def rates(**peers):
    return {
        peer: [None if rate is None else {"rate": rate} for rate in rounds]
        for peer, rounds in peers.items()
    }


def offload_runs():
    """Two rounds, with what the offload is judged by."""
    latencies = [results.Latency(1, p99, 1, 1) for p99 in (20, 40, 80)]
    direct, offloaded, relayed = (
        [{"rate": rate, "latency_us": latency, **more}] * 2
        for rate, latency, more in (
            (100, latencies[0], {}),
            (90, results.Latency(1, 24, 1, 1), {"offloaded": 1.0, "cpu_share": 0.002}),
            (50, latencies[2], {"cpu_share": 1.25, "descriptors": 104}),
        )
    )
    offloaded = [{**run, "descriptors": 4} for run in offloaded]
    return {"direct": direct, "mmproxy": relayed, "mmproxy-offload": offloaded}


def bench_of(*scenarios):
    bench = results.parse({**sample.document(), "scenarios": [], "system_calls": {}})
    bench.scenarios = list(scenarios)
    return bench


# Statistics.


def test_a_ratio_is_the_median_of_the_rounds_own():
    # That of the medians would be 0.9.
    one = scenario(rates(direct=[100, 200, 100], mmproxy=[90, 100, 80]))
    assert one.ratio("mmproxy") == results.Spread(0.8, 0.5, 0.9)
    assert one.rate("mmproxy") == results.Spread(90, 80, 100)


def test_of_an_even_number_of_rounds_it_is_between_the_middle_ones():
    one = scenario(rates(direct=[100] * 4, mmproxy=[50, 60, 80, 90]))
    assert one.ratio("mmproxy").median == pytest.approx(0.7)


def test_a_round_that_one_of_two_has_not_run_in_does_not_count():
    one = scenario(rates(direct=[100, None, 400], mmproxy=[50, 300, None]))
    assert one.ratio("mmproxy") == results.Spread(0.5, 0.5, 0.5)
    assert one.rate("mmproxy") == results.Spread(175, 50, 300)
    assert one.missing("mmproxy") == 1


def test_nothing_is_known_of_who_has_never_run():
    one = scenario(rates(direct=[100], mmproxy=[None]), aim=0.5)
    for value in one.rate, one.ratio, one.cost, one.relative_cost, one.kernel_kib:
        assert value("mmproxy") is None
        assert value("nobody") is None
    assert one.latency("mmproxy", "p99") is None
    assert one.reached() is None


def test_a_base_of_nothing_makes_no_ratio():
    one = scenario(rates(direct=[0, 100], mmproxy=[7, 50]))
    assert one.ratio("mmproxy") == results.Spread(0.5, 0.5, 0.5)


def test_latencies_are_medians_of_each_percentile():
    runs = [
        {"rate": 1, "latency_us": results.Latency(*percentiles)}
        for percentiles in ((1, 20, 300, 9), (2, 30, 100, 9), (3, 10, 200, 9))
    ]
    one = scenario({"direct": [*runs, {"rate": 1}, None]})
    assert [one.latency("direct", name).median for name in results.PERCENTILES] == [2, 20, 200]
    assert one.has_latency()
    assert not scenario(rates(direct=[1])).has_latency()


@pytest.mark.parametrize(
    "group, unit, counted, cost",
    [
        ("tcp", "MB/s", "bytes", 0.5),
        ("tcp", "messages/s", "messages", 2.0),
        ("tcp", "connections/s", "connections", 40.0),
        ("udp", "datagrams/s", "messages", 2.0),
        ("udp", "MB/s", "messages", 2.0),
        ("plugins", "connections/s", "connections", 40.0),
    ],
)
def test_cpu_time_is_told_per_what_a_scenario_counts(group, unit, counted, cost):
    run = {"rate": 1, "cpu_seconds": 2.0, "bytes": 4 * 10**9}
    run.update(messages=10**6, connections=50_000)
    one = scenario({"mmproxy": [run]}, group=group, unit=unit)
    assert one.counted() == counted
    assert one.cost("mmproxy").median == pytest.approx(cost)


def test_cpu_time_of_nothing_or_that_is_not_known_is_left_out():
    one = scenario(
        {
            "direct": [{"rate": 1, "bytes": 10**9}],
            "mmproxy": [
                {"rate": 1, "bytes": 0, "cpu_seconds": 1.0},
                {"rate": 1, "bytes": 10**9, "cpu_seconds": 3.0},
            ],
        }
    )
    assert one.cost("direct") is None
    assert one.cost("mmproxy") == results.Spread(3, 3, 3)


def test_cpu_time_is_compared_with_haproxys_of_the_same_round():
    def run(cpu, size):
        return {"rate": 1, "bytes": size * 10**9, "cpu_seconds": cpu}

    one = scenario(
        {
            "mmproxy": [run(1, 1), run(2, 1), run(9, 1)],
            # Half a second a GB, 4 s and 10 s.
            "haproxy": [run(1, 2), run(4, 1), run(10, 1)],
        }
    )
    assert one.relative_cost("mmproxy") == results.Spread(0.9, 0.5, 2)
    assert one.relative_cost("haproxy") == results.Spread(1, 1, 1)
    assert one.relative_cost("mmproxy", base="nginx") is None


@pytest.mark.parametrize("aim, reached", [(0.8, True), (0.79, True), (0.801, False), (None, None)])
def test_an_aim_is_reached_by_mmproxys_median(aim, reached):
    runs = rates(direct=[100] * 3, mmproxy=[70, 80, 90], haproxy=[10] * 3, nginx=[99] * 3)
    assert scenario(runs, aim=aim).reached() is reached


@pytest.mark.parametrize("aim, reached", [(2.0, True), (2.1, True), (1.9, False)])
def test_an_aim_of_memory_is_what_is_not_exceeded(aim, reached):
    runs = rates(mmproxy=[1, 2, 3], haproxy=[100] * 3)
    one = scenario(runs, aim=aim, group="memory", unit="KiB", base=None, lower_is_better=True)
    assert one.reached() is reached


@pytest.mark.parametrize(
    "measure, aim, reached",
    [
        *(("ratio", 0.9, True), ("ratio", 0.91, False)),
        *(("ratio_to_mmproxy", 1.8, True), ("ratio_to_mmproxy", 1.9, False)),
        *(("added_p99_us", 4, True), ("added_p99_us", 3.9, False)),
        *(("cpu_share", 0.002, True), ("cpu_share", 0.001, False)),
    ],
)
def test_an_aim_of_the_offload_is_reached_by_its_median(measure, aim, reached):
    one = scenario(offload_runs(), offload_aims={measure: aim})
    assert one.offload_reached(measure) is reached


def test_an_aim_of_the_offload_is_not_judged_without_it():
    one = scenario(rates(direct=[1], mmproxy=[1]), offload_aims={"ratio": 0.5, "cpu_share": 1})
    assert one.offload_reached("ratio") is None
    assert one.offload_reached("cpu_share") is None


def test_latency_is_added_to_directs_of_the_same_round():
    def run(p99):
        return {"rate": 1, "latency_us": results.Latency(1, p99, 1, 1)}

    one = scenario({"direct": [run(10), run(50), None], "a": [run(15), run(52), run(1)]})
    # Not what the medians differ by.
    assert one.added_latency("a", "p99") == results.Spread(3.5, 2, 5)
    assert one.added_latency("b", "p99") is None


def test_what_stayed_a_relay_is_told():
    runs = {"direct": [{"rate": 1}] * 2, "mmproxy-offload": [{"rate": 1, "offloaded": 1.0}] * 2}
    assert "stayed" not in markdown.render(bench_of(scenario(runs)))
    runs["mmproxy-offload"][1] = {"rate": 1, "offloaded": 0.94}
    text = markdown.render(bench_of(scenario(runs)))
    assert "- one, 5 connections: mmproxy, offload: 3 % of the sessions stayed relays\n" in text


@pytest.mark.parametrize("second, reached", [(96, True), (94, False)])
def test_an_aim_compared_with_mmproxy_is_all_others(second, reached):
    runs = {"mmproxy": [{"rate": 100}], "one": [{"rate": 97}], "three-plugins": [{"rate": second}]}
    assert scenario(runs, aim=0.95, group="plugins", base="mmproxy").reached() is reached


def test_the_best_are_all_that_are_equal():
    assert results.best({"a": 1, "b": 3, "c": 3}) == {"b", "c"}
    assert results.best({"a": 1, "b": 3}, lower_is_better=True) == {"a"}
    assert results.best({}) == set()


# The document.


def test_a_bench_is_the_document_again(document, bench):
    again = dataclasses.asdict(bench)
    # What some runs alone have.
    for one in again["scenarios"]:
        for run in (run for rounds in one["runs"].values() for run in rounds):
            for field in ("kernel_kib", "descriptors", "cpu_share", "offloaded"):
                if run[field] is None:
                    del run[field]
    assert again == document


def test_a_bench_without_offload_is_read_and_told_as_it_was(document):
    for one in document["scenarios"]:
        del one["offload_aims"]
        one["runs"].pop("mmproxy-offload", None)
    text = markdown.render(results.parse(document))
    assert "ffload" not in text


def test_the_published_bench_is_read():
    bench = results.read(_PUBLISHED)
    assert plots.scripts(bench).keys() == {path.name for path in _PUBLISHED.parent.glob("*.svg")}
    assert "## TCP" in markdown.render(bench)


def test_a_round_without_a_run_stays_one(document):
    document["scenarios"][0]["runs"]["nginx"][1] = None
    one = results.parse(document).scenarios[0]
    assert one.runs["nginx"][1] is None
    assert one.missing("nginx") == 1


def test_keys_that_are_not_known_are_left_aside(document, bench):
    more = copy.deepcopy(document)
    for place in more, more["scenarios"][0], more["scenarios"][0]["runs"]["direct"][0]:
        place["something"] = 1
    assert results.parse(more) == bench


def _without(key):
    def spoil(document):
        del document["scenarios"][1][key]

    return spoil


def _rate_missing(document):
    del document["scenarios"][1]["runs"]["haproxy"][2]["rate"]


def _percentile_missing(document):
    del document["scenarios"][4]["runs"]["nginx"][0]["latency_us"]["p99"]


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda document: document.update(format=2), "not format 1"),
        (lambda document: document.pop("format"), "not format 1"),
        (lambda document: document.pop("machine"), "the bench: no machine"),
        (_without("unit"), "scenario tcp-echo-64k-50: no unit"),
        (_without("runs"), "scenario tcp-echo-64k-50: no runs"),
        (_rate_missing, "scenario tcp-echo-64k-50, haproxy: no rate"),
        (_percentile_missing, "scenario tcp-pingpong-6-1, nginx, latency_us: no p99"),
        (
            lambda document: document["scenarios"][0].update(group="sctp"),
            "scenario tcp-echo-64k-1: no group is called sctp",
        ),
        (
            lambda document: document["scenarios"][0]["offload_aims"].update(p99=1),
            "scenario tcp-echo-64k-1, offload_aims: no measure is called p99",
        ),
    ],
)
def test_what_is_wrong_with_a_document_is_said(spoil, complaint, document):
    spoil(document)
    with pytest.raises(results.Unreadable, match=f"^{re.escape(complaint)}$"):
        results.parse(document)


# Words.


@pytest.mark.parametrize(
    "value, text",
    [
        *((0, "0"), (0.0123, "0.012"), (0.1, "0.10"), (1.234, "1.23"), (9.996, "10.0")),
        *((45.67, "45.7"), (99.96, "100"), (1234.5, "1234"), (1_234_567, "1234567")),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (12_345, "MB/s", "12345 MB/s"),
        (9_876, "messages/s", "9876 messages/s"),
        (18_765, "messages/s", "18.8 k messages/s"),
        (999_600, "messages/s", "1.00 M messages/s"),
    ],
)
def test_rates_have_thousands_and_millions(value, unit, text):
    assert words.rate_text(value, unit) == text


def test_rounding_does_not_hide_that_an_aim_was_missed():
    assert words.ratio_text(0.776, 0.78) == "0.776"
    assert words.ratio_text(0.776, 0.77) == "0.78"
    assert words.ratio_text(0.74, 0.78) == "0.74"
    assert words.ratio_text(0.776) == "0.78"


# Tables.


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_a_table_of_ratios_has_the_best_in_bold_and_the_aim():
    runs = rates(direct=[100, 200, 100], mmproxy=[90, 100, 80], haproxy=[60, 100, 50])
    one = scenario(runs, aim=0.78)
    assert markdown.ratios([one]).splitlines() == [
        "|                    |   direct |              mmproxy |          HAProxy |    aim |",
        "| ------------------ | -------: | -------------------: | ---------------: | -----: |",
        "| one, 5 connections | 100 MB/s | **0.80** (0.50–0.90) | 0.50 (0.50–0.60) | 0.78 ✓ |",
    ]
    one.aim = 0.82
    assert cells(markdown.ratios([one]))[2][-1] == "0.82 ✗"


def test_who_reads_the_same_as_the_best_is_in_bold_unless_all_do():
    runs = rates(direct=[1000], mmproxy=[803], haproxy=[801], nginx=[700])
    row = cells(markdown.ratios([scenario(runs)]))[2]
    assert [cell.startswith("**0.80**") for cell in row[2:5]] == [True, True, False]
    del runs["nginx"]
    assert "**" not in markdown.ratios([scenario(runs)])


def test_a_table_has_room_for_who_has_not_run():
    first = scenario(rates(direct=[100], mmproxy=[None]), aim=0.5)
    second = scenario(rates(direct=[100], nginx=[60]), title="a|b")
    table = cells(markdown.ratios([first, second]).replace("\\|", "/"))
    assert table[0] == ["", "direct", "mmproxy", "nginx", "aim"]
    assert table[2:] == [
        ["one, 5 connections", "100 MB/s", "–", "–", "0.5 –"],
        ["a/b", "100 MB/s", "–", "0.60 (0.60–0.60)", ""],
    ]


def test_cpu_time_stands_with_its_unit_and_haproxys_as_1(bench):
    table = cells(markdown.cpu(bench.group("tcp")))
    assert table[0] == [
        "",
        "",
        "mmproxy",
        "mmproxy, offload",
        "HAProxy",
        "HAProxy, splice",
        "nginx",
    ]
    assert [row[1] for row in table[2:]] == 4 * ["s/GB"] + 2 * ["µs/message"] + ["µs/connection"]
    # The best in bold; of connections that is who does not even try to offload.
    best = [3] * 6 + [2]
    assert all(
        re.fullmatch(r"\*\*[\d.]+\*\* \(0\.\d\d\)", row[n]) for n, row in zip(best, table[2:])
    )
    assert all(re.fullmatch(r"[\d.]+ \(1\.00\)", row[4]) for row in table[2:])
    # Without HAProxy nothing is compared.
    assert "(" not in markdown.cpu(bench.group("udp"))


def test_latencies_have_a_row_for_each_percentile(bench):
    table = cells(markdown.latency(bench.scenarios))
    assert [row[:2] for row in table[2:]] == [
        *(["6 B ping-pong, 1 connection", "p50"], ["", "p99"], ["", "p99.9"]),
        *(["6 B ping-pong, 50 connections", "p50"], ["", "p99"], ["", "p99.9"]),
    ]
    # The best proxy, not what goes without one.
    peers = ("direct", "mmproxy", "mmproxy-offload")
    p50 = [words.number(bench.scenarios[4].latency(peer, "p50").median) for peer in peers]
    assert table[2][2:5] == [*p50[:2], f"**{p50[2]}**"]


def test_the_offload_has_a_table_of_what_it_is_judged_by():
    aims = {"ratio": 0.9, "ratio_to_mmproxy": 2, "added_p99_us": 10, "cpu_share": 0.001}
    one = scenario(offload_runs(), offload_aims=aims)
    assert cells(markdown.offload([one]))[2:] == [
        ["one, 5 connections", "share of direct", "100 MB/s", "0.50", "0.90", "0.9 ✓"],
        ["", "share of mmproxy", "–", "50.0 MB/s", "1.80", "2 ✗"],
        ["", "p99 beyond direct, µs", "20.0", "60.0", "4.00", "10 ✓"],
        ["", "CPU of the daemon, %", "–", "125", "0.20", "0.1 ✗"],
        ["", "descriptors", "–", "104", "4", ""],
    ]


def test_where_nothing_is_offloaded_only_what_is_judged_is_told():
    runs = offload_runs()
    for run in runs["mmproxy-offload"]:
        run["offloaded"] = None
    one = scenario(runs, offload_aims={"ratio_to_mmproxy": 2})
    assert [row[1] for row in cells(markdown.offload([one]))[2:]] == [
        *("share of direct", "share of mmproxy"),
    ]
    del runs["mmproxy-offload"]
    assert markdown.offload([scenario(runs, offload_aims={"ratio": 0.9})]) == ""


def test_memory_has_a_row_for_each_kind(bench):
    table = cells(markdown.memory(bench.group("memory")))
    assert [(row[1], row[-1]) for row in table[2:]] == [
        ("KiB, process", "1 ✓"),
        ("KiB, kernel", ""),
        ("descriptors", ""),
    ]
    assert table[2][2].startswith("**0.4")
    assert table[4][2:6] == ["2"] * 4


def test_system_calls_of_no_weight_have_no_row(bench):
    table = cells(markdown.system_calls(bench))
    assert [row[1] for row in table[2:]] == [
        *("all", "recvfrom", "epoll_wait", "sendto"),
        *("all", "recvmmsg", "sendmmsg", "epoll_wait"),
    ]
    assert table[2] == ["6 B ping-pong, 50 connections", "all", "2.31", "4.12"]
    assert table[6] == ["64 B echo, 50 clients", "all", "0.13", "–"]


def test_what_was_not_measured_has_no_section():
    text = markdown.render(bench_of(scenario(rates(direct=[100], mmproxy=[80]))))
    assert re.findall("^## (.*)", text, re.M) == ["TCP"]


def test_all_sections_are_there_and_lines_are_of_one_length_in_a_table(bench):
    text = markdown.render(bench)
    assert re.findall("^## (.*)", text, re.M) == [
        *("TCP", "UDP", "Plugins", "Offload", "CPU", "Latency", "Memory", "System calls"),
    ]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(line) for line in table.splitlines()}) == 1, table


def test_what_did_not_go_well_is_noted():
    runs = rates(direct=[100, 100], mmproxy=[80, 80], nginx=[50, None])
    runs["mmproxy"][0].update(lost=3, messages=1000)
    runs["mmproxy"][1].update(lost=1, messages=1000, reordered=2)
    text = markdown.render(bench_of(scenario(runs)))
    assert re.findall("^- (.*)", text, re.M) == [
        "one, 5 connections: mmproxy lost 0.2 %",
        "one, 5 connections: mmproxy reordered 0.1 %",
        "one, 5 connections: 1 round without nginx",
    ]


def test_a_quick_run_says_so(bench):
    assert "quick" not in markdown.render(bench)
    bench.options["quick"] = True
    assert "A quick run" in markdown.render(bench)


def test_the_headline_is_what_has_an_aim():
    aimed = scenario(rates(direct=[100], mmproxy=[80], nginx=[50]), title="a", aim=0.7)
    other = scenario(rates(direct=[100], mmproxy=[80]), title="b")
    table = cells(markdown.headline(bench_of(aimed, other)).split("\n\n")[0])
    assert [row[0] for row in table[2:]] == ["a"]
    assert table[0] == ["", "mmproxy", "nginx"]
    assert table[2] == ["a", "**0.80**", "0.50"]


def test_a_documents_tables_are_replaced_and_nothing_else(bench):
    text = "before\n<!-- bench: headline -->\nold\n<!-- bench ends -->\nafter\n"
    assert markdown.has_tables(text) and not markdown.has_tables("no table")
    filled = markdown.with_tables(text, bench)
    assert filled.startswith("before\n<!-- bench: headline -->\n\n|")
    assert filled.endswith("\n<!-- bench ends -->\nafter\n")
    assert "old" not in filled and markdown.headline(bench).strip() in filled
    assert markdown.with_tables(filled, bench) == filled


# Plots.


def data(script, number):
    """Rows of one block of gnuplot's data."""
    block = re.search(rf"^\$data{number} << EOD\n(.*?)\nEOD$", script, re.M | re.S)[1]
    return [[float(word) for word in line.split()] for line in block.splitlines()]


def test_what_was_measured_has_a_plot(bench):
    names = ["tcp.svg", "udp.svg", "cpu.svg", "latency.svg", "memory.svg"]
    assert list(plots.scripts(bench)) == names
    assert list(plots.scripts(bench_of(*bench.group("memory")))) == ["memory.svg"]
    assert not plots.scripts(bench_of())


def test_bars_are_ratios_with_their_spread_and_the_aim_is_a_tick():
    runs = rates(direct=[100, 200, 100], mmproxy=[90, 100, 80], haproxy=[60, 100, 50])
    script = plots.scripts(bench_of(scenario(runs, aim=0.78)))["tcp.svg"]
    boxes, spreads = data(script, 0), data(script, 3)
    assert [(row[2], row[3]) for row in boxes] == [(0, 0.8), (0, 0.5)]
    assert [row[6] for row in boxes] == [0xD9480F, 0x5F7F9F]
    assert [(row[0], *row[2:]) for row in spreads] == [(0.8, 0.5, 0.9), (0.5, 0.5, 0.6)]
    assert len(re.findall(r"^set arrow from first 0\.78,.* to first 0\.78,", script, re.M)) == 1
    assert "'aim of mmproxy'" in script
    for text in "{/:Bold 0.80}", "0.50", "5 connections", "direct: 100 MB/s":
        assert f"set label '{text}' at" in script


def test_the_offload_has_a_tick_at_its_own_aim():
    runs = {"direct": [{"rate": 100}], "mmproxy": [{"rate": 80}], "mmproxy-offload": [{"rate": 95}]}
    script = plots.scripts(bench_of(scenario(runs, offload_aims={"ratio": 0.9})))["tcp.svg"]
    # One of them in the legend.
    assert len(re.findall(r"^set arrow from first 0\.9,.* to first 0\.9,", script, re.M)) == 1
    assert len(re.findall(r"^set arrow", script, re.M)) == 2
    assert [row[6] for row in data(script, 0)] == [0xD9480F, 0xF59F00]
    assert "{/:Bold 0.95}" in script


def test_a_legend_that_is_too_long_goes_on_in_a_second_line():
    peers = {f"another proxy {number}": [number] for number in range(1, 9)}
    script = plots.scripts(bench_of(scenario(rates(direct=[9], **peers))))["tcp.svg"]
    places = {
        text: (float(x), float(y))
        for text, x, y in re.findall(
            r"^set label '(another proxy \d)' at screen ([\d.]+), screen ([\d.]+)", script, re.M
        )
    }
    assert len(places) == 8 and len({y for _, y in places.values()}) == 2
    assert max(x for x, _ in places.values()) < 0.9
    assert len(set(places.values())) == 8


def test_the_texts_behind_the_bars_are_within_the_picture(bench):
    for name in "tcp.svg", "cpu.svg", "memory.svg":
        script = plots.scripts(bench)[name]
        high = float(re.search(r"^set xrange \[0:(.*)\]", script, re.M)[1])
        behind_texts = data(script, 1 if name == "memory.svg" else 2)
        assert max(row[3] for row in behind_texts) <= high * 1.000001


@pytest.mark.parametrize("aim, behind", [(0.3, 0.5), (0.52, 0.52), (0.9, 0.5), (1.4, 0.5)])
def test_the_text_is_behind_the_bar_unless_the_aim_is_there(aim, behind):
    runs = rates(direct=[100], mmproxy=[50])
    script = plots.scripts(bench_of(scenario(runs, aim=aim)))["tcp.svg"]
    begin = float(re.search(r"^set label '{/:Bold 0\.50}' at first ([\d.]+),", script, re.M)[1])
    assert behind < begin < behind + 0.02
    assert float(re.search(r"^set xrange \[0:(.*)\]", script, re.M)[1]) > aim


def test_bars_of_cpu_time_are_all_but_haproxys():
    def run(cpu):
        return [{"rate": 1, "bytes": 10**9, "cpu_seconds": cpu}]

    one = scenario({"direct": [{"rate": 1}], "mmproxy": run(0.3), "haproxy": run(0.4)})
    script = plots.scripts(bench_of(one))["cpu.svg"]
    assert [row[3] for row in data(script, 0)] == [0.75]
    assert "'HAProxy: 0.40 s/GB'" in script


def test_memory_of_process_and_kernel_are_side_by_side():
    run = {"rate": 2, "kernel_kib": 11, "descriptors": 2}
    runs = {"mmproxy": [run], "haproxy": [{"rate": 4}], "nginx": [None]}
    one = scenario(runs, group="memory", unit="KiB", base=None, lower_is_better=True)
    script = plots.scripts(bench_of(one))["memory.svg"]
    assert [(row[2], row[3]) for row in data(script, 0)] == [(0, 2), (2, 13), (0, 4)]
    for text in "{/:Bold 2.00 + 11.0 KiB, 2 descriptors}", "4.00 KiB", "nginx: not measured":
        assert f"set label '{text}' at" in script


def test_latencies_are_drawn_from_percentile_to_percentile():
    runs = {"direct": [{"rate": 1, "latency_us": results.Latency(20, 50, 400, 900)}]}
    runs["mmproxy"] = [{"rate": 1}]
    script = plots.scripts(bench_of(scenario(runs)))["latency.svg"]
    (to_p999, tick), ((_, y, *p50_to_p99, _, _, _),) = data(script, 0), data(script, 1)
    assert p50_to_p99 == [20, 50]
    assert to_p999[:4] == [400, y, -350, 0]
    assert tick[:4] == [400, y - 4, 0, 8]
    assert "set logscale x" in script
    assert "('20 µs' 20, '50 µs' 50, '100 µs' 100, '200 µs' 200, '500 µs' 500)" in script
    assert "'mmproxy: not measured'" in script


def test_who_has_not_run_has_no_bar_but_a_word():
    runs = rates(direct=[100], mmproxy=[80], nginx=[None])
    script = plots.scripts(bench_of(scenario(runs)))["tcp.svg"]
    assert len(data(script, 0)) == 1
    assert "set label 'nginx: not measured'" in script


def test_peers_that_are_not_known_have_colours_of_their_own():
    runs = rates(direct=[100], one=[80], two=[70], three=[60])
    script = plots.scripts(bench_of(scenario(runs)))["tcp.svg"]
    assert len({row[6] for row in data(script, 0)}) == 3


def test_titles_are_text_and_nothing_to_gnuplot():
    runs = rates(direct=[100], mmproxy=[80])
    script = plots.scripts(bench_of(scenario(runs, title="it's {a_b} `id`\\n")))["tcp.svg"]
    (line,) = re.findall("^set label 'it.*", script, re.M)
    assert line.startswith("set label 'it''s {a_b} `id`\\n' at ")
    assert line.endswith(" noenhanced")


def test_equal_benches_make_equal_scripts(document, bench):
    assert plots.scripts(results.parse(copy.deepcopy(document))) == plots.scripts(bench)


# The command.


@pytest.fixture
def gnuplot(tmp_path):
    """Makes a gnuplot of some lines of shell, and gives the environment that has no other."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(lines=None):
        if lines is not None:
            program = folder / "gnuplot"
            program.write_text(f"#!/bin/sh\n{lines}\n")
            program.chmod(0o755)
        return {**os.environ, "PATH": str(folder)}

    return make


@pytest.fixture
def file(tmp_path, document):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    return path


def report(*arguments, **more):
    command = [sys.executable, "-B", _REPORT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, **more)


def test_report_writes_all_beside_the_bench(file, bench, gnuplot):
    # It draws what it was told.
    done = report(file, env=gnuplot('[ "$*" = --default-settings ] && exec /bin/cat'))
    assert (done.returncode, done.stderr) == (0, "")
    written = ["table.md", *plots.scripts(bench)]
    assert done.stdout.splitlines() == [str(file.parent / name) for name in written]
    assert (file.parent / "table.md").read_text() == markdown.render(bench)
    for name, script in plots.scripts(bench).items():
        assert (file.parent / name).read_text() == script


def test_report_makes_the_folder(file, gnuplot):
    out = file.parent / "a" / "b"
    done = report(file, "--out", out, env=gnuplot("exec /bin/cat"))
    assert done.returncode == 0
    assert len(list(out.iterdir())) == 6
    assert not (file.parent / "table.md").exists()


def test_without_gnuplot_there_still_is_the_table(file, gnuplot):
    done = report(file, env=gnuplot())
    assert done.returncode == 1
    assert done.stderr == "report: gnuplot is missing (Debian's package: gnuplot-nox)\n"
    assert {path.name for path in file.parent.glob("*.*")} == {"bench.json", "table.md"}


@pytest.mark.parametrize(
    "lines, complaint",
    [
        ("echo broken >&2; echo svg; exit 1", "broken"),
        ("echo 'a warning' >&2; echo svg", "a warning"),
        ("exec /bin/cat >/dev/null", "it has drawn nothing"),
    ],
)
def test_what_gnuplot_complains_of_is_told(lines, complaint, file, gnuplot):
    done = report(file, env=gnuplot(f"/bin/cat >/dev/null\n{lines}"))
    assert (done.returncode, done.stderr) == (1, f"report: gnuplot: {complaint}\n")
    assert not list(file.parent.glob("*.svg"))


@pytest.mark.parametrize(
    "text, complaint", [("{", "report: no JSON: "), ("[]", "report: not format 1")]
)
def test_what_is_no_bench_is_said(text, complaint, file):
    file.write_text(text)
    done = report(file)
    assert done.returncode == 1
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


def test_a_bench_that_is_not_there_is_named(tmp_path):
    done = report(tmp_path / "none.json")
    assert done.returncode == 1
    assert "none.json" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not needed to build mmproxy")
def test_gnuplot_draws_the_same_twice(bench, tmp_path):
    bench.scenarios[0].runs["nginx"] = [None] * sample.ROUNDS
    bench.scenarios[0].title = "it's {a_b} & <c>, 5 connections"
    paths = plots.write(bench, tmp_path)
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in plots.write(bench, tmp_path)] == first
    for path in paths:
        xml.etree.ElementTree.parse(path)
    text = (tmp_path / "tcp.svg").read_text()
    assert "it's {a_b} &amp; &lt;c" in text
    assert 'font-weight="bold"' in text
