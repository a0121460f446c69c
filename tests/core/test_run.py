"""A run from its start to its end: order of events, parameters, joins, owners, limits, steps that were full."""

import pytest

from services.core.running.effects import Done, Piece
from services.core.running.run import Due, TakenOver, due_at
from services.core.running.run_state import Ended, NotStarted
from services.core.running.turn import MAX_EVENTS, Limits
from tests.support.flows import at, end, flow, joiner, llm, message, start
from tests.support.spec import Story, Then, told, wish_to_start

LINEAR = flow(
    start(who="string"),
    joiner("greet", "Hi {{w}}", w=at("start.who")),
    message("show", "msg={{m}};", m=at("greet.output")),
    end("end={{output}}", output=at("greet.output")),
    edges="start > greet > show > end",
)


def asking(template: str | None = "<{{out}}>", **more):
    return flow(
        start(q="string"), llm("ask", "{{q}}", q=at("start.q")), end(template, out=at("ask.output"), **more), edges="start > ask > end"
    )


def test_the_linear_flow_leaves_its_events_in_the_order_of_its_frames():
    run = told(LINEAR, who="bob")
    assert run.told == [
        "run.started",
        "node.started start", "node.completed start",
        "node.started greet", "node.completed greet",
        "node.started show", "output.opened show", "output.released show", "output.released show",
        "node.completed show", "output.closed show",
        "node.started end", "output.opened end", "output.released end", "output.released end",
        "node.completed end", "output.closed end",
        "run.completed",
    ]  # fmt: skip
    assert [text for _, _, text in run.shown()] == ["msg=", "Hi bob", ";", "end=", "Hi bob", ""]


def test_outputs_and_inputs_are_on_the_events_that_the_frames_need():
    run = told(LINEAR, who="bob")
    assert run.outputs("start") == {"who": "bob"}
    assert run.of("node.started", "greet")[0].inputs.words == {"w": "bob"}
    (shown,) = run.of("node.completed", "show")
    assert (shown.inputs.words, shown.outputs.words) == ({"m": "Hi bob"}, {})
    (ended,) = run.of("node.completed", "end")
    assert (ended.inputs.words, ended.outputs.words) == ({}, {"output": "Hi bob"})
    assert run.last.outputs.words == {"output": "Hi bob"}


def test_progress_never_falls_and_ends_with_one():
    said = [one.progress for one in told(LINEAR, who="bob").events if hasattr(one, "progress")]
    assert said == sorted(said)
    assert (said[0], said[-1]) == (0, 1)


@pytest.mark.parametrize(
    ("given", "says"),
    [({}, "required: who"), ({"who": 5}, "who"), ({"who": None}, "who"), ({"who": "x", "n": True}, "n"), ({"who": "x", "n": "5"}, "n"),
     ({"who": "x", "n": None}, "n"), ({"who": "x", "other": 1}, "unknown key")],
)  # fmt: skip
def test_wrong_start_parameters_end_the_run_before_its_first_node_with_22500(given, says):
    document = flow(start(who="string", n="integer", required=("who",)), end(), edges="start > end")
    run = told(document, **given)
    assert run.told == ["run.started", "node.failed start", "run.failed start"]
    failed = run.of("node.failed")[0]
    assert (failed.kind, failed.alias, failed.then, failed.problem.code) == ("node-start", "start", "end", 22500)
    assert run.last.code == 22500
    assert says in run.last.message


def test_absent_optional_parameters_have_their_default_even_where_it_would_not_be_accepted():
    document = flow(start(a={"type": "string", "minLength": 1}, b={"type": "integer", "default": 7}, c="array"), end(), edges="start > end")
    assert told(document).outputs("start") == {"a": "", "b": 7, "c": []}


def test_a_whole_number_written_with_a_point_is_an_integer():
    run = told(flow(start(n="integer"), end(n=at("start.n")), edges="start > end"), n=2.0)
    assert run.text == '{"n":2}'


def test_parallel_branches_begin_together_and_a_join_waits_for_all():
    document = flow(
        start(q="string"), llm("a", q=at("start.q")), llm("b", q=at("start.q")), joiner("c", "C"),
        joiner("join", "{{a}}{{b}}{{c}}", a=at("a.output"), b=at("b.output"), c=at("c.output")), end(o=at("join.output")),
        edges="start > a,b,c > join > end",
    )  # fmt: skip
    run = told(document, q="x")
    assert {place[0] for place in run.active.working} == {"spark-llm::a", "spark-llm::b"}
    run.say("b", "B").done("b")
    assert not run.of("node.started", "join")
    run.say("a", "A").done("a")
    assert run.text == '{"o":"ABC"}'


