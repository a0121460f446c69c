"""The event on the wire: CloudEvents 1.0 in binary mode, there and back."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import decode, envelope_at
from events.delta import NodeDelta
from events.envelope import Damaged, Meta, Protected, StoredRecord, encode, headers_of, meta_of
from events.run import RunCompleted, RunStarted
from tests.support import samples

NAMES = st.text(min_size=0, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
METAS = st.fixed_dictionaries(
    {
        "id": NAMES,
        "stream": st.sampled_from(["run-7300000000000000001", "flow-1", "app-名", "refusals-demo", "partition-3"]),
        "time": st.integers(min_value=0, max_value=253_402_300_799_999),
        "source": NAMES,
        "app": NAMES,
        "claim": NAMES,
        "cause": st.none() | st.integers(min_value=0),
        "command": NAMES,
    }
)


@given(sample=st.sampled_from([*samples.MINIMAL.values(), *samples.FULL.values()]), meta=METAS, actor=NAMES)
def test_what_is_decoded_is_what_was_encoded(sample: Any, meta: dict[str, Any], actor: str) -> None:
    there = samples.envelope(sample, **meta, actor="" if isinstance(sample, NodeDelta) else actor)
    assert decode(encode(there)) == there


@given(words=st.dictionaries(st.text(), JSON, max_size=4))
def test_whatever_a_person_says_comes_back(words: dict[str, Any]) -> None:
    said = samples.envelope(samples.minimal(RunCompleted, outputs=samples.values(output=None, words=words)))
    assert decode(encode(said)) == said


def test_what_was_made_here_is_not_read_again_and_a_changed_copy_is() -> None:
    envelope = samples.envelope(samples.full(RunCompleted))
    record = encode(envelope)
    assert envelope_at(StoredRecord(0, record)) is envelope
    read = envelope_at(StoredRecord(0, replace(record)))
    assert (read, read is envelope) == (envelope, False)


def test_the_headers_are_those_of_cloudevents() -> None:
    event = samples.full(RunStarted)
    envelope = samples.envelope(event, id="e-1", actor="uid-1", claim="c-1", cause=42, command="k-1", traceparent="00-a-b-01")
    assert dict(headers_of(envelope.meta)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_type": b"run.started",
        "ce_source": b"prozess/test",
        "ce_time": b"2025-06-15T15:06:40.000Z",
        "ce_subject": f"run-{samples.RUN}".encode(),
        "content-type": b"application/json",
        "ce_run": samples.RUN.encode(),
        "ce_cause": b"42",
        "ce_app": b"demo",
        "ce_actor": b"uid-1",
        "ce_claim": b"c-1",
        "ce_command": b"k-1",
        "ce_traceparent": b"00-a-b-01",
    }


def test_a_delta_carries_only_what_a_filter_needs() -> None:
    delta = samples.envelope(samples.full(NodeDelta), actor="uid-1", claim="c-1", cause=42, command="k-1", traceparent="00-a-b-01")
    record = encode(delta)
    assert [name for name, _ in record.headers] == [
        "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_run", "ce_cause", "ce_app", "ce_claim", "ce_command",
    ]  # fmt: skip
    assert meta_of(record) == delta.meta._replace(actor="", traceparent="")


def test_the_record_is_keyed_by_its_stream_and_has_the_events_time() -> None:
    record = encode(samples.envelope(samples.minimal(RunCompleted), stream="run-5", time=1234))
    assert (record.key, record.time) == (b"run-5", 1234)


def test_a_later_version_says_so_in_a_header_and_the_first_does_not() -> None:
    first = samples.meta(type="run.started")
    assert "ce_dataversion" not in dict(headers_of(first))
    second = first._replace(version=2)
    assert dict(headers_of(second))["ce_dataversion"] == b"2"
    assert read_back(second).version == 2


def test_headers_of_others_are_passed_over() -> None:
    record = encode(samples.envelope(samples.minimal(RunCompleted)))
    assert decode(replace(record, headers=(*record.headers, ("x-mirror", b"\xff")))) == decode(record)


@pytest.mark.parametrize("header", ["ce_id", "ce_type", "ce_source"])
def test_a_record_without_a_needed_header_is_damaged(header: str) -> None:
    record = encode(samples.envelope(samples.minimal(RunCompleted)))
    with pytest.raises(Damaged, match=f"no header {header}"):
        meta_of(replace(record, headers=tuple(pair for pair in record.headers if pair[0] != header)))


@pytest.mark.parametrize(
    ("header", "value"), [("ce_cause", b"many"), ("ce_dataversion", b"new"), ("ce_app", b"\xff\xfe"), ("ce_id", b"\xff")]
)
def test_a_header_that_cannot_be_read_is_damage(header: str, value: bytes) -> None:
    record = encode(samples.envelope(samples.minimal(RunCompleted)))
    with pytest.raises(Damaged, match="a header cannot be read"):
        meta_of(replace(record, headers=(*record.headers, (header, value))))


def test_a_key_that_is_no_text_is_damage() -> None:
    with pytest.raises(Damaged):
        meta_of(replace(encode(samples.envelope(samples.minimal(RunCompleted))), key=b"\xff"))


def test_an_unsealed_field_does_not_mention_the_seal() -> None:
    assert b"sealed" not in encode(samples.envelope(samples.full(RunStarted))).value


def test_a_sealed_field_has_no_words() -> None:
    sealed = Protected[str](subject="person-1", sealed="k1:00ff")
    event = samples.envelope(samples.full(RunStarted, uid=sealed))
    assert decode(encode(event)) == event
    assert b'"uid":{"subject":"person-1","words":null,"sealed":"k1:00ff"}' in encode(event).value


def test_a_field_of_a_later_version_is_passed_over() -> None:
    envelope = samples.envelope(samples.minimal(RunCompleted))
    record = encode(envelope)
    assert decode(replace(record, value=record.value[:-1] + b',"mood":"good"}')) == envelope


def read_back(meta: Meta) -> Meta:
    return meta_of(replace(encode(samples.envelope(samples.minimal(RunCompleted))), headers=headers_of(meta)))
