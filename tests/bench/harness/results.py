# SPDX-License-Identifier: MIT
"""The shape of bench.json, and what follows from its numbers: medians, ratios, costs, aims.

The classes' fields are the document's keys: parse() makes a Bench of a document, and
dataclasses.asdict() makes the document of a Bench. Keys that no class has are left aside.

Ratios are taken round by round, for a machine changes from one minute to the next: a run is
compared with another one of the same round, and the median of these ratios is what counts.
"""

import dataclasses
import json
import statistics

FORMAT = 1

# In the order in which they are reported.
GROUPS = ("tcp", "udp", "plugins", "memory")

PERCENTILES = ("p50", "p99", "p999")

# The peer that is mmproxy with the kernel offload.
OFFLOAD = "mmproxy-offload"

# What it is judged by: whether less is better.
OFFLOAD_MEASURES = {
    "ratio": False,  # of the rate, to the base
    "ratio_to_mmproxy": False,  # of the rate, to the relay
    "added_p99_us": True,  # the p99 beyond the base's
    "cpu_share": True,  # of one CPU, of the daemon
}

# What a proxy's CPU time is told per, by what a scenario counts.
COST_UNITS = {"bytes": "s/GB", "messages": "µs/message", "connections": "µs/connection"}
_COST_FACTORS = {"bytes": 1e9, "messages": 1e6, "connections": 1e6}


class Unreadable(Exception):
    """A document that is no bench.json, or another format of it."""


@dataclasses.dataclass
class Latency:
    """Microseconds, of one run."""

    p50: float
    p99: float
    p999: float
    max: float


@dataclasses.dataclass
class Run:
    """One scenario with one peer, once. `kernel_kib` is of memory alone, per idle connection.
    `descriptors` are what the proxy has beyond those at rest: of memory per idle connection, else
    all while it is measured. `cpu_share` is of one CPU, at that time. `offloaded` is the share of
    the sessions that the kernel had when measuring began."""

    rate: float
    bytes: int = 0
    messages: int = 0
    connections: int = 0
    seconds: float = 0
    cpu_seconds: float | None = None
    lost: int = 0
    reordered: int = 0
    latency_us: Latency | None = None
    kernel_kib: float | None = None
    descriptors: float | None = None
    cpu_share: float | None = None
    offloaded: float | None = None


@dataclasses.dataclass
class Spread:
    """The median over the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclasses.dataclass
class Scenario:
    """What was measured: `runs` has a list for each peer, with one Run, or None, for each round.

    A peer is a proxy, or "direct", which is none. What is asked of a peer that has not run, or not
    together with the one that it is compared with, is None.
    """

    name: str
    title: str
    group: str
    unit: str
    aim: float | None
    base: str | None
    lower_is_better: bool
    runs: dict[str, list[Run | None]]
    # Of the peer OFFLOAD, by OFFLOAD_MEASURES.
    offload_aims: dict[str, float] = dataclasses.field(default_factory=dict)

    def compared(self):
        """The peers besides the base."""
        return [peer for peer in self.runs if peer != self.base]

    def proxies(self):
        return [peer for peer in self.runs if peer != "direct"]

    def spread(self, peer, value):
        """Of value(run)."""
        return _spread(map(value, self._done(peer)))

    def rate(self, peer):
        return self.spread(peer, lambda run: run.rate)

    def kernel_kib(self, peer):
        return self.spread(peer, lambda run: run.kernel_kib)

    def descriptors(self, peer):
        return self.spread(peer, lambda run: run.descriptors)

    def ratio(self, peer):
        """To the base, of the rates."""
        return self._ratio(peer, self.base, lambda run: run.rate)

    def figure(self, peer):
        """What a peer is judged by: its ratio, or its rate where no ratio says enough."""
        return self.ratio(peer) if self.is_relative() else self.rate(peer)

    def is_relative(self):
        return self.base is not None and not self.lower_is_better

    def latency(self, peer, percentile):
        return self.spread(
            peer, lambda run: getattr(run.latency_us, percentile) if run.latency_us else None
        )

    def has_latency(self):
        return any(run.latency_us for peer in self.runs for run in self._done(peer))

    def counted(self):
        """What CPU time is divided by: the name of one of Run's fields."""
        unit = self.unit.lower()
        if unit.startswith("conn"):
            return "connections"
        if self.group != "udp" and unit.endswith("b/s"):
            return "bytes"
        return "messages"

    def cost(self, peer):
        """CPU time, in COST_UNITS[counted()]."""
        return self.spread(peer, self._cost)

    def relative_cost(self, peer, base="haproxy"):
        return self._ratio(peer, base, self._cost)

    def judged(self):
        """The peers that are to reach the aim: mmproxy, or all that are compared with it."""
        return ["mmproxy"] if self.base != "mmproxy" else self.compared()

    def aim_of(self, peer):
        """The aim of a peer's figure; None where it has none."""
        if peer == OFFLOAD:
            return self.offload_aims.get("ratio")
        return self.aim if peer in self.judged() else None

    def reached(self):
        """Whether the aim was reached; None where there is none, or nothing to judge it by."""
        values = [self.figure(peer) for peer in self.judged()]
        if self.aim is None or not values or None in values:
            return None
        if self.lower_is_better:
            return all(value.median <= self.aim for value in values)
        return all(value.median >= self.aim for value in values)

    def cpu_share(self, peer):
        return self.spread(peer, lambda run: run.cpu_share)

    def added_latency(self, peer, percentile, base="direct"):
        """What it is beyond the base's, round by round."""
        pairs = zip(self.runs.get(peer, []), self.runs.get(base, []))
        return _spread(
            getattr(run.latency_us, percentile) - getattr(base_run.latency_us, percentile)
            for run, base_run in pairs
            if run and base_run and run.latency_us and base_run.latency_us
        )

    def measure(self, measure, peer):
        """One of OFFLOAD_MEASURES, or descriptors, of any peer."""
        if measure == "ratio":
            return self.ratio(peer)
        if measure == "ratio_to_mmproxy":
            return self._ratio(peer, "mmproxy", lambda run: run.rate)
        if measure == "added_p99_us":
            return self.added_latency(peer, "p99")
        return self.cpu_share(peer) if measure == "cpu_share" else self.descriptors(peer)

    def offload_reached(self, measure):
        """Whether the offload's aim was reached; None where there is nothing to judge it by."""
        value, aim = self.measure(measure, OFFLOAD), self.offload_aims[measure]
        if value is None:
            return None
        return value.median <= aim if OFFLOAD_MEASURES[measure] else value.median >= aim

    def stayed(self):
        """The share of the sessions that were to be offloaded, and were not; of all rounds."""
        shares = [run.offloaded for run in self._done(OFFLOAD) if run.offloaded is not None]
        return 1 - statistics.mean(shares) if shares else None

    def missing(self, peer):
        """Rounds that the peer has not run in."""
        return self.runs[peer].count(None)

    def total(self, peer, field):
        return sum(getattr(run, field) for run in self._done(peer))

    def _done(self, peer):
        return [run for run in self.runs.get(peer, []) if run is not None]

    def _cost(self, run):
        count = getattr(run, self.counted())
        if run.cpu_seconds is None or not count:
            return None
        return run.cpu_seconds / count * _COST_FACTORS[self.counted()]

    def _ratio(self, peer, base, value):
        ratios = []
        for run, base_run in zip(self.runs.get(peer, []), self.runs.get(base, [])):
            if run is None or base_run is None:
                continue
            above, below = value(run), value(base_run)
            if above is not None and below:
                ratios.append(above / below)
        return _spread(ratios)