def test_the_seal_of_a_completed_model_is_of_the_text_it_said():
    run = told(asking(), q="x").say("ask", "ab", "ü").done("ask")
    (done,) = run.of("node.completed", "ask")
    assert done.content.length == 3
    assert done.reasoning is None


def test_a_run_that_ends_without_an_end_node_answers_its_last_node():
    document = flow(
        start(),
        llm("ask", retry={"shouldRetry": True, "errorStrategy": 2}),
        joiner("sorry", "sorry"),
        end(),
        edges="start > ask > end; ask !> sorry",
    )
    assert told(document).fails("ask").last.outputs.words == {"output": "sorry"}


def test_a_taken_run_id_is_refused():
    run = told(asking(), q="x")
    Then(run.take(wish_to_start()).events).then_refused(20805)


def test_cancelling_ends_the_run_and_a_second_time_is_refused():
    run = told(asking(), q="x")
    Then(run.cancel("other").events).then_refused(23900)
    assert [one.type for one in run.cancel().events] == ["run.cancelled"]
    assert run.state == Ended("demo")
    Then(run.cancel().events).then_refused(23900)
    Then(Story(asking()).cancel().events).then_refused(23900)


def test_a_run_that_was_active_too_long_is_timed_out():
    run = Story(asking(), Limits(run_ms=90_000, quiet_ms=60_000)).start(q="x")
    assert run.due == run.now + 62_000
    run.now += 50_000
    run.say("ask", "still here")
    assert run.due == run.now + 40_000
    run.wait(39_999)
    assert not run.over
    run.wait(1)
    assert (run.last.type, run.last.limit_ms) == ("run.timed_out", 90_000)
    assert run.due is None


def test_time_that_is_not_due_changes_nothing():
    run = told(asking(), q="x")
    assert run.take(Due()).events == []
    assert due_at(NotStarted(), run.graph, run.limits) is None


def test_a_new_owner_begins_a_new_attempt_that_goes_on_from_the_record():
    run = told(asking(), q="x").say("ask", "one ", "two").taken_over()
    again = run.of("node.started", "ask")[-1]
    assert (again.attempt, again.reason, again.recorded, again.inputs.words) == (2, "taken_over", 7, {"q": "x"})
    assert run.asked("ask").recorded == "one two"
    run.say("ask", " three").done("ask")
    assert run.text == "<one two three>"
    assert run.of("node.completed", "ask")[0].attempt == 2


def test_thinking_goes_on_from_the_record_too():
    run = told(asking(), q="x").think("ask", "hm").taken_over()
    assert (run.asked("ask").recorded, run.asked("ask").recorded_reasoning) == ("", "hm")


def test_late_outcomes_of_an_old_attempt_leave_nothing():
    run = told(asking(), q="x").say("ask", "one").taken_over()
    before = list(run.events)
    for outcome in (Piece("content", "late"), Done()):
        run.tell("ask", outcome, attempt=1)
    run.fails("start").tell("end", Done())
    assert run.events == before


def test_outcomes_after_the_end_leave_nothing():
    run = told(asking(), q="x").say("ask", "one").done("ask")
    before = list(run.events)
    run.say("ask", "late").done("ask").taken_over().wait(10_000_000)
    assert run.events == before


def test_calls_are_evidence_and_postpone_the_timer():
    run = told(asking(), q="x")
    run.now += 30_000
    run.call("ask")
    assert run.told[-2:] == ["model.called ask", "model.responded ask"]
    assert run.due == run.now + 62_000


def wide(width: int):
    names = [f"j{one}" for one in range(width)]
    return flow(
        start(q="string"),
        *(joiner(name, name, q=at("start.q")) for name in names),
        message("all", "".join(f"{{{{{name}}}}}," for name in names), **{name: at(f"{name}.output") for name in names}),
        end("!"),
        edges=f"start > {','.join(names)} > all > end",
    )


def test_a_full_step_goes_on_in_a_further_one_and_loses_nothing():
    run = told(wide(700), q="x")
    assert run.over
    assert run.text == "".join(f"j{one}," for one in range(700)) + "!"
    assert len(run.steps) > 10
    assert max(map(len, run.steps)) < MAX_EVENTS + 20


def test_a_full_step_goes_on_after_a_new_owner_came_between():
    whole = told(wide(300), q="x")
    broken = Story(wide(300))
    decision = broken.take(wish_to_start(q="x"), go_on=False)
    while decision.more:
        decision = broken.take(TakenOver(), go_on=False)
    assert broken.over
    assert broken.text == whole.text
    assert sorted(broken.told) == sorted(whole.told)
