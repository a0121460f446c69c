"""Frames as astron.md 3.2, 3.4 and 3.6 have them: a pure fold, so lists of events are enough."""

import json

import pytest

from events.node import DeltaRange, OutputReleased
from events.run import Mode, RunCancelled
from services.api.answers.compact import record
from services.api.answers.workflow_problems import problem
from services.api.answers.wrong import Wrong
from services.api.dialects.astron import Frames
from services.api.following.whole_frames import Whole
from tests.services.api.stories import BEGAN, RUN, delta, failing, linear, node, started, thinking, told, unit, until
from tests.support.samples import values

ZERO = {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}
SID = f"spf{RUN}.1@hf"


def frames(events):
    fold = Frames()
    return [frame for event in events for frame in fold.feed(event)]


def brief(frame):
    step = frame["workflow_step"].get("node", {})
    delta = frame["choices"][0]["delta"]
    return (step.get("id"), step.get("finish_reason"), delta["content"], frame["choices"][0].get("finish_reason"))


def test_a_debug_run_of_the_standard_flow_has_fourteen_frames_in_order():
    assert [brief(frame) for frame in frames(linear("debug"))] == [
        ("flow_obj", "stop", "", None),
        ("node-start::1", None, "", None),
        ("node-start::1", "stop", "", None),
        ("text-joiner::1", None, "", None),
        ("text-joiner::1", "stop", "", None),
        ("message::1", None, "", None),
        ("message::1", None, "msg=", None),
        ("message::1", None, "Hi bob", None),
        ("message::1", "stop", ";", None),
        ("node-end::1", None, "", None),
        ("node-end::1", None, "end=", None),
        ("node-end::1", None, "Hi bob", None),
        ("node-end::1", "stop", "", None),
        ("flow_obj", "stop", "", "stop"),
    ]


def test_an_open_run_of_the_standard_flow_is_byte_for_byte_as_documented():
    text = b"".join(record(frame) for frame in frames(linear("open"))).decode()
    second = BEGAN // 1000

    def line(seq: int, progress: float, content: str, more: str = "") -> str:
        return (
            f'data: {{"code":0,"message":"Success","id":"{SID}","created":{second},"workflow_step":{{"seq":{seq},"progress":{progress}}},'
            f'"choices":[{{"delta":{{"role":"assistant","content":"{content}","reasoning_content":""}},"index":0{more}\n\n'
        )

    last = ',"finish_reason":"stop"}],"usage":{"completion_tokens":0,"prompt_tokens":0,"total_tokens":0}}'
    assert text == "".join(
        [
            line(1, 0.5, "msg=", "}]}"),
            line(2, 0.5, "Hi bob", "}]}"),
            line(3, 0.5, ";", "}]}"),
            line(4, 0.75, "end=", "}]}"),
            line(5, 0.75, "Hi bob", "}]}"),
            line(6, 1.0, "", last),
        ]
    )


def test_a_node_end_frame_says_inputs_outputs_and_how_long_it_took():
    by_node = {frame["workflow_step"]["node"]["id"]: frame for frame in frames(linear("debug")) if brief(frame)[1] == "stop"}
    start, joiner = by_node["node-start::1"], by_node["text-joiner::1"]
    message, end = by_node["message::1"], by_node["node-end::1"]
    assert start["workflow_step"]["node"]["inputs"] == {"AGENT_USER_INPUT": "bob"}
    assert start["workflow_step"]["node"]["outputs"] == {}
    assert joiner["workflow_step"] == {
        "node": {
            "id": "text-joiner::1",
            "alias_name": "Join",
            "finish_reason": "stop",
            "inputs": {"name": "bob"},
            "outputs": {"output": "Hi bob"},
            "error_outputs": {},
            "ext": {},
            "executed_time": 0.01,
        },
        "seq": 0,
        "progress": 0.25,
    }
    assert "index" not in joiner["choices"][0]
    assert message["workflow_step"]["node"]["inputs"] == {"m": "Hi bob"}
    assert message["workflow_step"]["node"]["outputs"] == {}
    assert end["workflow_step"]["node"]["inputs"] == {}
    assert end["workflow_step"]["node"]["outputs"] == {"output": "Hi bob"}


