# SPDX-License-Identifier: MIT
"""doc/metrics.md, the dashboard and the alerts speak of metrics that there are."""

import json
import pathlib
import re

import plugins
import pytest
from metrics import config, promtool, scrape
from settings import listener, udp_listener

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGE = TOP / "doc" / "metrics.md"
DASHBOARD = TOP / "etc" / "grafana-dashboard.json"
ALERTS = TOP / "etc" / "prometheus-alerts.yml"

# What Prometheus itself adds to each sample.
ADDED = {"instance", "job", "le"}

METRIC = re.compile(r"\b(?:mmproxy|process)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:mmproxy|process)_[a-z0-9_]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


@pytest.fixture
def seen(host, start_daemon):
    """A scrape that has everything there can be."""
    entry = plugins.entry("ratelimit", {"rate": 1000.0})
    start_daemon(host, config=config(listener(plugins=[entry]), udp_listener(), workers=2))
    return scrape(host)


def family_of(seen, name):
    """The family that a sample of this name belongs to."""
    for end in "_bucket", "_sum", "_count":
        base = name[: -len(end)] if name.endswith(end) else None
        if base in seen.families and seen.families[base].type == "histogram":
            return seen.families[base]
    assert name in seen.families, f"there is no metric {name}"
    return seen.families[name]


def assert_is_about_what_there_is(seen, expression):
    """Every metric of the expression is told, with the labels that it is asked for."""
    names = METRIC.findall(re.sub(r'"[^"]*"', "", expression))
    assert names, expression
    families = {name: family_of(seen, name) for name in names}
    for name, matchers in SELECTOR.findall(expression):
        for label, value in MATCHER.findall(matchers):
            if label in ADDED:
                continue
            assert label in families[name].labels(), f"{name} has no label {label}"
            values = [dict(pairs)[label] for _, pairs in families[name].samples]
            if "~" not in matchers:
                assert value in values, f"{name}: {label} is never {value}"
    known = set().union(*(family.labels() for family in families.values())) | ADDED
    for labels in GROUPING.findall(expression):
        assert set(labels.replace(" ", "").split(",")) <= known, expression


def dashboard_expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    found = [(target["expr"], panel["title"])
             for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [(note["expr"], note["name"]) for note in dashboard["annotations"]["list"]]
    assert len(found) > 30
    return found


def alert_expressions():
    """The text behind each `expr:`, which goes on in lines that are indented further."""
    found, indent = [], None
    for line in ALERTS.read_text().splitlines():
        here = len(line) - len(line.lstrip())
        if match := re.match(r"\s*expr: (.*)", line):
            found.append(match[1].removeprefix("|"))
            indent = here
        elif indent is not None and here > indent:
            found[-1] += " " + line.strip()
        else:
            indent = None
    assert len(found) == ALERTS.read_text().count("- alert:") > 5
    return found


def test_the_page_lists_every_metric_with_its_type_and_labels_and_no_other(seen):
    row = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.M)
    listed = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in row.findall(PAGE.read_text())
    }
    told = {name: (family.type, family.labels()) for name, family in seen.families.items()}
    assert listed == told


def test_the_page_explains_every_value_of_the_labels_that_have_tables(seen):
    row = re.compile(r"^\| `(\w+)` \| ((?!meaning \|)[^|]+) \|$", re.M)
    explained = [value for value, _ in row.findall(PAGE.read_text())]
    values = {
        value
        for name, label in [
            ("mmproxy_dropped_datagrams_total", "cause"),
            ("mmproxy_client_ports_total", "outcome"),
            ("mmproxy_offload_stayed_total", "reason"),
            ("mmproxy_offload_flows_stayed_total", "reason"),
        ]
        for _, pairs in seen.families[name].samples
        for key, value in pairs
        if key == label
    }
    assert set(explained) == values


def test_the_pages_questions_are_about_metrics_that_there_are(seen):
    _, _, questions = PAGE.read_text().partition("## Questions")
    questions = re.findall(r"^    (\S.*)$", questions, re.M)
    assert len(questions) >= 4
    for question in questions:
        assert_is_about_what_there_is(seen, question)


def test_the_dashboard_asks_for_metrics_that_there_are(seen):
    for expression, _ in dashboard_expressions():
        assert_is_about_what_there_is(seen, expression)


def test_the_dashboards_expressions_are_prometheus_own_language(tmp_path):
    rules = []
    for number, (expression, _) in enumerate(dashboard_expressions()):
        expression = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
        assert "$" not in expression
        rules.append(f"      - record: a:{number}\n        expr: {json.dumps(expression)}\n")
    file = tmp_path / "rules.yml"
    file.write_text("groups:\n  - name: dashboard\n    rules:\n" + "".join(rules))
    status, output = promtool("check", "rules", str(file))
    assert status == 0, output
    assert f"{len(rules)} rules found" in output


def test_the_dashboard_can_be_imported_anywhere():
    """It names no data source of ours, and no panel covers another."""
    dashboard = json.loads(DASHBOARD.read_text())
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert variables == ["datasource", "instance"]
    assert set(re.findall(r'"uid": "([^"]*)"', DASHBOARD.read_text())) == {
        "${datasource}",
        "mmproxy",
    }
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))


def test_the_alerts_are_rules_about_metrics_that_there_are(seen):
    status, output = promtool("check", "rules", str(ALERTS))
    assert status == 0, output
    for expression in alert_expressions():
        assert_is_about_what_there_is(seen, expression)


FIRES = """\
rule_files:
  - {rules}
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - series: mmproxy_worker_heartbeat_age_seconds{{worker="1"}}
        values: "0+15x100"
      - series: mmproxy_config_last_reload_successful
        values: "0x100"
      - series: mmproxy_sessions_accepted_total
        values: "0+100x100"
      - series: mmproxy_sessions_closed_total{{kind="failed",reason="connect-timeout"}}
        values: "0+{failed}x100"
      - series: mmproxy_sessions_closed_total{{kind="refused",reason="header-missing"}}
        values: "0+{refused}x100"
      - series: mmproxy_sessions{{listener="dns",protocol="udp"}}
        values: "{alive}x100"
      - series: mmproxy_sessions_limit{{listener="dns",protocol="udp"}}
        values: "100x100"
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{{alertstate="firing"}})
        eval_time: 20m
        exp_samples:
{firing}"""


@pytest.mark.parametrize(
    "failed, refused, alive, more",
    [
        (4, 9, 89, []),
        (6, 9, 89, ["MmproxyUpstreamUnreachable"]),
        (4, 11, 89, ["MmproxyHeadersRefused"]),
        (4, 9, 91, ["MmproxyListenerFull"]),
    ],
)
def test_alerts_fire_at_their_thresholds(tmp_path, failed, refused, alive, more):
    firing = "".join(
        f"          - labels: '{{alertname=\"{name}\"}}'\n            value: 1\n"
        for name in ["MmproxyWorkerStuck", "MmproxyReloadFailed", *more]
    )
    file = tmp_path / "test.yml"
    file.write_text(
        FIRES.format(rules=ALERTS, failed=failed, refused=refused, alive=alive, firing=firing)
    )
    status, output = promtool("test", "rules", str(file))
    assert status == 0, output
