"""Instruments follow the naming rules, and each program has its own."""

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from services.kit.telling.metrics import Metrics, Tally

SERVICES = Path(__file__).parents[3] / "services"
LABELS = {
    *("cache", "code", "direction", "event_type", "kind", "limit", "of", "outcome"),
    *("partition", "result", "route", "status", "surface", "type", "verdict"),
}


def test_two_programs_in_one_process_count_apart():
    one, other = Metrics(), Metrics()

    one.takeovers.inc()

    assert one.registry.get_sample_value("prozess_takeovers_total") == 1
    assert other.registry.get_sample_value("prozess_takeovers_total") == 0


def test_every_instrument_is_named_and_explained_as_prometheus_asks():
    families = list(text_string_to_metric_families(Metrics().render().decode()))

    assert families
    for family in families:
        assert family.name.startswith("prozess_"), family.name
        assert family.documentation, family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_events")), family.name


def test_what_was_counted_is_rendered_with_its_labels():
    metrics = Metrics()

    metrics.http_requests.labels("astron", "/v1/runs/{event_id}", "2xx").inc()

    line = 'prozess_http_requests_total{route="/v1/runs/{event_id}",status="2xx",surface="astron"} 1.0'
    assert line in metrics.render().decode()


def test_labels_are_of_a_few_bounded_kinds_and_never_an_id_or_a_name():
    instruments = [one for one in vars(Metrics()).values() if isinstance(one, MetricWrapperBase)]
    assert {label for one in instruments for label in one._labelnames} <= LABELS


def test_every_instrument_is_used_somewhere():
    source = "".join(file.read_text() for file in SERVICES.rglob("*.py") if file.name != "metrics.py")
    unused = [name for name, one in vars(Metrics()).items() if isinstance(one, MetricWrapperBase) and not re.search(rf"\.{name}\b", source)]
    assert unused == []


def test_caches_of_one_name_are_added_up_when_somebody_looks():
    metrics = Metrics()
    for hits, size in ((3, 10), (4, 20)):
        metrics.caches.watch("keys", Tally(lambda size=size: size)).hits = hits

    read = metrics.registry.get_sample_value
    assert read("prozess_cache_lookups_total", {"cache": "keys", "result": "hit"}) == 7
    assert read("prozess_cache_lookups_total", {"cache": "keys", "result": "miss"}) == 0
    assert read("prozess_cache_entries", {"cache": "keys"}) == 30
