"""What becomes of a failed node: the end of the run, another attempt, preset outputs, the failure edge (4.7)."""

import pytest

from events.run import Usage
from services.core.running.turn import Limits
from tests.support.flows import again, at, decision, end, flow, joiner, llm, message, retry, start
from tests.support.spec import Story, told


def asking(settings=None, **more):
    return flow(
        start(q="string"),
        llm("ask", "{{q}}", retry=settings, q=at("start.q"), **more),
        end("T:{{out}} {{code}}{{why}}", out=at("ask.output"), code=at("ask.errorCode"), why=at("ask.errorMessage")),
        edges="start > ask > end",
    )


def branching(settings, **more):
    return flow(
        start(q="string"),
        llm("ask", "{{q}}", retry=settings, q=at("start.q"), **more),
        message("good", "good {{o}};", o=at("ask.output")),
        message("bad", "bad {{c}} {{w}};", c=at("ask.errorCode"), w=at("ask.errorMessage")),
        end("end"),
        edges="start > ask > good > end; ask !> bad > end",
    )


def test_a_failure_ends_the_run_with_its_code_at_once():
    run = told(asking(), q="x").say("ask", "some").fails("ask", 20380, "no credit")
    assert run.told[-2:] == ["node.failed ask", "run.failed ask"]
    assert (run.last.code, run.last.message, run.last.node) == (20380, "no credit", "spark-llm::ask")
    assert run.of("node.failed")[0].then == "end"


def test_a_failure_ends_the_run_although_others_still_work():
    document = flow(start(), llm("a"), llm("b"), end("{{a}}{{b}}", a=at("a.output"), b=at("b.output")), edges="start > a,b > end")
    assert told(document).say("a", "A").fails("b").over


@pytest.mark.parametrize("camel", [True, False])
def test_a_node_is_tried_max_retries_plus_one_times_in_both_spellings(camel):
    run = told(asking(retry(0, 2, camel=camel)), q="x").fails("ask").fails("ask")
    assert [(one.attempt, one.reason) for one in run.of("node.started", "ask")] == [(1, "arrived"), (2, "retried"), (3, "retried")]
    assert [one.then for one in run.of("node.failed")] == ["retry", "retry"]
    assert run.fails("ask").last.type == "run.failed"
    assert told(asking(retry(0, 2, camel=camel)), q="x").fails("ask").say("ask", "fine").done("ask").text == "T:fine 0"


def test_retries_that_are_not_switched_on_do_nothing():
    settings = {**retry(1, 5, preset={"output": "p"}), "shouldRetry": False}
    assert told(asking(settings), q="x").fails("ask").last.type == "run.failed"


def test_preset_outputs_take_the_place_of_the_answer():
    run = told(asking(retry(1, preset={"output": "preset text"})), q="x").fails("ask", 20380, "why")
    assert run.text == "T:preset text 20380why"
    (done,) = run.of("node.completed", "ask")
    assert (done.problem.code, done.took_failure_edge) == (20380, False)


def test_without_presets_the_defaults_are_used_even_where_outputs_are_required():
    document = asking(retry(1))
    document["data"]["nodes"][1]["data"]["outputs"][0] |= {"required": True, "schema": {"type": "string", "minLength": 3}}
    assert told(document, q="x").fails("ask", 20380, "").text == "T: 20380"


def test_the_failure_edge_is_followed_instead_of_the_plain_one():
    run = told(branching(retry(2)), q="x").fails("ask", 20380, "why")
    assert run.text == "bad 20380 why;end"
    assert run.of("node.skipped", "good")
    assert run.of("node.completed", "ask")[0].took_failure_edge


def test_the_failure_edge_is_not_followed_after_success():
    run = told(branching(retry(2)), q="x").say("ask", "fine").done("ask")
    assert run.text == "good fine;end"
    assert run.of("node.skipped", "bad")


def test_the_failure_edge_is_taken_even_where_outputs_are_required():
    document = branching(retry(2))
    document["data"]["nodes"][1]["data"]["outputs"][0]["required"] = True
    assert told(document, q="x").fails("ask").last.type == "run.completed"


def test_the_failure_edge_without_its_strategy_is_never_followed():
    run = told(branching(retry(1, preset={"output": "p"})), q="x").fails("ask")
    assert run.text == "good p;end"


def test_a_message_behind_a_failure_branch_waits_until_the_model_is_done():
    run = told(branching(retry(2)), q="x").say("ask", "fine")
    assert run.shown() == []
    assert [one.shown for one in run.of("node.delta")] == [""]
    assert run.done("ask").text == "good fine;end"


