# SPDX-License-Identifier: MIT
"""The tables of a bench, in Markdown that reads well as text."""

import functools
import re

from harness.results import COST_UNITS, GROUPS, OFFLOAD, PERCENTILES, best, peers_of
from harness.words import (
    count,
    label,
    machine_line,
    machine_text,
    number,
    percentile,
    rate_text,
    ratio_text,
    short,
)

_NOTHING = "–"
_REACHED = {True: "✓", False: "✗", None: _NOTHING}

# In a document.
_PLACE = re.compile(r"(<!-- bench: (headline|all) -->\n).*?(<!-- bench ends -->)", re.S)

# By group: a heading, and what the shares are of.
_RATIOS = {
    "tcp": ("TCP", "what goes directly, without a proxy"),
    "udp": ("UDP", "what goes directly, without a proxy"),
    "plugins": ("Plugins", "what mmproxy does without plugins"),
}


def write(bench, folder):
    """Writes table.md, and returns its path."""
    path = folder / "table.md"
    path.write_text(render(bench), encoding="utf-8")
    return path


def render(bench):
    """Everything that was measured, in sections."""
    parts = [machine_text(bench)]
    for group, (heading, whole) in _RATIOS.items():
        scenarios = bench.group(group)
        if scenarios:
            text = (
                f"Shares of {whole}: the median of the rounds, and in brackets\n"
                "the lowest and the highest of them. The more the better."
            )
            parts += [f"## {heading}", text, ratios(scenarios), *_notes(scenarios)]
    sections = (
        (
            "Offload",
            "What mmproxy is judged by when the kernel takes over its sessions: medians of the\n"
            "rounds, and in brackets the lowest and the highest of them. CPU time, of which 100 %\n"
            "is one CPU, and descriptors are those of the daemon while it is measured; of the\n"
            "latter those that it has at rest do not count.",
            offload(bench.scenarios),
        ),
        (
            "CPU",
            "CPU time of the proxy for the same work, and in brackets with HAProxy's as 1. The\n"
            "less the better.",
            "\n\n".join(filter(None, (cpu(bench.group(group)) for group in GROUPS))),
        ),
        ("Latency", "In µs, medians of the rounds.", latency(bench.scenarios)),
        ("Memory", "For each idle connection.", memory(bench.group("memory"))),
        ("System calls", "For each message.", system_calls(bench)),
    )
    for heading, text, table in sections:
        if table:
            parts += [f"## {heading}", text, table]
    return "\n\n".join(parts) + "\n"


def has_tables(text):
    """Does a document have a place for tables?"""
    return bool(_PLACE.search(text))


def with_tables(text, bench):
    """The document with the tables of this bench in their places."""
    tables = {"headline": headline, "all": render}

    def place(match):
        return f"{match[1]}\n{tables[match[2]](bench).strip()}\n\n{match[3]}"

    return _PLACE.sub(place, text)


def headline(bench):
    """What a reader in a hurry wants to know: the medians of what has an aim."""
    scenarios = [each for group in ("tcp", "memory") for each in bench.group(group) if each.aim]
    peers = [peer for peer in peers_of(scenarios) if peer != "haproxy-splice"]
    rows = []
    for scenario in scenarios:
        text = functools.partial(_median_of_figure, scenario)
        cells = _cells(peers, scenario.figure, text, scenario.lower_is_better)
        rows.append([scenario.title, *cells])
    return _table(["", *map(label, peers)], rows) + "\n\n" + machine_line(bench) + ".\n"


def ratios(scenarios):
    """A row for each scenario: what the base does, and each peer's share of it."""
    peers = peers_of(scenarios)
    bases = dict.fromkeys(scenario.base for scenario in scenarios if scenario.base)
    rows = []
    for scenario in scenarios:
        base = scenario.rate(scenario.base)
        base_text = rate_text(base.median, scenario.unit) if base else _NOTHING
        text = functools.partial(_figure_text, scenario)
        cells = _cells(peers, scenario.figure, text, scenario.lower_is_better)
        rows.append([scenario.title, base_text, *cells, _aim_text(scenario)])
    return _table(["", ", ".join(map(label, bases)), *map(label, peers), "aim"], rows)


