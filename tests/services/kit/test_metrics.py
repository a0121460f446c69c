"""Instruments follow the naming rules, and each program has its own."""

from prometheus_client.parser import text_string_to_metric_families

from services.kit.metrics import Metrics


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
