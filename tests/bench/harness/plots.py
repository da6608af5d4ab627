# SPDX-License-Identifier: MIT
"""The plots of a bench: SVG on white, so that they can be read on a dark page, too.

scripts() makes what gnuplot is told, and write() has it draw. Equal benches make equal files, as
long as gnuplot is the same.
"""

import dataclasses
import itertools
import math
import re
import textwrap

from harness.gnuplot import Picture, draw, text_width
from harness.results import COST_UNITS, PERCENTILES, peers_of
from harness.words import (
    count,
    label,
    machine_line,
    number,
    percentile,
    rate_text,
    ratio_text,
    short,
)

# One accent, with a lighter one for the same program; all differ in lightness as well as in hue.
_COLOURS = {
    "direct": 0x4B5563,
    "mmproxy": 0xD9480F,
    "mmproxy-offload": 0xF59F00,
    "haproxy": 0x5F7F9F,
    "haproxy-splice": 0x9FB8D0,
    "nginx": 0x7F9A70,
    "plain": 0xC9B27C,
}
_BOLD = ("mmproxy", "mmproxy-offload")
_MORE_COLOURS = (0x9A86AD, 0x6FA9A4, 0xB98D96, 0xA8A8A8)
_INK, _FAINT, _GRID, _WHITE = 0x1F2933, 0x66717E, 0xE3E7EC, 0xFFFFFF

_BIG, _MIDDLE, _SMALL = 18, 13, 11

# All in pixels.
_WIDTH, _MARGIN, _LEFT = 880, 24, 230
_TOP, _BOTTOM = 122, 62
_TITLE_Y, _SUBTITLE_Y, _LEGEND_Y, _LEGEND_STEP = 30, 54, 82, 18
_BAR, _BAR_STEP, _LINE_STEP, _BETWEEN = 14, 18, 17, 20
_GAP = 6
_NUMBER_STEP = 62

# Gnuplot's, of rows of (x, y, low x, high x, low y, high y, colour).
_BOXES = "using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder lc rgb variable"


@dataclasses.dataclass
class _Bar:
    """Parts, each (length, colour), one behind the other; then text."""

    parts: list
    text: str
    bold: bool = False
    spread: tuple | None = None
    aim: float | None = None

    def end(self):
        return max(sum(length for length, _ in self.parts), *self.spread or (0,))

    def text_room(self):
        """Pixels."""
        return text_width(self.text, _SMALL, self.bold) + 2 * _GAP

    def text_begins(self, pixel):
        """Behind the bar, or behind the aim where that would be in the text."""
        begin = self.end()
        if self.aim is not None and -_GAP < (self.aim - begin) / pixel < self.text_room():
            begin = max(begin, self.aim)
        return begin + _GAP * pixel


@dataclasses.dataclass
class _Cluster:
    """A scenario's: lines of text, each (text, size, colour), and rows beside them."""

    lines: list
    rows: list

    def height(self):
        return max(_BAR_STEP * len(self.rows), _LINE_STEP * len(self.lines))


def write(bench, folder):
    """Draws all of which something was measured, and returns the paths."""
    paths = []
    for name, script in scripts(bench).items():
        path = folder / name
        path.write_bytes(draw(script))
        paths.append(path)
    return paths


def scripts(bench):
    """{file name: gnuplot's script}."""
    colours = _colours(bench)
    made = {
        "tcp.svg": _ratios(bench, colours, "tcp", "TCP throughput"),
        "udp.svg": _ratios(bench, colours, "udp", "UDP throughput"),
        "cpu.svg": _cpu(bench, colours),
        "latency.svg": _latency(bench, colours),
        "memory.svg": _memory(bench, colours),
    }
    return {name: script for name, script in made.items() if script}


def _colours(bench):
    """{peer: colour}, the same in all pictures."""
    peers = peers_of(bench.scenarios, lambda scenario: scenario.runs)
    others = [peer for peer in peers if peer not in _COLOURS]
    return {**_COLOURS, **dict(zip(others, itertools.cycle(_MORE_COLOURS)))}