def offload(scenarios):
    """Rows for each scenario of the offload: what it is judged by, and what it is there for."""
    peers = ("direct", "mmproxy", OFFLOAD)
    rows = []
    for scenario in scenarios:
        title = scenario.title
        for measure in filter(functools.partial(_has_offload_row, scenario), _OFFLOAD_ROWS):
            cells = [_offload_cell(scenario, measure, peer) for peer in peers]
            rows.append([title, _OFFLOAD_ROWS[measure][0], *cells])
            rows[-1].append(_offload_aim_text(scenario, measure))
            title = ""
    return _table(["", "", *map(label, peers), "aim"], rows, left=2)


def _has_offload_row(scenario, measure):
    """Where the kernel takes over nothing there is only what it is judged by."""
    if OFFLOAD not in scenario.runs:
        return False
    if measure in ("ratio", *scenario.offload_aims):
        return True
    return measure in ("cpu_share", "descriptors") and scenario.stayed() is not None


def _offload_cell(scenario, measure, peer):
    """A figure with its spread; of whom the measure is a comparison with, what is compared."""
    _, form, base, base_text = _OFFLOAD_ROWS[measure]
    if peer == base:
        return base_text(scenario, peer) or _NOTHING
    value = scenario.measure(measure, peer) if peer != "direct" else None
    if value is None:
        return _NOTHING
    median, low, high = map(form, (value.median, value.low, value.high))
    if peer == OFFLOAD and form is ratio_text:
        median = form(value.median, scenario.offload_aims.get(measure))
    return f"{median} ({low}–{high})" if low != high else median


def _offload_aim_text(scenario, measure):
    if measure not in scenario.offload_aims:
        return ""
    aim = scenario.offload_aims[measure] * (100 if measure == "cpu_share" else 1)
    return f"{aim:g} {_REACHED[scenario.offload_reached(measure)]}"


def _rate_of(scenario, peer):
    rate = scenario.rate(peer)
    return rate_text(rate.median, scenario.unit) if rate else None


def _p99_of(scenario, peer):
    p99 = scenario.latency(peer, "p99")
    return number(p99.median) if p99 else None


def _signed(value):
    return "-" * (value < 0) + number(abs(value))


def _percent(value):
    return number(100 * value)


# By measure: what it is, how it is written; whom it is a comparison with, and what that one has.
_OFFLOAD_ROWS = {
    "ratio": ("share of direct", ratio_text, "direct", _rate_of),
    "ratio_to_mmproxy": ("share of mmproxy", ratio_text, "mmproxy", _rate_of),
    "added_p99_us": ("p99 beyond direct, µs", _signed, "direct", _p99_of),
    "cpu_share": ("CPU of the daemon, %", _percent, None, None),
    "descriptors": ("descriptors", short, None, None),
}


def cpu(scenarios):
    """A row for each scenario with CPU times."""
    scenarios = [scenario for scenario in scenarios if any(map(scenario.cost, scenario.proxies()))]
    peers = peers_of(scenarios, lambda scenario: filter(scenario.cost, scenario.proxies()))
    rows = []
    for scenario in scenarios:
        text = functools.partial(_cost_text, scenario)
        cells = _cells(peers, scenario.cost, text, lower_is_better=True)
        rows.append([scenario.title, COST_UNITS[scenario.counted()], *cells])
    return _table(["", "", *map(label, peers)], rows, left=2)


def latency(scenarios):
    """A row for each percentile of each scenario with latencies."""
    scenarios = [scenario for scenario in scenarios if scenario.has_latency()]
    peers = peers_of(scenarios, lambda scenario: scenario.runs)
    rows = []
    for scenario in scenarios:
        title = scenario.title
        for name in PERCENTILES:
            value = functools.partial(scenario.latency, percentile=name)
            rows.append([title, percentile(name), *_cells(peers, value, _median_text(number))])
            title = ""
    return _table(["", "", *map(label, peers)], rows, left=2)


def memory(scenarios):
    """A row for each kind of memory that an idle connection of each scenario takes."""
    peers = peers_of(scenarios)
    rows = []
    for scenario in scenarios:
        title, aim = scenario.title, _aim_text(scenario)
        for what, value, form in (
            (f"{scenario.unit}, process", scenario.rate, number),
            ("KiB, kernel", scenario.kernel_kib, number),
            ("descriptors", scenario.descriptors, short),
        ):
            if any(map(value, peers)):
                rows.append([title, what, *_cells(peers, value, _median_text(form)), aim])
                title = aim = ""
    return _table(["", "", *map(label, peers), "aim"], rows, left=2)


