"""Alert rules and the dashboard: they ask for numbers that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from deploy.files import DEPLOY, ROOT, read

from ticketkit.backends.storage import Totals
from ticketkit.http.app import TABLE
from ticketkit.http.metrics import Metrics
from ticketkit.memory import VirtualClock
from ticketkit.services.catalogue import ServiceName

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES: list[dict[str, Any]] = [rule for group in read("monitoring/alerts.yaml")["groups"] for rule in group["rules"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]
SCRAPES = {one["job_name"]: one for one in read("monitoring/prometheus.yaml")["scrape_configs"]}
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ", re.MULTILINE)
OF_PROMETHEUS = {"up"}


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Labels of each series that a process tells when it has something to tell, by name."""
    metrics = Metrics()
    metrics.observe("/api/orders", "POST", 201, 0.01)
    totals = Totals(by_status={("order", "created"): 1}, unpublished=1, oldest=None, dead=0, overdue_locks=0)
    text = metrics.exposition(
        {"inventory": totals}, VirtualClock().now(), to_repair={"fake": 1}, lag={"orders": 1}
    ).decode()
    return {
        name: {*re.findall(r'(\w+)="', labels), "service", "instance", "job"} for name, labels in SAMPLE.findall(text)
    }


def parsed(expression: str) -> Any:
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))


def selectors(node: Any) -> Iterator[Any]:
    """The series that an expression asks for."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vs", "vector_selector", "param"):
        if (below := getattr(node, name, None)) is not None:
            yield from selectors(below)
    for below in getattr(node, "args", None) or ():
        yield from selectors(below)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_is_told(expression: str, exposed: dict[str, set[str]]) -> None:
    found = list(selectors(parsed(expression)))
    assert len(found) == len(re.findall(r"ticketkit_\w+|\bup\b", expression))
    for selector in found:
        if selector.name in OF_PROMETHEUS:
            continue
        assert selector.name in exposed, selector.name
        for matcher in selector.matchers.matchers:
            assert matcher.name in exposed[selector.name], matcher.name


def test_routes_that_are_asked_for_exist() -> None:
    routes = {(operation.path, operation.method) for operation in TABLE}
    asked = re.findall(r'route="([^"]+)", method="(\w+)"', "\n".join(EXPRESSIONS))
    assert asked
    assert set(asked) <= routes


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_and_where_it_is_told_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+m", rule["for"])
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in text
    labels = {name for one in selectors(parsed(rule["expr"])) for name in _labels(one)}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= {*labels, "instance", "service"}


def _labels(selector: Any) -> set[str]:
    return (
        {"storage", "provider", "consumer", "route", "method", "status"}
        if selector.name.startswith("ticketkit_")
        else set()
    )


def test_every_service_is_asked() -> None:
    targets = {one["labels"]["service"]: one["targets"] for one in SCRAPES["ticketkit"]["static_configs"]}
    assert targets == {name.value: [f"{name.value}:8000"] for name in ServiceName}
    assert SCRAPES["ticketkit"]["metrics_path"] == "/metrics"


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_data_source_is_chosen_by_whoever_looks() -> None:
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert DASHBOARD["schemaVersion"] >= 39  # Grafana 11 and newer
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert panel["title"]
        assert panel["description"]


def test_each_number_that_is_told_is_shown(exposed: dict[str, set[str]]) -> None:
    shown = {one.name for panel in PANELS for target in panel["targets"] for one in selectors(parsed(target["expr"]))}
    ours = {name for name in exposed if not name.endswith(("_created", "_count", "_sum"))}
    assert ours - shown == set()
