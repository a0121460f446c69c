"""What people see while a run goes on: units in order, tokens as they come, one output node at a time."""

from hypothesis import given
from hypothesis import strategies as st

from events.node import Problem
from events.run import RunCompleted, Usage
from services.core.running.effects import Piece, Responded
from services.core.running.run import TakenOver, Told
from tests.support.flows import at, end, flow, joiner, llm, message, start, thinker
from tests.support.spec import Story, told, wish_to_start

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


def two_branches():
    return flow(
        start(q="string"),
        llm("a", q=at("start.q")),
        llm("b", q=at("start.q")),
        message("ma", "<a:{{t}}>", t=at("a.output")),
        message("mb", "<b:{{t}}>", t=at("b.output")),
        end("end {{q}}", q=at("start.q")),
        edges="start > a,b; a > ma; b > mb; ma,mb > end",
    )


def test_a_model_s_tokens_are_shown_as_they_come():
    run = told(asking(), q="x").say("ask", "one ", "two")
    assert run.shown() == [("end", "content", "<"), ("end", "content", "one "), ("end", "content", "two")]
    assert [one.shown for one in run.of("node.delta")] == ["node-end::end", "node-end::end"]
    run.done("ask", Usage(input_tokens=3, output_tokens=2, total_tokens=5))
    assert run.text == "<one two>"
    assert run.last == RunCompleted(outputs=run.last.outputs, usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5))


@given(st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), st.sampled_from(["a", "b", ""]))), st.booleans())
def test_pieces_that_come_together_are_decided_as_if_they_came_one_after_another(said, waits):
    pieces = [Piece(stage, text) for stage, text in [("content", "first"), *said]]
    apart, together = (told(two_branches() if waits else asking(), q="x") for _ in range(2))
    name = "b" if waits else "ask"
    for run in (apart, together):
        _ = run.say("a", "a1") if waits else run
    for piece in pieces:
        apart.tell(name, piece)
    place = next(place for place in together.state.working if place[0].endswith(f"::{name}"))
    together.take(Told(place, 1, pieces[0], further=pieces[1:]))
    assert (together.events, together.state) == (apart.events, apart.state)


def test_the_constant_before_a_slow_model_is_released_at_once():
    assert told(asking("first {{out}}"), q="x").shown() == [("end", "content", "first ")]


def test_two_parallel_messages_never_interleave_and_nothing_is_lost():
    run = told(two_branches(), q="x")
    run.say("b", "b1").say("a", "a1").say("b", "b2").say("a", "a2").done("b").say("a", "a3").done("a")
    assert run.text == "<a:a1a2a3><b:b1b2>end x"
    released = [one.of for one in run.of("output.released", "mb") if one.of]
    assert [(one.start, one.stop) for one in released] == [(0, 2)]


def test_messages_that_wait_speak_in_the_order_in_which_they_became_eligible():
    document = flow(
        start(),
        *(llm(name) for name in "abc"),
        *(message(f"m{name}", f"{name}{{{{t}}}};", t=at(f"{name}.output")) for name in "abc"),
        end("."),
        edges="start > a,b,c; a > ma; b > mb; c > mc; ma,mb,mc > end",
    )
    run = told(document).say("c", "3").done("c").say("b", "2").done("b").say("a", "1").done("a")
    assert run.text == "a1;b2;c3;."


def test_the_second_message_speaks_as_soon_as_the_first_is_done():
    run = told(two_branches(), q="x").say("b", "b1").say("a", "a1").done("a")
    assert run.text == "<a:a1><b:b1"
    assert run.say("b", "b2").text == "<a:a1><b:b1b2"


def test_the_same_variable_twice_is_shown_twice():
    assert told(asking("{{out}}-{{out}}!"), q="x").say("ask", "a", "b").done("ask").text == "ab-ab!"


def test_two_streams_in_one_template_keep_the_template_s_order():
    document = flow(start(), llm("a"), llm("b"), end("1:{{a}} 2:{{b}}.", a=at("a.output"), b=at("b.output")), edges="start > a,b > end")
    run = told(document).say("b", "B1").say("a", "A1").say("b", "B2").done("b")
    assert run.text == "1:A1"
    assert run.say("a", "A2").done("a").text == "1:A1A2 2:B1B2."


