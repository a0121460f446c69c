"""Alert rules and dashboard speak of metrics that are there, in what Prometheus reads, with the documents' thresholds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from services.kit.telling.metrics import Metrics

INFRA = Path(__file__).parents[3] / "infra"
RULES = [rule for group in yaml.safe_load((INFRA / "prometheus/alerts.yml").read_text())["groups"] for rule in group["rules"]]
PANELS = json.loads((INFRA / "grafana/dashboards/prozess.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_CACHES = {"prozess_cache_lookups_total": {"cache", "result"}, "prozess_cache_entries": {"cache"}}
DOCUMENTED = {
    "ResponsesSlow": ("prozess_http_seconds_bucket", "> 5"),
    "ErrorsMany": ("prozess_requests_total", "> 0.05"),
    "NearlyFull": ("prozess_limit_used", "> 0.9"),
    "CacheCold": ("prozess_cache_lookups_total", "< 0.6"),
    "RunsSlow": ("prozess_run_seconds_sum", "> 30"),
}
"""Document 001's table of KPIs: what is measured, and when to call somebody."""


def known() -> dict[str, set[str]]:
    """The samples of our metrics, and their labels."""
    found: dict[str, set[str]] = {**OF_PROMETHEUS, **OF_CACHES}
    for one in vars(Metrics()).values():
        if isinstance(one, Counter | Gauge | Histogram):
            labels = set(one._labelnames)
            suffixes = {Counter: ["_total"], Gauge: [""], Histogram: ["_bucket", "_sum", "_count"]}[type(one)]
            found |= {one._name + suffix: labels | ({"le"} if suffix == "_bucket" else set()) | {"job", "instance"} for suffix in suffixes}
    return found


def parts(expression: Any) -> Iterator[Any]:
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (inner := getattr(expression, name, None)) is not None:
            yield from parts(inner)
    for inner in getattr(expression, "args", None) or ():
        yield from parts(inner)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_promql_about_metrics_and_labels_that_are_there(expression: str):
    names = known()
    labels: set[str] = set()
    for part in parts(promql_parser.parse(expression)):
        if isinstance(part, promql_parser.VectorSelector):
            assert part.name in names, f"there is no {part.name}"
            assert {matcher.name for matcher in part.matchers.matchers} <= names[part.name]
            labels |= names[part.name]
        modifier = getattr(part, "modifier", None)
        if isinstance(part, promql_parser.AggregateExpr) and modifier is not None:
            inside = [names[one.name] for one in parts(part.expr) if isinstance(one, promql_parser.VectorSelector)]
            assert all(set(modifier.labels) <= one for one in inside), expression


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_seen_and_how_urgent_it_is(rule: dict[str, Any]):
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("alert", DOCUMENTED)
def test_the_documents_thresholds_are_alerts(alert: str):
    metric, threshold = DOCUMENTED[alert]
    (rule,) = [rule for rule in RULES if rule["alert"] == alert]
    assert metric in rule["expr"]
    assert rule["expr"].strip().endswith(threshold)
    assert "target is" in rule["annotations"]["summary"]


def test_alerts_have_names_of_their_own():
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