@pytest.mark.parametrize("strategy", [0, 1, 2])
@pytest.mark.parametrize("stage", ["say", "think"])
def test_an_attempt_whose_first_token_was_sent_is_final(strategy, stage):
    run = told(asking(retry(strategy, 3)), q="x")
    getattr(run, stage)("ask", "some")
    assert run.fails("ask").last.type == "run.failed"


def test_attempts_that_failed_are_counted_over_a_change_of_owner():
    run = told(asking(retry(0, 1)), q="x").fails("ask").taken_over().fails("ask")
    assert run.last.type == "run.failed"
    assert [one.reason for one in run.of("node.started", "ask")] == ["arrived", "retried", "taken_over"]


def test_a_silent_node_is_timed_out_and_says_so():
    run = Story(asking(), Limits(quiet_ms=5_000)).start(q="x")
    assert run.due == run.now + 7_000
    run.wait(6_999)
    assert not run.of("node.timed_out")
    run.wait(1)
    assert run.told[-3:] == ["node.timed_out ask", "node.failed ask", "run.failed ask"]
    assert run.last.code == 22302
    assert "Node execution timeout" in run.last.message


def test_the_timeout_of_retry_settings_limits_the_gap_not_the_whole_call():
    run = told(asking(retry(0, timeout=1.5)), q="x")
    assert run.asked("ask").quiet_ms == 1_500
    for _ in range(5):
        run.wait(3_000).say("ask", "a")
    assert run.done("ask").last.type == "run.completed"


def test_a_node_that_timed_out_is_retried_or_replaced():
    run = told(asking(retry(1, 1, timeout=1, preset={"output": "p"})), q="x").wait(3_000)
    assert run.of("node.started", "ask")[-1].reason == "retried"
    assert run.wait(3_000).text.startswith("T:p 22302")


def test_two_nodes_that_time_out_together_are_both_handled():
    document = flow(
        start(),
        llm("a", retry=retry(1)),
        llm("b", retry=retry(1)),
        end(a=at("a.errorCode"), b=at("b.errorCode")),
        edges="start > a,b > end",
    )
    assert told(document).wait(12_000).last.outputs.words == {"a": 22302, "b": 22302}


def test_an_index_out_of_range_in_a_prompt_fails_the_node_with_20602():
    document = flow(start(l="array"), llm("ask", "{{l[5]}}", l=at("start.l")), end(), edges="start > ask > end")
    run = told(document, l=[1])
    assert run.told[-3:] == ["node.started ask", "node.failed ask", "run.failed ask"]
    assert run.last.code == 20602


def test_a_prompt_that_cannot_be_rendered_goes_to_the_strategy_without_further_attempts():
    document = flow(
        start(l="array"), llm("ask", "{{l[5]}}", l=at("start.l"), retry=retry(1, 3, preset={"output": "p"})), end(o=at("ask.output")),
        edges="start > ask > end",
    )  # fmt: skip
    run = told(document, l=[1])
    assert run.text == '{"o":"p"}'
    assert len(run.of("node.started", "ask")) == 1


@pytest.mark.parametrize("kind", ["message", "joiner"])
def test_an_index_out_of_range_in_a_template_fails_that_node_with_20602(kind):
    make = message if kind == "message" else joiner
    run = told(flow(start(l="array"), make("it", "{{l[1]}}", l=at("start.l")), end(), edges="start > it > end"), l=[1])
    assert (run.last.code, run.last.node.partition("::")[2]) == (20602, "it")


def test_what_cannot_be_rendered_blames_the_node_that_has_the_floor():
    document = flow(
        start(l="array"), joiner("late", "x"), llm("ask"), message("first", "{{a}}{{l[9]}}", a=at("ask.output"), l=at("start.l")),
        message("second", "two", l=at("start.l")), end(), edges="start > ask > first > end; start > late > second > end",
    )  # fmt: skip
    run = told(document, l=[1]).say("ask", "A").done("ask")
    assert (run.last.code, run.last.node) == (20602, "message::first")


def test_outputs_of_another_type_than_declared_fail_the_node_with_20601():
    run = told(asking(outputs={"output": "integer"}), q="x").say("ask", "words").done("ask")
    assert run.last.code == 20601
    assert run.last.message.startswith("Node name: ask, output:")


def test_an_output_node_whose_early_source_was_skipped_never_begins_when_it_is_skipped_itself():
    document = flow(
        start(), llm("ask", retry=retry(2)), joiner("one", "1"), joiner("two", "2"), joiner("three", "3"),
        message("never", "{{o}}", o=at("one.output")), joiner("sorry", "sorry"), end("bye"),
        edges="start > ask > one > never; ask > two > three > never; ask !> sorry > end; never > end",
    )  # fmt: skip
    run = told(document).fails("ask")
    assert run.text == "bye"
    assert not run.of("node.started", "never")


