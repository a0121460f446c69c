"""The cases of astron.md 12.4 that concern the engine itself: flows, told with outcomes as a model and a sandbox give them.

Rows 1-3 (envelopes), 19 (publishing) and 20 (reconnecting) need the doors: they are in `tests/services/api/test_twelve_four.py`.
More of row 11 is in `tests/core/nodes/test_question_answer.py`; of row 12 (a day later, other owners) in
`tests/services/processor/test_questions.py` and (programs killed, another api) in `tests/faults/test_kills.py`; of row 13 (answers
that race over HTTP) in `tests/services/api/test_questions.py`; of row 15 in `tests/core/test_history.py`.
"""

from typing import Any

import pytest

from events.run import Usage
from services.api.following.whole_frames import Whole
from tests.core.nodes.test_question_answer import answer, optional, question, wish_to_answer
from tests.core.test_history import asking, begun, prompt, rounds
from tests.core.test_wild_runs import frames
from tests.support.flows import Part, at, each, end, flow, joiner, llm, message, retry, start, thinker
from tests.support.spec import Story, told


def code(name: str, *, settings: Any = None, **inputs: Any) -> Part:
    return Part(
        name, "ifly-code", inputs, {"x": "string"}, {"code": "def main():\n    return {'x': 1 / 0}", "appId": "", "uid": ""}, settings
    )


def open_(run: Story) -> list[Any]:
    return frames([run.events[0].model_copy(update={"mode": "open"}), *run.events[1:]])


def debug(run: Story) -> list[Any]:
    return frames([run.events[0].model_copy(update={"mode": "debug"}), *run.events[1:]])


def content(frame: Any) -> str:
    return frame["choices"][0]["delta"]["content"]


def standard() -> Any:
    return flow(
        start(name="string"), joiner("j", "Hi {{n}}", n=at("start.name")), message("m", "msg={{m}};", m=at("j.output")),
        end("end={{output}}", output=at("j.output")), edges="start > j > m > end",
    )  # fmt: skip


def test_row_4_fourteen_debug_frames_and_six_open_ones():
    run = told(standard(), name="bob")
    nodes = [frame["workflow_step"]["node"]["id"].partition("::")[0] for frame in debug(run)]
    assert nodes == [
        "flow_obj", *["node-start"] * 2, *["text-joiner"] * 2, *["message"] * 4, *["node-end"] * 4, "flow_obj"
    ]  # fmt: skip
    assert [content(frame) for frame in open_(run)] == ["msg=", "Hi bob", ";", "end=", "Hi bob", ""]
    assert [frame["workflow_step"]["seq"] for frame in open_(run)] == [1, 2, 3, 4, 5, 6]


def test_row_5_one_answer_has_all_content_and_no_step():
    whole = Whole()
    *before, said = [whole.add(frame) for frame in open_(told(standard(), name="bob"))]
    assert before == [None] * 5
    assert said is not None
    assert said["choices"][0]["delta"]["content"] == "msg=Hi bob;end=Hi bob"
    assert (said["choices"][0]["finish_reason"], "workflow_step" in said) == ("stop", False)


def test_row_6_all_thinking_before_the_answer_and_the_end_starts_before_the_model_ends():
    document = flow(
        start(),
        thinker("ask"),
        end("T:{{o}}", reasoning="{{r}}", o=at("ask.output"), r=at("ask.REASONING_CONTENT")),
        edges="start > ask > end",
    )
    run = told(document).think("ask", "hm ", "so").say("ask", "tea", "!").done("ask")
    stages = [(frame["choices"][0]["delta"]["reasoning_content"], content(frame)) for frame in open_(run)]
    assert stages == [("hm ", ""), ("so", ""), ("", "T:"), ("", "tea"), ("", "!"), ("", "")]
    order = [(frame["workflow_step"]["node"]["id"], frame["workflow_step"]["node"].get("finish_reason")) for frame in debug(run)]
    assert order.index(("node-end::end", None)) < order.index(("spark-llm::ask", "stop"))


def test_row_7_two_parallel_messages_never_interleave_and_usage_adds_up():
    document = flow(
        start(), llm("a"), llm("b"), message("ma", "A:{{o}};", o=at("a.output")), message("mb", "B:{{o}};", o=at("b.output")), end(""),
        edges="start > a > ma > end; start > b > mb > end",
    )  # fmt: skip
    run = (
        told(document)
        .say("b", "b1")
        .say("a", "a1")
        .say("b", "b2")
        .done("b", Usage(total_tokens=3))
        .say("a", "a2")
        .done("a", Usage(total_tokens=4))
    )
    assert run.text == "A:a1a2;B:b1b2;"
    assert open_(run)[-1]["usage"]["total_tokens"] == 7