def _ratios(bench, colours, group, title):
    scenarios = [
        scenario
        for scenario in bench.group(group)
        if scenario.is_relative() and scenario.compared()
    ]
    clusters = []
    for scenario in scenarios:
        bars = []
        for peer in scenario.compared():
            ratio, aim = scenario.ratio(peer), scenario.aim_of(peer)
            bars.append(_ratio_bar(peer, colours[peer], ratio, aim))
        base = scenario.rate(scenario.base)
        note = f"{label(scenario.base)}: {rate_text(base.median, scenario.unit)}" if base else ""
        clusters.append(_cluster(scenario, bars, note))
    if not clusters:
        return None
    picture = _page(
        bench,
        clusters,
        title,
        "Share of what goes without a proxy: median, lowest and highest of the rounds. "
        "More is better.",
    )
    _legend(picture, colours, peers_of(scenarios), _have_aims(scenarios))
    _bars(picture, clusters, "direct")
    return picture.script()


def _cpu(bench, colours):
    scenarios = [
        scenario
        for scenario in bench.scenarios
        if scenario.cost("haproxy") and _besides_haproxy(scenario)
    ]
    clusters = []
    for scenario in scenarios:
        bars = [
            _ratio_bar(peer, colours[peer], scenario.relative_cost(peer))
            for peer in _besides_haproxy(scenario)
        ]
        cost = number(scenario.cost("haproxy").median)
        note = f"HAProxy: {cost} {COST_UNITS[scenario.counted()]}"
        clusters.append(_cluster(scenario, bars, note))
    if not clusters:
        return None
    picture = _page(
        bench,
        clusters,
        "CPU time for the same work",
        "HAProxy = 1: median, lowest and highest of the rounds. Less is better.",
    )
    _legend(picture, colours, peers_of(scenarios, _besides_haproxy))
    _bars(picture, clusters, "HAProxy")
    return picture.script()


def _besides_haproxy(scenario):
    return [peer for peer in scenario.proxies() if peer != "haproxy"]


def _latency(bench, colours):
    scenarios = [scenario for scenario in bench.scenarios if scenario.has_latency()]
    if not scenarios:
        return None
    clusters = []
    for scenario in scenarios:
        rows = []
        for peer in scenario.runs:
            spreads = [scenario.latency(peer, name) for name in PERCENTILES]
            rows.append((peer, [spread.median for spread in spreads] if all(spreads) else None))
        clusters.append(_cluster(scenario, rows))
    picture = _page(
        bench,
        clusters,
        "Latency",
        "There and back: medians of the rounds, on a logarithmic axis. Less is better.",
        right=_WIDTH - _MARGIN - _NUMBER_STEP * len(PERCENTILES) - _GAP,
    )
    _legend(picture, colours, peers_of(scenarios, lambda scenario: scenario.runs))
    _percentiles(picture, colours, clusters)
    return picture.script()


def _memory(bench, colours):
    scenarios = [scenario for scenario in bench.group("memory") if scenario.compared()]
    if not scenarios:
        return None
    clusters = []
    for scenario in scenarios:
        bars = [_memory_bar(scenario, peer, colours[peer]) for peer in scenario.compared()]
        clusters.append(_cluster(scenario, bars))
    picture = _page(
        bench,
        clusters,
        "Memory of an idle connection",
        f"{scenarios[0].unit}: dark what the process takes, pale what the kernel takes for it. "
        "Less is better.",
    )
    _legend(picture, colours, peers_of(scenarios), _have_aims(scenarios))
    _bars(picture, clusters)
    return picture.script()


def _ratio_bar(peer, colour, ratio, aim=None):
    if ratio is None:
        return _not_measured(peer)
    return _Bar(
        [(ratio.median, colour)],
        ratio_text(ratio.median, aim),
        peer in _BOLD,
        (ratio.low, ratio.high),
        aim,
    )


def _memory_bar(scenario, peer, colour):
    user, kernel = scenario.rate(peer), scenario.kernel_kib(peer)
    descriptors = scenario.descriptors(peer)
    if user is None:
        return _not_measured(peer)
    parts, text = [(user.median, colour)], number(user.median)
    if kernel:
        parts.append((kernel.median, _pale(colour)))
        text += f" + {number(kernel.median)}"
    text += f" {scenario.unit}"
    if descriptors:
        text += f", {count(short(descriptors.median), 'descriptor')}"
    return _Bar(parts, text, peer in _BOLD, aim=scenario.aim_of(peer))


def _not_measured(peer):
    return _Bar([], f"{label(peer)}: not measured")


