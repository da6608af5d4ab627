# SPDX-License-Identifier: MIT
"""The bench from start to end: the cast, the runs, and what is written of them."""

import contextlib
import json
import re
import subprocess
import sys
import time

from network import remove_leftovers

from . import calls, gnuplot, loads, machine, markdown, offload, plots, proxies, results, runner
from . import scenarios
from . import stage as stages

# System calls are counted for the shortest messages, where they weigh most.
TRACED = ("tcp-ping-50", "tcp-ping-1", "tcp-connect-50", "udp-64-50", "udp-64-1")


def print_list():
    width = max(len(scenario.name) for scenario in scenarios.ALL)
    for scenario in scenarios.ALL:
        print(f"{scenario.name:<{width}}  {scenario.title}")


def chosen(options):
    """The scenarios of this run."""
    if options.only:
        found = [one for one in scenarios.ALL if any(text in one.name for text in options.only)]
        if not found:
            raise ValueError(f"--only: no scenario has this in its name: {options.only}")
        return found
    return [one for one in scenarios.ALL if one.quick or not options.quick]


def cast(options):
    """{name: proxy}"""
    all_of_them = [
        proxies.Mmproxy(workers=options.workers),
        proxies.Mmproxy("mmproxy-plugins", workers=options.workers, plugins=True),
        proxies.Haproxy("haproxy", splice=False),
        proxies.Haproxy("haproxy-splice", splice=True),
        proxies.Nginx("nginx"),
        proxies.Plain("plain", two_threads=False),
        proxies.Plain("plain-two-threads", two_threads=True),
        *map(proxies.by_path, options.peer),
    ]
    return {proxy.name: proxy for proxy in all_of_them}


def versions():
    """The first line with a number of what each program says of itself."""

    def ask(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)[0]

    return {
        "mmproxy": ask(stages.program("mmproxy"), "--version"),
        "haproxy": ask("haproxy", "-v"),
        "nginx": ask("nginx", "-v"),
    }


def run(options):
    wanted = chosen(options)
    players = cast(options)
    remove_leftovers()
    began, clock = runner.now(), time.monotonic()
    with contextlib.ExitStack() as stack:
        stage = stages.Stage(stack)
        offloaded = _offload(stack, stage, wanted, options.workers)
        if offloaded:
            players[offloaded.name] = offloaded
        iperf = stages.IperfStage(stack) if any(one.load == "iperf" for one in wanted) else None
        load = loads.Loads(stage, iperf, options.seconds)
        measured = runner.measure(load, wanted, players, options.rounds)
        traced = {
            scenario.name: {
                name: calls.count(load, scenario, players[name])
                for name in runner.names_for(scenario, players)
                # What the kernel carries takes none.
                if name not in ("direct", results.OFFLOAD)
            }
            for scenario in wanted
            if scenario.name in TRACED and not options.quick
        }
    document = {
        "format": 1,
        "machine": machine.facts(),
        "programs": versions(),
        "options": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "quick": options.quick,
            "workers": options.workers,
        },
        "began": began,
        "took_seconds": round(time.monotonic() - clock, 1),
        "busiest": round(stage.busiest, 3),
        "scenarios": [_told(scenario, measured[scenario.name]) for scenario in wanted],
        "system_calls": traced,
    }
    _write(document, options.out)


def _offload(stack, stage, wanted, workers):
    """The peer that the kernel carries, where it can and any of the scenarios is for it."""
    for scenario in wanted:
        if scenario.offloads:
            return offload.player(stack, stage, scenario, workers)
    return None


def _write(document, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
    told = results.parse(document)
    print(markdown.write(told, folder).read_text())
    try:
        plots.write(told, folder)
    except gnuplot.Failed as failure:
        print(f"bench: no plots: {failure}", file=sys.stderr)
    print(f"written to {folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")


def _told(scenario, runs):
    return {
        "name": scenario.name,
        "title": scenario.title,
        "group": scenario.group,
        "unit": scenario.unit,
        "base": scenario.base,
        "aim": scenario.aim,
        "offload_aims": scenario.offload_aims,
        "lower_is_better": scenario.load == "idle",
        "runs": runs,
    }