@dataclasses.dataclass
class Bench:
    """All of one run of the bench. `system_calls`: a message's, by scenario and peer."""

    format: int
    machine: dict
    programs: dict[str, str]
    options: dict
    began: str
    took_seconds: float
    busiest: float
    scenarios: list[Scenario]
    system_calls: dict[str, dict]

    def group(self, name):
        return [scenario for scenario in self.scenarios if scenario.group == name]

    def title(self, name):
        """A scenario's, by its name."""
        titles = [scenario.title for scenario in self.scenarios if scenario.name == name]
        return titles[0] if titles else name


def peers_of(scenarios, which=Scenario.compared):
    """All their peers, each once, in the order in which they come first."""
    return list(dict.fromkeys(peer for scenario in scenarios for peer in which(scenario)))


def best(values, lower_is_better=False):
    """Those with the best of {peer: number}: several if they are equal, none of none."""
    top = (min if lower_is_better else max)(values.values(), default=None)
    return {peer for peer, value in values.items() if value == top}


def read(path):
    with open(path, encoding="utf-8") as file:
        try:
            return parse(json.load(file))
        except json.JSONDecodeError as error:
            raise Unreadable(f"no JSON: {error}") from error


def parse(document):
    """The Bench of a document; Unreadable says what is wrong with one."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Unreadable(f"not format {FORMAT}")
    scenarios = [_parse_scenario(scenario) for scenario in _get(document, "scenarios", "the bench")]
    return _make(Bench, {"system_calls": {}, **document, "scenarios": scenarios}, "the bench")


def _parse_scenario(document):
    where = f"scenario {_get(document, 'name', 'a scenario')}"
    runs = {
        peer: [_parse_run(run, f"{where}, {peer}") for run in rounds]
        for peer, rounds in _get(document, "runs", where).items()
    }
    scenario = _make(Scenario, {**document, "runs": runs}, where)
    if scenario.group not in GROUPS:
        raise Unreadable(f"{where}: no group is called {scenario.group}")
    for measure in scenario.offload_aims:
        if measure not in OFFLOAD_MEASURES:
            raise Unreadable(f"{where}, offload_aims: no measure is called {measure}")
    return scenario


def _parse_run(document, where):
    if document is None:
        return None
    run = _make(Run, document, where)
    if run.latency_us is not None:
        run.latency_us = _make(Latency, run.latency_us, f"{where}, latency_us")
    return run


def _make(kind, document, where):
    fields = dataclasses.fields(kind)
    for field in fields:
        if field.default is field.default_factory:  # both are missing
            _get(document, field.name, where)
    return kind(**{field.name: document[field.name] for field in fields if field.name in document})


def _get(document, key, where):
    if key not in document:
        raise Unreadable(f"{where}: no {key}")
    return document[key]


def _spread(values):
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.median(known), min(known), max(known))