def test_process_frames_of_the_end_node_tell_the_answer_mode():
    shown = [frame for frame in frames(linear("debug")) if brief(frame)[2] and brief(frame)[1] is None]
    assert [frame["workflow_step"]["node"].get("ext") for frame in shown] == [None, None, {"answer_mode": 1}, {"answer_mode": 1}]


def test_the_first_and_the_last_debug_frame_speak_for_the_run():
    first, *_, last = frames(linear("debug"))
    assert first["workflow_step"]["progress"] == 0
    assert first["workflow_step"]["node"]["usage"] == ZERO
    assert last["workflow_step"]["progress"] == 1
    assert last["usage"] == ZERO
    assert last["workflow_step"]["node"]["executed_time"] == 0.17


def test_tokens_that_waited_become_one_frame_each_when_they_are_released():
    assert [brief(frame)[2] for frame in frames(thinking("open"))] == ["Gr", "een", " tea", "!", ""]


def test_a_model_node_ends_with_its_raw_output_and_usage():
    (end,) = [frame for frame in frames(thinking("debug")) if brief(frame)[:2] == ("spark-llm::1", "stop")]
    said = end["workflow_step"]["node"]
    assert said["ext"] == {"raw_output": "Green tea"}
    assert said["usage"] == {"completion_tokens": 3, "prompt_tokens": 14, "total_tokens": 17}
    assert frames(thinking("debug"))[-1]["usage"] == said["usage"]


def test_a_failing_node_has_an_error_end_frame_and_the_final_frame_follows_without_a_node():
    *_, end, last = frames(failing("debug"))
    assert (end["code"], end["message"]) == (20380, "the model answered 500")
    assert end["workflow_step"]["node"]["inputs"] == end["workflow_step"]["node"]["outputs"] == {}
    assert end["workflow_step"]["node"]["usage"] == ZERO
    assert last["code"] == 20380
    assert last["workflow_step"] == {"seq": 0, "progress": 1.0}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"] == ZERO


def test_an_open_run_forwards_its_failure_at_once():
    shown, last = frames(failing("open"))
    assert brief(shown)[2] == "Gr"
    assert (last["code"], last["workflow_step"]) == (20380, {"seq": 2, "progress": 1.0})


def test_a_cancelled_run_ends_with_its_code():
    (last,) = frames(told(started(), RunCancelled(by="demo", code=22301, message="cancelled")))
    assert (last["code"], last["message"], last["choices"][0]["finish_reason"]) == (22301, "cancelled", "stop")


@pytest.mark.parametrize("mode", ["open", "debug"])
@pytest.mark.parametrize("story", [linear, thinking, failing])
def test_a_replay_gives_the_same_bytes(story, mode: Mode):
    once, again = frames(story(mode)), frames(story(mode))
    assert b"".join(map(record, once)) == b"".join(map(record, again))


@pytest.mark.parametrize("story", [linear, thinking, failing])
def test_progress_in_open_streams_never_falls_and_seq_counts_from_one(story):
    shown = frames(story("open"))
    progress = [frame["workflow_step"]["progress"] for frame in shown]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert [frame["workflow_step"]["seq"] for frame in shown] == list(range(1, len(shown) + 1))


def test_progress_that_falls_is_held_in_open_streams_and_told_in_debug_streams():
    def story(mode: Mode) -> list[float]:
        say = "message::1"
        events = told(
            started(mode), node(say, "message", "M", 0.899), unit(say, "a"), node("text-joiner::1", "text-joiner", "J", 0.5), unit(say, "b")
        )
        return [frame["workflow_step"]["progress"] for frame in frames(events) if frame["choices"][0]["delta"]["content"]]

    assert story("open") == [0.9, 0.9]
    assert story("debug") == [0.899, 0.5]


def test_only_the_released_part_of_what_waited_is_shown():
    model = "spark-llm::1"
    part = OutputReleased(node="node-end::1", stage="content", unit=0, of=DeltaRange(node=model, stage="content", start=1, stop=2))
    pieces = [delta(model, text) for text in ("a", "b", "c")]
    thought = delta(model, "hm", stage="reasoning")
    found = frames(told(started(), thought, *pieces, part, part))
    assert [brief(frame)[2] for frame in found] == ["b", "b"]