def _cluster(scenario, rows, note=""):
    """The title is parted at its last comma: what is done, and how many do it."""
    what, how_many = re.fullmatch(r"(.*?)(?:[,;] ([^,;]*))?", scenario.title).groups("")
    lines = [(line, _MIDDLE, _INK) for line in textwrap.wrap(what, 25)]
    lines += [(line, _SMALL, _FAINT) for line in (how_many, note) if line]
    return _Cluster(lines, rows)


def _pale(colour):
    return int.from_bytes(bytes(255 - (255 - part) * 2 // 5 for part in colour.to_bytes(3, "big")))


def _page(bench, clusters, title, subtitle, right=_WIDTH - _MARGIN):
    """With all that is around the plot but the legend, and the clusters' texts."""
    height = sum(cluster.height() + _BETWEEN for cluster in clusters)
    bottom = _TOP + height
    picture = Picture((_WIDTH, bottom + _BOTTOM), _LEFT, right, _TOP, bottom)
    left = picture.pixel(_MARGIN)
    picture.text(left, _TITLE_Y, title, _BIG, _INK, bold=True)
    picture.text(left, _SUBTITLE_Y, subtitle, _MIDDLE, _FAINT)
    picture.text(left, bottom + _BOTTOM - 18, machine_line(bench), _SMALL, _FAINT)
    for cluster, y in _placed(clusters):
        for text, size, colour in cluster.lines:
            picture.text(left, y + _LINE_STEP / 2, text, size, colour)
            y += _LINE_STEP
    return picture


def _placed(clusters):
    """(cluster, where it begins)."""
    y = _TOP + _BETWEEN / 2
    for cluster in clusters:
        yield cluster, y
        y += cluster.height() + _BETWEEN


def _have_aims(scenarios):
    return any(scenario.aim_of(peer) for scenario in scenarios for peer in scenario.compared())


def _legend(picture, colours, peers, aim=False):
    """In two lines, where one has not the room."""
    entries = [(label(peer), peer) for peer in peers] + [("aim of mmproxy", None)] * aim
    lines, x = [[]], _MARGIN
    for text, peer in entries:
        width = 18 + text_width(text, _MIDDLE, peer in _BOLD)
        if x + width > _WIDTH - _MARGIN:
            lines.append([])
            x = _MARGIN
        lines[-1].append((x, text, peer))
        x += width + 20
    for index, line in enumerate(lines):
        y = _LEGEND_Y + _LEGEND_STEP * index - (3 if len(lines) > 1 else 0)
        for x, text, peer in line:
            if peer is None:
                picture.line(picture.pixel(x + 6), y - 8, picture.pixel(x + 6), y + 8, _INK, 2.5)
            else:
                corners = picture.pixel(x), y - 6, picture.pixel(x + 12), y + 6
                picture.rectangle(*corners, colours[peer])
            picture.text(picture.pixel(x + 18), y, text, _MIDDLE, _INK, peer in _BOLD)


def _bars(picture, clusters, one=None):
    """The axis, and on it the bars; `one` is what has the value 1, and a line there."""
    placed = [
        (bar, top + _BAR_STEP * (index + 0.5))
        for cluster, top in _placed(clusters)
        for index, bar in enumerate(cluster.rows)
    ]
    room = picture.right - picture.left
    # So far that the text still fits behind each bar, or behind its aim.
    high = max(max(bar.end(), bar.aim or 0) * room / (room - bar.text_room()) for bar, _ in placed)
    high = max(high, 1.04 if one else 0) or 1
    pixel = high / room
    picture.axis(0, high, _FAINT, _GRID)
    boxes, spreads, behind_texts = [], [], []
    for bar, y in placed:
        begin = 0
        for length, colour in bar.parts:
            end = begin + length
            boxes.append((end, y, begin, end, y - _BAR / 2, y + _BAR / 2, colour))
            begin = end
        if bar.spread:
            spreads.append((begin, y, *bar.spread))
        if bar.aim is not None:
            picture.line(bar.aim, y - _BAR_STEP / 2, bar.aim, y + _BAR_STEP / 2, _INK, 2.5)
        begin = bar.text_begins(pixel)
        picture.text(begin, y, bar.text, _SMALL, _INK if bar.bold else _FAINT, bar.bold)
        end = begin + (bar.text_room() - 2 * _GAP) * pixel
        behind_texts.append((end, y, begin, end, y - _BAR_STEP / 2, y + _BAR_STEP / 2, _WHITE))
    picture.plot(boxes, _BOXES)
    if one:
        ends = [(1, picture.top), (1, picture.bottom)]
        picture.plot(ends, f"using 1:2 with lines dt 2 lw 1.2 lc rgb {_FAINT}")
        picture.text(1, picture.top - 9, one, _SMALL, _FAINT, align="center")
    picture.plot(behind_texts, _BOXES)
    picture.plot(spreads, f"using 1:2:3:4 with xerrorbars pt -1 lw 1.2 lc rgb {_INK}")


def _percentiles(picture, colours, clusters):
    """A dot, a thick line and a thin one for each peer, and the numbers in columns."""
    numbers = [
        number
        for cluster in clusters
        for _, percentiles in cluster.rows
        for number in percentiles or []
    ]
    low, high, tics = _logarithmic_axis(min(numbers), max(numbers))
    picture.axis(low, high, _FAINT, _GRID, tics, logarithmic=True)
    right = _WIDTH - _MARGIN
    columns = [right - _NUMBER_STEP * index for index in reversed(range(len(PERCENTILES)))]
    for x, name in zip(columns, PERCENTILES):
        head = f"{percentile(name)}, µs"
        picture.text(picture.pixel(x), picture.top - 9, head, _SMALL, _FAINT, align="right")
    _legend_of_percentiles(picture)
    thick, thin, dots = [], [], []
    for cluster, top in _placed(clusters):
        for index, (peer, percentiles) in enumerate(cluster.rows):
            y = top + _BAR_STEP * (index + 0.5)
            if percentiles is None:
                bar = _not_measured(peer)
                picture.text(picture.pixel(picture.left + _GAP), y, bar.text, _SMALL, _FAINT)
                continue
            p50, p99, p999 = percentiles
            colour = colours[peer]
            thick.append((p99, y, p50, p99, y - 3, y + 3, colour))
            thin.append((p999, y, p99 - p999, 0, colour))
            thin.append((p999, y - 4, 0, 8, colour))
            dots.append((p50, y, colour))
            bold = peer in _BOLD
            ink = _INK if bold else _FAINT
            for x, value in zip(columns, percentiles):
                picture.text(picture.pixel(x), y, number(value), _SMALL, ink, bold, "right")
    picture.plot(thin, "using 1:2:3:4:5 with vectors nohead lw 1.5 lc rgb variable")
    picture.plot(thick, _BOXES)
    picture.plot(dots, "using 1:2:3 with points pt 7 ps 0.8 lc rgb variable")


def _legend_of_percentiles(picture):
    """How a row is drawn, at the right of the legend."""
    x, y = _WIDTH - _MARGIN - 170, _SUBTITLE_Y + 6
    places = [picture.pixel(x + step) for step in (0, 75, 150)]
    picture.line(places[0], y, places[1], y, _FAINT, 6)
    picture.line(places[1], y, places[2], y, _FAINT, 1.5)
    picture.line(places[2], y - 4, places[2], y + 4, _FAINT, 1.5)
    picture.dot(places[0], y, 0.8, _FAINT)
    for place, name in zip(places, PERCENTILES):
        picture.text(place, y - 14, percentile(name), _SMALL, _FAINT, align="center")


def _logarithmic_axis(lowest, highest):
    """Where it begins and ends, and gnuplot's list of tics: 1, 2, 5, 10, ..., or powers of ten."""
    steps = [factor * 10.0**exponent for exponent in range(-3, 10) for factor in (1, 2, 5)]
    low = max((step for step in steps if step <= lowest), default=steps[0])
    high = min((step for step in steps if step >= highest), default=steps[-1])
    tics = [step for step in steps if low <= step <= high]
    if len(tics) > 9:
        tics = [step for step in tics if math.log10(step).is_integer()]
    texts = [f"{tic:g} µs" if tic < 1000 else f"{tic / 1000:g} ms" for tic in tics]
    # Gnuplot may leave out a tic at the very edge.
    low, high = low / 1.001, high * 1.001
    return low, high, "(" + ", ".join(f"'{text}' {tic:g}" for text, tic in zip(texts, tics)) + ")"
