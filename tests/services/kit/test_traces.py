"""Traces: read from headers, handed on, told to a collector; nothing at all where nobody collects them."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.errors import Refused
from services.kit.settings import load
from services.kit.telling import otlp
from services.kit.telling.traces import OFF, TRACE, Span, below, carried, fresh, named, sampled, span_id, trace_id
from tests.support.collector import Collector

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "0",
        PARENT + "\n",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01",
    ],
)
def test_a_header_that_is_not_well_formed_is_no_trace(wrong: str):
    assert named([(b"host", b"x"), (b"traceparent", wrong.encode())]) in {"", PARENT if wrong.strip() == PARENT else ""}


def test_a_trace_is_read_from_its_header():
    assert named([(b"accept", b"*/*"), (b"traceparent", PARENT.encode())]) == PARENT
    assert named([]) == ""


def test_a_span_below_another_is_of_its_trace_and_has_the_id_of_what_it_is_about():
    one, same, other = below(PARENT, "node", "1"), below(PARENT, "node", "1"), below(PARENT, "node", "2")
    assert one == same
    assert trace_id(one) == trace_id(other) == trace_id(PARENT)
    assert len({span_id(one), span_id(other), span_id(PARENT)}) == 3
    assert below(PARENT) != below(PARENT), "a span about nothing is a new one each time"


def test_what_the_caller_does_not_sample_is_not_told():
    assert sampled(below(PARENT))
    assert not sampled(below(PARENT[:-1] + "0"))


def test_of_new_traces_the_share_that_is_wanted_is_told():
    told = sum(sampled(fresh(0.5, number)) for number in range(2_000))
    assert 900 < told < 1_100
    assert sampled(fresh(1.0))
    assert not sampled(fresh(0.0))


def test_a_trace_is_handed_on_only_inside_of_one():
    assert carried() == {}
    token = TRACE.set(PARENT)
    assert carried() == {"traceparent": PARENT}
    TRACE.reset(token)


def test_without_a_collector_nothing_is_told_and_a_callers_trace_is_handed_on_as_it_came():
    assert otlp.traces(load(otlp_endpoint=""), "api") is OFF
    assert (OFF.on, OFF.begin(PARENT, "run", "1"), OFF.begin("")) == (False, PARENT, "")


def test_a_program_without_a_collector_never_reads_the_sdk():
    code = "import sys; import services.api.app, services.processor.app; sys.exit('opentelemetry.sdk.trace' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60, cwd=Path(__file__).parents[3]).returncode == 0


def test_a_collector_without_the_extra_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(Refused, match=r"pip install 'prozess\[otel\]'"):
        otlp.traces(load(otlp_endpoint="http://127.0.0.1:4318"), "api")


@pytest.mark.parametrize("wrong", ["127.0.0.1:4318", "ftp://x", "http://a b"])
def test_an_address_that_is_none_is_refused_by_name(wrong: str):
    with pytest.raises(Refused, match="OTEL_EXPORTER_OTLP_ENDPOINT is not right"):
        load(otlp_endpoint=wrong)


async def test_spans_arrive_with_few_short_attributes_their_parents_and_what_failed():
    with Collector() as collector:
        traces = otlp.traces(load(otlp_endpoint=collector.url), "api")
        attributes = {f"a{number}": "x" * 10_000 for number in range(100)}
        traces.tell(Span(below(PARENT, 1), "n" * 10_000, 1_000.5, 2_000, PARENT, "server", attributes, "20201"))
        traces.tell(Span(below(PARENT[:-1] + "0", 2), "not sampled", 1_000, 2_000))
        await traces.close()
    (one,) = collector.spans
    assert (one.service, one.trace, one.parent, one.failed) == ("prozess-api", trace_id(PARENT), span_id(PARENT), "20201")
    assert one.duration_ns == 999_500_000
    assert (len(one.name), len(one.attributes), max(map(len, one.attributes.values()))) == (256, 32, 256)


async def test_a_collector_that_is_gone_costs_spans_and_nothing_else():
    with Collector() as collector:
        traces = otlp.traces(load(otlp_endpoint=collector.url), "api")
    traces.tell(Span(below(PARENT), "lost", 1_000, 2_000))
    await traces.close()