def test_thinking_is_shown_before_the_answer_and_ends_when_the_answer_begins():
    document = flow(
        start(), thinker("ask"), end("A {{out}}", reasoning="R {{why}}.", out=at("ask.output"), why=at("ask.REASONING_CONTENT")),
        edges="start > ask > end",
    )  # fmt: skip
    run = told(document).think("ask", "hm ", "so")
    assert (run.reasoning, run.text) == ("R hm so", "")
    run.say("ask", "tea")
    assert (run.reasoning, run.text) == ("R hm so.", "A tea")
    run.say("ask", "!").done("ask")
    assert (run.reasoning, run.text) == ("R hm so.", "A tea!")


def test_an_answer_shows_nothing_while_the_model_thinks():
    run = told(asking("{{out}}"), q="x").think("ask", "secret")
    assert run.shown() == []
    assert run.say("ask", "clear").done("ask").shown() == [("end", "content", "clear"), ("end", "content", "")]


def test_thinking_inside_the_answer_is_content_and_an_answer_inside_the_thinking_is_reasoning():
    document = flow(
        start(), thinker("ask"), end("{{why}}", reasoning="{{out}}", out=at("ask.output"), why=at("ask.REASONING_CONTENT")),
        edges="start > ask > end",
    )  # fmt: skip
    run = told(document).think("ask", "hm").say("ask", "tea").done("ask")
    assert (run.reasoning, run.text) == ("tea", "hm")


def test_without_streaming_the_whole_text_is_on_the_closing_event():
    run = told(asking(streamed=False), q="x").say("ask", "a", "b")
    assert run.shown() == []
    assert run.done("ask").shown() == [("end", "content", "<ab>")]


def test_without_streaming_thinking_is_one_piece_before():
    document = asking(streamed=False, reasoning="why {{out}}")
    assert told(document, q="x").say("ask", "a").done("ask").shown() == [("end", "reasoning", "why a"), ("end", "content", "<a>")]


def test_an_end_in_mode_0_answers_its_inputs_as_compact_json_at_the_end():
    run = told(asking(None), q="x").say("ask", "a", "b")
    assert run.shown() == []
    assert run.done("ask").shown() == [("end", "content", '{"out":"ab"}')]


def test_a_message_that_refers_to_nothing_slow_is_shown_before_the_model_it_waits_for_is_done():
    document = flow(
        start(q="string"), llm("ask"), message("note", "got {{q}}", q=at("start.q")), end("{{o}}", o=at("ask.output")),
        edges="start > ask > note > end",
    )  # fmt: skip
    run = told(document, q="x")
    assert run.text == "got x"
    assert run.say("ask", "A").done("ask").text == "got xA"


def test_an_end_is_not_opened_before_the_messages_on_its_way():
    document = flow(
        start(), llm("a"), message("note", "{{a}};", a=at("a.output")), llm("b"), end("{{b}}", b=at("b.output")),
        edges="start > a > note > b > end",
    )  # fmt: skip
    run = told(document)
    assert not run.of("output.opened", "end")
    run.say("a", "A").done("a").say("b", "B").done("b")
    assert run.told.index("output.closed note") < run.told.index("output.opened end")
    assert run.text == "A;B"


def test_an_output_that_shows_a_node_beside_its_way_waits_for_that_node():
    document = flow(
        start(), llm("a"), llm("b"), joiner("after", "x"), end("{{b}}", b=at("b.output")), edges="start > a > end; start > b > after"
    )
    run = told(document).say("a", "A").done("a").say("b", "B")
    assert not run.over
    assert run.done("b").text == "B"
    assert run.over


def test_a_half_of_a_surrogate_pair_from_a_model_is_written_as_a_question_mark():
    run = told(asking("{{out}}"), q="x").say("ask", "a\ud83d")
    assert run.text == "a?"
    run.tell("ask", Responded({"gen_ai.response.id": "\ud83d"}, "digest", 5, problem=Problem(code=20380, message="\ud83d")))
    run.fails("ask", message="no \ud83d")
    assert run.last.message == "no ?"
    assert all(one.model_dump_json() for one in run.events)


def test_model_text_between_full_steps_keeps_its_order():
    names = [f"c{one}" for one in range(450)]
    template = "".join(f"{{{{{name}}}}}." for name in names) + "{{out}}"
    document = flow(start(), llm("ask"), end(template, out=at("ask.output"), **dict.fromkeys(names, "c")), edges="start > ask > end")
    run = Story(document)
    decision = run.take(wish_to_start(), go_on=False)
    assert decision.more
    run.take(TakenOver(), go_on=False)
    run.say("ask", "one ", "two").done("ask")
    assert run.text == "c." * 450 + "one two"
    assert run.over
