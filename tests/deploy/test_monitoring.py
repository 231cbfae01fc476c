"""Alerts and dashboards query existing metrics with existing labels, and every alert has a runbook."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.deploy.kustomize import render
from tests.deploy.manifests import ROOT, labels, of_kind, selects
from tests.deploy.metrics import defined, words

MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "alerts" / "hubbub.yaml"
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
PROMETHEUS_OWN = {"up", "process_open_fds", "process_max_fds"}
"""Series that Prometheus or its client library creates for each target."""
TARGET_LABELS = {"namespace", "pod", "job", "instance"}
"""Labels that the scraper adds to every series."""
VARIABLES = {"$namespace": "hubbub", "$__rate_interval": "5m"}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
dashboards = pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text())["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for file in DASHBOARDS:
        for panel in panels(file):
            for target in panel.get("targets", []):
                text: str = target["expr"]
                for variable, value in VARIABLES.items():
                    text = text.replace(variable, value)
                yield f"{file.stem}: {panel['title']}", text


def nodes(expression: str) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def selected(expression: str) -> list[Any]:
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


every_expression = pytest.mark.parametrize("expression", [pytest.param(text, id=where) for where, text in expressions()])


@every_expression
def test_every_queried_metric_exists(expression: str) -> None:
    asked = {str(selector.name) for selector in selected(expression)}
    assert asked
    assert asked <= defined().keys() | PROMETHEUS_OWN


@every_expression
def test_every_queried_label_exists(expression: str) -> None:
    selectors = selected(expression)
    known = [defined()[str(each.name)].labels if each.name in defined() else frozenset() for each in selectors]
    for selector, own in zip(selectors, known, strict=True):
        assert {matcher.name for matcher in selector.matchers.matchers} <= own | TARGET_LABELS
    for node in nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            assert set(node.modifier.labels) <= frozenset().union(*known) | TARGET_LABELS


@every_expression
def test_every_queried_label_value_exists_in_the_code(expression: str) -> None:
    for selector in selected(expression):
        for matcher in selector.matchers.matchers:
            if matcher.name not in TARGET_LABELS and matcher.op == promql_parser.MatchOp.Equal:
                assert matcher.value in words()


@every_expression
def test_counters_are_queried_as_rates_and_gauges_are_not(expression: str) -> None:
    for node in nodes(expression):
        if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "increase"}:
            for selector in selected(str(node)):
                assert defined()[str(selector.name)].kind in {"Counter", "Histogram"}
    ranged = {str(node.vector_selector.name) for node in nodes(expression) if isinstance(node, promql_parser.MatrixSelector)}
    for selector in selected(expression):
        metric = defined().get(str(selector.name))
        assert metric is None or metric.kind == "Gauge" or metric.name in ranged


def test_every_metric_has_our_prefix() -> None:
    assert all(re.fullmatch(r"hubbub_[a-z_]+", name) for name in defined())


def test_every_alert_has_a_severity_and_a_runbook() -> None:
    headings = re.findall(r"^#+ (Hubbub\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    names = [rule["alert"] for rule in alerts()]
    assert sorted(headings) == sorted(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_a_page_needs_a_lasting_condition() -> None:
    assert all("for" in rule for rule in alerts() if rule["labels"]["severity"] == "page")


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    run = subprocess.run(["promtool", "check", "rules", str(RULES)], check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_not_before() -> None:
    cases = str(RULES.with_name("hubbub_test.yaml"))
    run = subprocess.run(["promtool", "test", "rules", cases], check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_every_alert_has_a_case() -> None:
    cases = yaml.safe_load(RULES.with_name("hubbub_test.yaml").read_text())
    fired = {each["alertname"] for case in cases["tests"] for each in case["alert_rule_test"] if each.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in alerts()}


@dashboards
def test_panels_do_not_overlap_and_have_descriptions(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(file):
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
    ids = [panel["id"] for panel in panels(file)]
    assert len(ids) == len(set(ids))


def test_rules_and_dashboards_are_deployed() -> None:
    maps = {each["metadata"]["name"]: set(each["data"]) for each in render(MONITORING)}
    assert maps == {"hubbub-alerts": {RULES.name}, "hubbub-dashboards": {file.name for file in DASHBOARDS}}


def test_every_process_has_a_pod_monitor() -> None:
    monitor = yaml.safe_load((MONITORING / "operator" / "podmonitor.yaml").read_text())["spec"]
    wanted = {"matchLabels": monitor["selector"]["matchLabels"]}
    assert monitor["namespaceSelector"]["matchNames"] == ["hubbub"]
    for workload in of_kind("prod", "Deployment"):
        assert selects(wanted, labels(workload))
        ports = workload["spec"]["template"]["spec"]["containers"][0]["ports"]
        assert monitor["podMetricsEndpoints"][0]["port"] in {each["name"] for each in ports}