def system_calls(bench):
    """A row for each scenario with all calls together, and one for each call of any weight."""
    peers = list(dict.fromkeys(peer for counts in bench.system_calls.values() for peer in counts))
    rows = []
    for name, counts in bench.system_calls.items():
        calls = {peer: found["calls"] for peer, found in counts.items()}
        rows.append([bench.title(name), "all"])
        rows[-1] += [
            f"{counts[peer]['total']:.2f}" if peer in counts else _NOTHING for peer in peers
        ]
        for call in _by_weight(calls.values()):
            found = [calls.get(peer, {}).get(call) for peer in peers]
            rows.append(["", call, *(f"{each:.2f}" if each else "" for each in found)])
    return _table(["", "", *map(label, peers)], rows, left=2)


def _by_weight(calls):
    """Names of calls, the most frequent first, without those that would be 0.00."""
    most = {}
    for found in calls:
        for call, times in found.items():
            most[call] = max(times, most.get(call, 0))
    return sorted((call for call in most if most[call] >= 0.005), key=lambda call: -most[call])


def _notes(scenarios):
    """What did not go as it should."""
    lines = []
    for scenario in scenarios:
        for peer in scenario.runs:
            if scenario.missing(peer):
                rounds = count(scenario.missing(peer), "round")
                lines.append(f"- {scenario.title}: {rounds} without {label(peer)}")
            for field in ("lost", "reordered"):
                number_of = scenario.total(peer, field)
                if number_of:
                    # Those that were lost are not among the messages that came.
                    others = scenario.total(peer, "messages") + (
                        number_of if field == "lost" else 0
                    )
                    share = 100 * number_of / others
                    lines.append(f"- {scenario.title}: {label(peer)} {field} {share:.2g} %")
        if scenario.stayed():
            share = f"{100 * scenario.stayed():.2g} % of the sessions"
            lines.append(f"- {scenario.title}: {label(OFFLOAD)}: {share} stayed relays")
    return ["\n".join(lines)] if lines else []


def _median_text(form):
    return lambda peer, spread: (form(spread.median), "")


def _figure_text(scenario, peer, figure):
    if not scenario.is_relative():
        return rate_text(figure.median, scenario.unit), ""
    return (
        ratio_text(figure.median, scenario.aim_of(peer)),
        f" ({ratio_text(figure.low)}–{ratio_text(figure.high)})",
    )


def _median_of_figure(scenario, peer, figure):
    return _figure_text(scenario, peer, figure)[0], ""


def _cost_text(scenario, peer, cost):
    relative = scenario.relative_cost(peer)
    return number(cost.median), f" ({ratio_text(relative.median)})" if relative else ""


def _aim_text(scenario):
    if scenario.aim is None:
        return ""
    return f"{scenario.aim:g} {_REACHED[scenario.reached()]}"


def _cells(peers, value, text, lower_is_better=True):
    """A cell for each peer, of value(peer), which is a Spread or None; the best proxy's in bold.

    text(peer, spread) is what a cell says, in two parts, the first of which can be bold.
    """
    spreads = {peer: value(peer) for peer in peers}
    texts = {peer: text(peer, spread) for peer, spread in spreads.items() if spread}
    medians = {peer: spreads[peer].median for peer in texts if peer != "direct"}
    # What reads the same as the best is the best, and where all do none is.
    top = {texts[peer][0] for peer in best(medians, lower_is_better)}
    if all(texts[peer][0] in top for peer in medians):
        top = set()
    cells = []
    for peer in peers:
        first, rest = texts.get(peer, (_NOTHING, ""))
        cells.append((f"**{first}**" if first in top and peer in medians else first) + rest)
    return cells


def _table(heads, rows, left=1):
    """Columns are as wide as they have to be; all but the first ones are aligned to the right."""
    if not rows:
        return ""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [heads, *rows]]
    widths = [max(3, *map(len, column)) for column in zip(*rows)]
    rule = [
        "-" * width if column < left else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = []
    for row in [rows[0], rule, *rows[1:]]:
        cells = [
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