def test_a_skipped_source_is_an_empty_unit_and_a_default_value():
    document = flow(
        start(), llm("ask", retry=retry(2), outputs={"output": {"type": "string", "default": "d"}}),
        joiner("good", "G{{x}}", x=at("ask.output")),
        joiner("bad", "B{{x}}", x=at("good.output")), end("[{{g}}|{{b}}]", g=at("good.output"), b=at("bad.output")),
        edges="start > ask > good > end; ask !> bad > end",
    )  # fmt: skip
    run = told(document).fails("ask")
    assert run.text == "[|B]"
    assert run.last.outputs.words == {"g": "", "b": "B"}


def test_an_attempt_whose_tokens_nobody_saw_is_made_again_from_the_beginning():
    settings = {"respFormat": 2}
    run = told(asking(retry(0, 1), outputs={"output": "string"}, param=settings), q="x").say("ask", '{"output": "a').fails("ask")
    assert run.asked("ask").recorded == ""
    (_, again) = run.of("node.started", "ask")
    assert (again.reason, again.recorded) == ("retried", 0)
    assert run.say("ask", '{"output": "b"}').done("ask").text == "T:b 0"


def test_with_an_interval_the_next_attempt_waits_twice_as_long_each_time():
    run = told(asking({**retry(0, 3), "retryInterval": 1.5}), q="x").fails("ask")
    assert [one.again_at for one in run.of("node.failed")] == [run.now + 1_500]
    assert (len(run.of("node.started", "ask")), run.active.working, run.due) == (1, frozenset(), run.now + 1_500)
    run.wait(1_499).wait(1)
    assert [one.reason for one in run.of("node.started", "ask")] == ["arrived", "retried"]
    assert run.fails("ask").of("node.failed")[-1].again_at == run.now + 3_000
    run.taken_over()
    assert len(run.of("node.started", "ask")) == 2, "a pause goes on under a new owner"
    assert run.wait(3_000).say("ask", "fine").done("ask").text == "T:fine 0"


def test_a_run_that_pauses_is_still_ended_by_its_time_limit():
    run = Story(asking({**retry(0, 1), "retryInterval": 300}), Limits(run_ms=100_000)).start(q="x").fails("ask")
    assert run.due == run.now + 100_000
    assert run.wait(100_000).last.type == "run.timed_out"


def test_a_decision_whose_preset_names_an_intent_takes_that_branch():
    document = flow(
        start(), decision("it", "tea", "car", "default", retry=retry(1, preset={"class_name": "car"})), joiner("one", "tea"),
        joiner("two", "car"),
        end("{{a}}{{b}}", a=at("one.output"), b=at("two.output")),
        edges="start > it; it -intent-one-of::tea-> one > end; it -intent-one-of::car-> two > end; it -intent-one-of::default-> end",
    )  # fmt: skip
    assert told(document).fails("it").text == "car"
    document["data"]["nodes"][1]["data"]["retryConfig"]["customOutput"] = {"class_name": "other"}
    assert told(document).fails("it").text == ""


def test_a_run_that_would_take_more_steps_than_allowed_ends_with_its_own_event():
    parts = again("more", most=100, variables={"n": "x"}, ends={"n": at("more-in.n")})
    document = flow(start(), *parts, end(n=at("more.n")), edges="start > more > end; more-in > more-out")
    run = Story(document, Limits(steps=50)).start()
    assert (run.last.type, run.last.code, run.last.limit) == ("run.steps_exceeded", 22301, 50)
    assert run.last.message == "the run took more than 50 steps (node runs)"
    assert len(run.of("node.started")) == 50
    assert Story(document, Limits(steps=203)).start().last.type == "run.completed"


def test_what_a_failed_answer_has_cost_is_counted_once():
    document = asking(retry(1, preset={"output": "5"}), outputs={"output": "integer"})
    document["data"]["nodes"][1]["data"]["retryConfig"]["customOutput"] = {"output": 5}
    run = told(document, q="x").say("ask", "words").done("ask", Usage(total_tokens=7))
    assert (run.last.type, run.last.code, run.last.usage.total_tokens) == ("run.failed", 20601, 7)
    deciding = flow(
        start(), decision("it", "tea", "car", retry=retry(2)), message("no", "none of them"), end("!"),
        edges="start > it -intent-one-of::tea-> end; it -intent-one-of::car-> end; it !> no > end",
    )  # fmt: skip
    run = told(deciding).say("it", "?").done("it", Usage(total_tokens=3))
    assert (run.text, run.last.usage.total_tokens) == ("none of them!", 3)