def test_an_attempt_that_begins_again_has_no_second_start_frame():
    again = node("spark-llm::1", "spark-llm", "Draft", 0.5).model_copy(update={"attempt": 2, "reason": "taken_over"})
    story = frames(told(started("debug"), node("spark-llm::1", "spark-llm", "Draft", 0.5), again))
    assert [brief(frame)[0] for frame in story] == ["flow_obj", "spark-llm::1"]


def test_one_answer_of_an_open_run_has_all_text_and_no_step():
    whole = Whole()
    *nothing, said = [whole.add(frame) for frame in frames(linear("open"))]
    assert nothing == [None] * 5
    assert said == {
        "code": 0,
        "message": "Success",
        "id": SID,
        "created": BEGAN // 1000,
        "choices": [
            {
                "delta": {"role": "assistant", "content": "msg=Hi bob;end=Hi bob", "reasoning_content": ""},
                "index": 0,
                "finish_reason": "stop",
            }
        ],
        "usage": ZERO,
    }


def test_one_answer_of_a_failed_run_has_its_code_and_no_text():
    whole = Whole()
    said = [whole.add(frame) for frame in frames(failing("open"))][-1]
    assert said is not None
    assert (said["code"], said["choices"][0]["delta"]["content"]) == (20380, "")


def test_a_ping_takes_no_place_in_the_sequence():
    fold = Frames()
    events = linear("open")
    shown = [frame for event in until(events, 8) for frame in fold.feed(event)]
    ping = fold.ping(BEGAN + 16_000)
    later = [frame for event in events[8:] for frame in fold.feed(event)]
    assert ping["choices"][0]["finish_reason"] == "ping"
    assert (ping["code"], ping["created"]) == (0, BEGAN // 1000 + 16)
    assert [frame["workflow_step"]["seq"] for frame in (*shown, *later)] == [1, 2, 3, 4, 5, 6]


def test_frames_are_compact_json_that_keeps_every_character():
    frame = {"text": "世界 é \x7f\u2028\x00 🙂", "n": 1e16, "s": 1e-07, "third": 1 / 3}
    sent = record(frame)
    text = json.dumps(frame["text"], ensure_ascii=False).encode()
    assert (sent[:6], sent[-2:], text in sent, b" " in sent[6:].replace(text, b"")) == (b"data: ", b"\n\n", True, False)
    assert json.loads(sent[6:]) == frame
    assert record({"text": "\ud800"}) == b'data: {"text":"?"}\n\n'


def test_a_lone_surrogate_cannot_break_a_stream():
    assert record({"text": "\ud83d"}) == b'data: {"text":"?"}\n\n'


def test_a_run_that_never_began_spells_its_nulls_out():
    assert problem(Wrong(20201, "Flow ID not found"), 7_000, "s") == (
        {
            "code": 20201,
            "symbol": "FLOW_NOT_FOUND_ERROR",
            "doc_code": 1006,
            "message": "Flow ID not found",
            "id": "spfs@hf",
            "created": 7,
            "workflow_step": {"node": None, "seq": 0, "progress": 1.0},
            "choices": [{"delta": {"role": "assistant", "content": "", "reasoning_content": ""}, "index": 0, "finish_reason": "stop"}],
            "usage": ZERO,
            "event_data": None,
        },
        200,
    )


def test_an_open_stream_that_asks_for_a_trace_keeps_the_node_frames_in_sequence():
    events = linear("open")
    first = events[0]
    asked = first.envelope._replace(data=first.envelope.data.model_copy(update={"ext": values(trace=True)}))
    traced = frames([first._replace(envelope=asked), *events[1:]])
    assert [brief(frame) for frame in traced] == [brief(frame) for frame in frames(linear("debug"))]
    assert [frame["workflow_step"]["seq"] for frame in traced] == list(range(1, 15))
    progress = [frame["workflow_step"]["progress"] for frame in traced]
    assert (progress, progress[-1]) == (sorted(progress), 1.0)
    assert all(frame["choices"][0]["index"] == 0 for frame in traced)


@pytest.mark.parametrize("ext", [{}, {"trace": False}, {"trace": "true"}])
def test_node_frames_are_shown_to_nobody_who_did_not_ask_for_them(ext):
    events = linear("open")
    first = events[0]
    asked = first.envelope._replace(data=first.envelope.data.model_copy(update={"ext": values(**ext)}))
    assert frames([first._replace(envelope=asked), *events[1:]]) == frames(events)
