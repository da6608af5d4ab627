# SPDX-License-Identifier: MIT
"""All runs, round by round: in each round every scenario is run without a proxy and then through
each, so that what the machine does meanwhile happens to all of them."""

import collections
import sys
import time

from tqdm import tqdm

from . import loads
from .results import OFFLOAD

# Beside what is measured: warm-up, start and end of a proxy, and waiting until all rests.
OVERHEAD = 1.2
IDLE_SECONDS = 2.5


def plan(scenarios, proxies, rounds):
    """Every run: (round, scenario, name of the proxy), "direct" for none."""
    runs = []
    for number in range(rounds):
        for scenario in scenarios:
            names = names_for(scenario, proxies)
            runs += [(number, scenario, name) for name in names * scenario.repeats]
    return runs


def names_for(scenario, proxies):
    named = ["mmproxy", *scenario.peers]
    # A flow that only ever sends, as iperf's in reverse, is not handed over.
    if OFFLOAD in proxies and scenario.group in ("tcp", "udp") and scenario.load != "iperf":
        named.insert(1, OFFLOAD)
    others = [name for name, proxy in proxies.items() if proxy.everywhere]
    if scenario.group == "plugins":
        others = []
    wanted = [name for name in (*named, *others) if scenario.protocol in proxies[name].protocols]
    return ["direct", *wanted] if scenario.base == "direct" else wanted


def expected_seconds(runs, load):
    """Of all these runs."""
    return sum(_expected(scenario, load) for _, scenario, _ in runs)


def _expected(scenario, load):
    if scenario.load == "idle":
        return IDLE_SECONDS
    return load.seconds_of(scenario) + OVERHEAD


def measure(load, scenarios, proxies, rounds):
    """{scenario: {name: [a result or None for each round]}}"""
    results = {scenario.name: collections.defaultdict(list) for scenario in scenarios}
    runs = plan(scenarios, proxies, rounds)
    with tqdm(
        total=round(expected_seconds(runs, load)),
        bar_format="{percentage:3.0f}% |{bar}| {desc} {elapsed}, {remaining} left",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    ) as bar:
        for number, scenario, name in runs:
            bar.set_description_str(f"round {number + 1}/{rounds}: {scenario.name}, {name}")
            results[scenario.name][name].append(_one(load, scenario, proxies.get(name), bar))
            bar.update(_expected(scenario, load))
    return results


def _one(load, scenario, proxy, bar):
    try:
        return load.run(scenario, proxy)
    except loads.Failed as failure:
        bar.write(f"failed: {proxy.name if proxy else 'direct'}: {failure}", file=sys.stderr)
        return None


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