def test_row_8_a_failing_code_node_ends_the_open_stream_with_its_code_at_once():
    document = flow(start(), code("c"), end(x=at("c.x")), edges="start > c > end")
    run = told(document).fails("c", 21600, "division by zero")
    last = open_(run)[-1]
    assert (last["code"], last["choices"][0]["finish_reason"], last["workflow_step"]["progress"]) == (21600, "stop", 1.0)
    assert run.told[-2:] == ["node.failed c", "run.failed c"]


def test_row_9_the_failure_edge_sees_the_code_and_the_plain_one_is_silent():
    document = flow(
        start(), code("c", settings=retry(2)), message("good", "good"), message("bad", "bad {{e}};", e=at("c.errorCode")), end("end"),
        edges="start > c > good > end; c !> bad > end",
    )  # fmt: skip
    assert told(document).fails("c", 21600).text == "bad 21600;end"


def test_row_10_a_preset_takes_the_place_of_a_model_that_fails_early():
    document = flow(
        start(), llm("ask", retry=retry(1, preset={"output": "preset"})), end("T:{{o}}", o=at("ask.output")), edges="start > ask > end"
    )
    assert told(document).fails("ask").text == "T:preset"


@pytest.mark.parametrize(
    ("said", "event_type", "need_reply", "ends"),
    [
        ("B", "resume", False, "c:Coffee|B|Coffee"),
        ("zzz", "resume", False, "d:|default|"),
        ("", "ignore", False, "d:|default|"),
        ("", "ignore", True, 23802),
        ("", "abort", False, 23802),
        ("B", "other", False, 23802),
    ],
)
def test_row_11_what_an_answer_to_an_option_question_means(said, event_type, need_reply, ends):
    run = told(optional(need_reply=need_reply), q="Lin")
    answer(run, said, event_type)
    assert (run.text if run.last.type == "run.completed" else run.last.code) == ends


def test_row_12_an_answer_after_150_seconds_and_two_new_owners_is_in_time_for_a_question_of_5_minutes():
    run = told(optional(timeout=5), q="Lin").taken_over().wait(150_000).taken_over()
    answer(run, "A")
    assert (run.text, run.last.type) == ("t:Tea|A|Tea", "run.completed")


def test_row_13_of_two_answers_at_once_the_second_is_23901_and_no_frame_is_lost():
    document = flow(
        start(q="string"), question("ask", "Topic?"), llm("say", "{{c}}", c=at("ask.content")), end("{{o}}", o=at("say.output")),
        edges="start > ask > say > end",
    )  # fmt: skip
    run = told(document, q="Lin")
    answer(run, "A")
    (refused,) = run.take(wish_to_answer("B")).events
    assert (refused.type, refused.code) == ("command.refused", 23901)
    assert run.say("say", "fine").done("say").text == "fine"


def test_row_14_an_iteration_over_p_and_q_gives_both_results_in_order():
    document = flow(
        start(items="array"), *each("all", at("start.items"), line=at("f.output")), joiner("f", "f({{i}})", i=at("all-in.item")),
        end(l=at("all.line")),
        edges="start > all > end; all-in > f > all-out",
    )  # fmt: skip
    assert told(document, items=["p", "q"]).text == '{"l":["f(p)","f(q)"]}'


def test_row_15_of_three_rounds_of_history_a_prompt_with_one_round_holds_exactly_the_last():
    assert prompt(begun(asking(1), rounds(3))) == [("user", "q3"), ("assistant", "a3"), ("user", "now")]


def test_row_16_a_constant_template_is_one_frame():
    assert [content(frame) for frame in open_(told(flow(start(), end("hey"), edges="start > end")))] == ["hey", ""]


def test_row_17_an_unknown_placeholder_stays_and_the_run_succeeds():
    run = told(flow(start(), message("m", "see {{nope}}"), end(""), edges="start > m > end"))
    assert (run.text, run.last.type) == ("see {{nope}}", "run.completed")


def test_row_18_unknown_and_missing_start_keys_are_22500():
    document = flow(start(q="string", required=("q",)), end(""), edges="start > end")
    assert told(document, q="x", other=1).last.code == 22500
    assert told(document).last.code == 22500
